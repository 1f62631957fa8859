package engine_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// numbered is a source of n requests with ids from 0, each of the plan's kind.
func numbered(n, outputs int) (engine.Source, *atomic.Int64) {
	var given atomic.Int64
	return func(_ context.Context, most int) (reqs []engine.Request, err error) {
		for len(reqs) < most && int(given.Load()) < n {
			reqs = append(reqs, arrive(given.Add(1)-1, 0, outputs).Request)
		}
		if int(given.Load()) == n {
			err = io.EOF
		}
		return reqs, err
	}, &given
}

func TestFeedGivesWhatRunGives(t *testing.T) {
	const n = 300
	run := mustRun(t, newFake(time.Millisecond), engine.Plan{Arrivals: every(0, n, 5), KeepTokens: true, MaxConcurrency: 20})

	f := newFake(time.Millisecond)
	f.MaxSeqs = 7
	rec := &recorder{clock: f.Clock}
	source, _ := numbered(n, 5)
	err := enginetest.Engine{Fake: f}.Feed(t.Context(), engine.Feed{Concurrency: 20, KeepTokens: true}, source, rec.sink)
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.order) != n || len(rec.requests) != n {
		t.Fatalf("%d results of %d requests, want %d", len(rec.order), len(rec.requests), n)
	}
	for id, want := range run.requests {
		got := rec.requests[id]
		if got.Finish != want.Finish || !cmp.Equal(got.Tokens, want.Tokens) || got.OutputTokens != 5 {
			t.Fatalf("request %d: %+v\nRun gives %+v", id, got, want)
		}
		if got.TokenNs != nil {
			t.Fatalf("request %d has stamps of tokens that came at its end", id)
		}
		if e2e, ok := got.E2E(); !ok || e2e <= 0 || got.ArrivalNs != got.AdmitNs {
			t.Fatalf("request %d took %d ns", id, e2e)
		}
	}
	p := rec.last()
	if len(rec.steps) > 0 || p.Steps < n*5/7 || p.StepNs != p.Steps*ms {
		t.Errorf("%d steps listed, %d counted, %d ns", len(rec.steps), p.Steps, p.StepNs)
	}
	want := engine.Progress{Admitted: n, Finished: n, OutputTokens: n * 5, CtxTokens: n * 3, GenTokens: n * 4}
	if diff := cmp.Diff(want, p, cmpopts.IgnoreFields(p, "ElapsedNs", "Steps", "StepNs", "EmptyNs")); diff != "" {
		t.Errorf("progress (-want +got)\n%s", diff)
	}
	if f.MostRunning > 20 {
		t.Errorf("%d requests in the engine, allowed 20", f.MostRunning)
	}
}

// A source that waits for results holds nothing up, and the engine is not left
// with less than it was promised.
func TestFeedFromASourceThatWaits(t *testing.T) {
	f := newFake(time.Millisecond)
	results := make(chan int64, 100)
	given := int64(0)
	source := func(ctx context.Context, most int) ([]engine.Request, error) {
		if given == 30 {
			return nil, io.EOF
		}
		if given > 0 {
			select { // one for one
			case <-results:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		given++
		return []engine.Request{arrive(given, 0, int(given%3)+1).Request}, nil
	}
	rec := &recorder{clock: f.Clock}
	err := enginetest.Engine{Fake: f}.Feed(t.Context(), engine.Feed{Concurrency: 8}, source, func(b engine.Batch) error {
		for _, r := range b.Requests {
			results <- r.ID
		}
		return rec.sink(b)
	})
	if err != nil || rec.last().Finished != 30 || f.MostRunning != 1 {
		t.Errorf("%v after %+v with %d at once", err, rec.last(), f.MostRunning)
	}
}

// More is taken in while earlier requests go on.
func TestFeedRefillsBeforeTheEngineIsEmpty(t *testing.T) {
	f := newFake(time.Millisecond)
	f.MaxSeqs = 4
	empty := 0
	f.StepTime = func(s engine.Step) time.Duration {
		if s.CtxReqs+s.GenReqs < 4 {
			empty++
		}
		time.Sleep(100 * time.Microsecond) // the source has a thread of its own
		return time.Millisecond
	}
	source, _ := numbered(400, 4)
	err := enginetest.Engine{Fake: f}.Feed(t.Context(), engine.Feed{}, source, func(engine.Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if empty > 10 { // the beginning and the end
		t.Errorf("%d steps had less than the 4 sequences that fit", empty)
	}
}

func TestFeed_Errors(t *testing.T) {
	broken, full := errors.New("line 7 is broken"), errors.New("disk full")
	tests := []struct {
		name    string
		source  func(n int, most int) ([]engine.Request, error) // its n-th call
		sink    error
		want    error
		message string
	}{
		{"of the source", func(n, _ int) ([]engine.Request, error) {
			if n == 1 {
				return nil, broken
			}
			return []engine.Request{arrive(0, 0, 1_000_000).Request}, nil
		}, nil, broken, ""},
		{"of the source at once", func(int, int) ([]engine.Request, error) { return nil, broken }, nil, broken, ""},
		{"nothing and no end", func(int, int) ([]engine.Request, error) { return nil, nil }, nil, nil,
			"the source gave neither a request nor its end"},
		{"too much", func(_, most int) ([]engine.Request, error) { return make([]engine.Request, most+1), nil }, nil, nil,
			"the source gave 5 requests, asked for at most 4"},
		{"an id twice", func(int, int) ([]engine.Request, error) {
			return []engine.Request{arrive(3, 0, 9).Request, arrive(3, 0, 9).Request}, nil
		}, nil, nil, "request id 3 is in flight already: ids must be unique"},
		{"of the sink", func(n, _ int) ([]engine.Request, error) {
			return []engine.Request{arrive(int64(n), 0, 3).Request}, nil
		}, full, full, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			err := enginetest.Engine{Fake: newFake(time.Millisecond)}.Feed(t.Context(), engine.Feed{Concurrency: 4},
				func(_ context.Context, most int) ([]engine.Request, error) {
					calls++
					return tt.source(calls-1, most)
				}, func(engine.Batch) error { return tt.sink })
			if tt.want != nil && err != tt.want {
				t.Errorf("error %v, want %v alone", err, tt.want)
			}
			if err == nil || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("error %v, want %s", err, tt.message)
			}
		})
	}
}

func TestFeedIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	f := newFake(time.Millisecond)
	rec := &recorder{clock: f.Clock}
	source := func(ctx context.Context, most int) ([]engine.Request, error) {
		if len(rec.order) == 0 && most == 4 {
			return []engine.Request{arrive(0, 0, 2).Request, arrive(1, 0, 1_000_000).Request}, nil
		}
		<-ctx.Done() // a source that has nothing more for now
		return nil, context.Cause(ctx)
	}
	err := enginetest.Engine{Fake: f}.Feed(ctx, engine.Feed{Concurrency: 4, KeepTokens: true}, source, func(b engine.Batch) error {
		if b.Progress.Finished == 1 {
			cancel(why)
		}
		return rec.sink(b)
	})
	if err != why {
		t.Errorf("error %v, want the context's cause alone", err)
	}
	if rec.requests[0].Finish != engine.FinishLength || rec.requests[1].Finish != engine.FinishAbort {
		t.Errorf("results %+v", rec.requests)
	}
	if rec.requests[1].EngineOutputs == 0 {
		t.Error("the aborted request has no statistics")
	}
}

// An exception in a step ends the feed with what was known.
func TestFeedOnABrokenEngine(t *testing.T) {
	broken := errors.New("broken")
	f := newFake(time.Millisecond)
	f.StepErr = func(index int64) error {
		if index == 5 {
			return broken
		}
		return nil
	}
	rec := &recorder{clock: f.Clock}
	source, given := numbered(1000, 3)
	err := enginetest.Engine{Fake: f}.Feed(t.Context(), engine.Feed{Concurrency: 10}, source, rec.sink)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if p := rec.last(); p.Finished < 10 || p.Failed == 0 || int64(len(rec.order)) > given.Load() {
		t.Errorf("progress %+v after %d requests", p, given.Load())
	}
}

// Nothing that a request leaves behind stays: neither here nor in the loop.
func TestFeedMemoryIsFlat(t *testing.T) {
	const n = 60_000
	f := newFake(0)
	f.StepTime, f.Forgetful, f.MaxSeqs = nil, true, 256
	var early, late uint64
	alive := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	given, _ := numbered(n, 3)
	done := 0
	err := enginetest.Engine{Fake: f}.Feed(t.Context(), engine.Feed{KeepTokens: true}, given, func(b engine.Batch) error {
		before := done
		done += len(b.Requests)
		switch {
		case before < n/10 && done >= n/10:
			early = alive()
		case before < n-1000 && done >= n-1000:
			late = alive()
		}
		return nil
	})
	if err != nil || done != n {
		t.Fatal(done, err)
	}
	if late > early+1<<20 {
		t.Errorf("%d bytes alive after a tenth, %d at the end", early, late)
	}
}

func TestFeedLogprobs(t *testing.T) {
	f := newFake(time.Millisecond)
	rec := &recorder{clock: f.Clock}
	zero, two := 0, 2
	asks := []engine.Sampling{
		{MaxTokens: 3}, {MaxTokens: 3, Logprobs: &two}, {MaxTokens: 1, PromptLogprobs: &zero},
		{MaxTokens: 2, Logprobs: &zero, PromptLogprobs: &two},
	}
	var reqs []engine.Request
	for i, s := range asks {
		reqs = append(reqs, engine.Request{ID: int64(i), Prompt: []int32{4, 5, 6, int32(i)}, Sampling: s})
	}
	source := func(context.Context, int) ([]engine.Request, error) { return reqs, io.EOF }
	if err := (enginetest.Engine{Fake: f}).Feed(t.Context(), engine.Feed{KeepTokens: true}, source, rec.sink); err != nil {
		t.Fatal(err)
	}
	lp := enginetest.Logprob
	own := func(prompt []int32, k int) int32 { return enginetest.Token(prompt, k) }
	p1, p3 := reqs[1].Prompt, reqs[3].Prompt
	want := map[int64]engine.RequestLogprobs{
		0: {},
		1: {Output: &engine.Logprobs{Top: 2, Tokens: []int32{own(p1, 0), 0, 1, own(p1, 1), 0, 1, own(p1, 2), 0, 1},
			Values: []float32{lp(own(p1, 0)), lp(0), lp(1), lp(own(p1, 1)), lp(0), lp(1), lp(own(p1, 2)), lp(0), lp(1)}}},
		2: {Prompt: &engine.Logprobs{Tokens: []int32{5, 6, 2}, Values: []float32{lp(5), lp(6), lp(2)}}},
		3: {&engine.Logprobs{Tokens: []int32{own(p3, 0), own(p3, 1)}, Values: []float32{lp(own(p3, 0)), lp(own(p3, 1))}},
			&engine.Logprobs{Top: 2, Tokens: []int32{5, 0, 1, 6, 0, 1, 3, 0, 1}, Values: []float32{lp(5), lp(0), lp(1), lp(6), lp(0), lp(1), lp(3), lp(0), lp(1)}}},
	}
	for id, w := range want {
		if diff := cmp.Diff(w, rec.logprobs[id]); diff != "" {
			t.Errorf("request %d (-want +got)\n%s", id, diff)
		}
	}
	l := rec.logprobs[3].Prompt
	if token, logprob := l.At(1); l.Len() != 3 || token != 6 || logprob != lp(6) {
		t.Errorf("place 1 of %d: token %d, %v", l.Len(), token, logprob)
	}
	if tokens, logprobs := l.TopAt(2); !cmp.Equal(tokens, []int32{0, 1}) || !cmp.Equal(logprobs, []float32{lp(0), lp(1)}) {
		t.Errorf("likeliest at place 2: %v %v", tokens, logprobs)
	}
	if got, want := l.Sum(1, 3), float64(lp(6))+float64(lp(3)); got != want {
		t.Errorf("log-likelihood %v, want %v", got, want)
	}
}

// A Run asks for logprobs as a feed does, and pays with the stamps.
func TestRunWithLogprobs(t *testing.T) {
	two := 2
	plan := engine.Plan{Arrivals: every(0, 2, 3)}
	plan.Arrivals[1].Sampling.Logprobs = &two
	r := mustRun(t, newFake(time.Millisecond), plan)
	if q := r.requests[0]; len(q.TokenNs) != 3 || len(r.logprobs) != 1 {
		t.Errorf("request 0: %+v", q)
	}
	if q := r.requests[1]; r.logprobs[1].Output.Len() != 3 || len(q.TokenNs) != 0 || q.OutputTokens != 3 {
		t.Errorf("request 1: %+v", q)
	}
}

func TestLogprobs_Errors(t *testing.T) {
	answers := []struct {
		name   string
		answer string
		want   string
	}{
		{"widths that do not fit", `{"0":{"output":{"top":1,"tokens":"AQAAAA==","values":"AQAAAA=="}}}`,
			"logprobs of request 0: 4 bytes of tokens, 4 of values, 1 likeliest a place"},
		{"fewer values than tokens", `{"0":{"prompt":{"top":0,"tokens":"AQAAAA==","values":""}}}`,
			"logprobs of request 0: 4 bytes of tokens, 0 of values, 0 likeliest a place"},
		{"negative width", `{"0":{"prompt":{"top":-1,"tokens":"","values":""}}}`,
			"logprobs of request 0: 0 bytes of tokens, 0 of values, -1 likeliest a place"},
	}
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(time.Millisecond)
			plan := engine.Plan{Arrivals: every(0, 1, 1)}
			plan.Arrivals[0].Sampling.Logprobs = new(int)
			_, err := runPlan(t, answering{f, tt.answer}, f.Clock, plan, nil)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v\nwant  %s", err, tt.want)
			}
		})
	}
}
