package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

const ms = int64(time.Millisecond)

// recorder is a sink that keeps what it gets and when.

type recorder struct {
	clock    engine.Clock
	batches  []engine.Batch
	atNs     []int64
	steps    []engine.Step
	requests map[int64]engine.RequestResult
	logprobs map[int64]engine.RequestLogprobs
	order    []int64
}

func (r *recorder) sink(b engine.Batch) error {
	if r.requests == nil {
		r.requests, r.logprobs = map[int64]engine.RequestResult{}, map[int64]engine.RequestLogprobs{}
	}
	maps.Copy(r.logprobs, b.Logprobs)
	r.batches, r.atNs = append(r.batches, b), append(r.atNs, r.clock.NowNs())
	r.steps = append(r.steps, b.Steps...)
	for _, q := range b.Requests {
		r.requests[q.ID] = q
		r.order = append(r.order, q.ID)
	}
	return nil
}

func (r *recorder) startNs() int64 { return r.batches[0].StartNs }

func (r *recorder) last() engine.Progress { return r.batches[len(r.batches)-1].Progress }

// newFake is a fake in virtual time whose steps take d.

func newFake(d time.Duration) *enginetest.Fake {
	return &enginetest.Fake{Clock: &enginetest.Clock{}, StepTime: enginetest.Constant(d)}
}

func runPlan(t *testing.T, f engine.Stepper, c engine.Clock, plan engine.Plan, stopped func() bool) (*recorder, error) {
	t.Helper()
	r := &recorder{clock: c}
	err := engine.NewLoopWithClock(f, c, stopped).Run(plan, r.sink)
	return r, err
}

// mustRun runs a plan that succeeds.

func mustRun(t *testing.T, f *enginetest.Fake, plan engine.Plan) *recorder {
	t.Helper()
	r, err := runPlan(t, f, f.Clock, plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// arrive is a request at offsetNs with a prompt of its own and n output tokens.

func arrive(id, offsetNs int64, n int) engine.Arrival {
	return engine.Arrival{OffsetNs: offsetNs, Request: engine.Request{
		ID: id, Prompt: []int32{1, 2, int32(id)}, Sampling: engine.Sampling{MaxTokens: n},
	}}
}

// every is count requests, ids from 0, one each gapNs.

func every(gapNs int64, count, n int) []engine.Arrival {
	var all []engine.Arrival
	for i := range int64(count) {
		all = append(all, arrive(i, i*gapNs, n))
	}
	return all
}

func TestAdmissionAtStepBoundaries(t *testing.T) {
	f := newFake(10 * time.Millisecond)
	r := mustRun(t, f, engine.Plan{Arrivals: []engine.Arrival{
		arrive(0, 0, 5),
		arrive(1, 3*ms, 5),    // during step 0
		arrive(2, 9*ms, 5),    // during step 0 as well
		arrive(3, 35*ms, 5),   // during a later step
		arrive(4, 2000*ms, 5), // while the engine is empty
	}})
	tests := []struct {
		name         string
		id, offsetNs int64
		admittedNs   int64
	}{
		{"first arrival, engine empty", 0, 0, r.startNs()},
		{"during a step", 1, 3 * ms, r.steps[0].ExitNs},
		{"second during the same step", 2, 9 * ms, r.steps[0].ExitNs},
		{"during a later step", 3, 35 * ms, r.steps[3].ExitNs},
		{"after a pause", 4, 2000 * ms, r.startNs() + 2000*ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := r.requests[tt.id]
			if want := r.startNs() + tt.offsetNs; q.ArrivalNs != want {
				t.Errorf("arrival %d, want the schedule's %d", q.ArrivalNs, want)
			}
			if q.AdmitNs != tt.admittedNs {
				t.Errorf("admitted at %d, want %d", q.AdmitNs-r.startNs(), tt.admittedNs-r.startNs())
			}
			if wait, ok := q.Admission(); !ok || wait != tt.admittedNs-r.startNs()-tt.offsetNs {
				t.Errorf("admission took %d, %v", wait, ok)
			}
			if got, want := f.Arrivals[tt.id], q.ArrivalNs+enginetest.UnixOffsetNs; got != want {
				t.Errorf("the engine was told arrival %d, want the schedule's on the wall clock %d", got, want)
			}
			if got, want := q.AnchorUnixNs-q.AnchorNs, enginetest.UnixOffsetNs; got != want {
				t.Errorf("anchors differ by %d, want %d", got, want)
			}
		})
	}
}

// A stall is seen by those who arrive during it, although the loop could not

// admit them: their latency counts from the schedule.

func TestStallIsNotOmitted(t *testing.T) {
	const stall = 500
	plan := engine.Plan{Arrivals: every(20*ms, 50, 3)}
	f := newFake(10 * time.Millisecond)
	f.StepTime = enginetest.Stall(20, stall*time.Millisecond, f.StepTime)
	r := mustRun(t, f, plan)

	stalled := r.steps[20]
	during := 0
	for _, a := range plan.Arrivals {
		q := r.requests[a.ID]
		ttft, ok := q.TTFT()
		if !ok {
			t.Fatalf("request %d has no TTFT", a.ID)
		}
		if q.ArrivalNs <= stalled.EnterNs || q.ArrivalNs >= stalled.ExitNs {
			continue
		}
		during++
		if left := stalled.ExitNs - q.ArrivalNs; ttft <= left {
			t.Errorf("request %d: TTFT %d ms hides the %d ms that the stall still took", a.ID, ttft/ms, left/ms)
		}
	}
	if want := stall / 20; during < want {
		t.Fatalf("%d requests arrived during the stall, want at least %d", during, want)
	}
}

func TestClosedLoop(t *testing.T) {
	for _, limit := range []int{1, 2, 7, 100} {
		t.Run(fmt.Sprintf("concurrency %d", limit), func(t *testing.T) {
			f := newFake(time.Millisecond)
			plan := engine.Plan{Arrivals: every(0, 20, 4), MaxConcurrency: limit}
			for i := range plan.Arrivals { // unequal, so that they end at different steps
				plan.Arrivals[i].Sampling.MaxTokens = 1 + i%5
			}
			r := mustRun(t, f, plan)
			if want := min(limit, 20); f.MostRunning != want {
				t.Errorf("up to %d in flight, want %d", f.MostRunning, want)
			}
			if got := r.last(); got.Finished != 20 || got.Failed != 0 {
				t.Errorf("progress %+v", got)
			}
			for id, q := range r.requests {
				if q.ArrivalNs != q.AdmitNs {
					t.Errorf("request %d: arrival %d, admitted %d: a closed loop has no schedule", id, q.ArrivalNs, q.AdmitNs)
				}
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	f := newFake(time.Millisecond)
	f.Refuse = func(r engine.Request) error {
		if r.ID == 1 {
			return errors.New("longer than max_model_len")
		}
		return nil
	}
	plan := engine.Plan{Arrivals: every(0, 4, 3)}
	plan.Arrivals[3].Sampling.MaxTokens = 0
	r := mustRun(t, f, plan)
	for id, want := range map[int64]struct {
		finish engine.FinishReason
		err    string
		tokens int32
	}{
		0: {engine.FinishLength, "", 3},
		1: {engine.FinishError, "longer than max_model_len", 0},
		2: {engine.FinishLength, "", 3},
		3: {engine.FinishError, "max_tokens must be at least 1, got 0", 0},
	} {
		q := r.requests[id]
		if q.Finish != want.finish || q.Error != want.err || q.OutputTokens != want.tokens {
			t.Errorf("request %d: %s %q %d tokens, want %s %q %d",
				id, q.Finish, q.Error, q.OutputTokens, want.finish, want.err, want.tokens)
		}
		if _, ok := q.TTFT(); ok == (want.tokens == 0) {
			t.Errorf("request %d: TTFT present: %v", id, ok)
		}
	}
	if want := (engine.Progress{Total: 4, Admitted: 4, Finished: 2, Failed: 2, OutputTokens: 6}); r.last() != withElapsed(want, r) {
		t.Errorf("progress %+v, want %+v", r.last(), want)
	}
}

func withElapsed(p engine.Progress, r *recorder) engine.Progress {
	p.ElapsedNs = r.last().ElapsedNs
	return p
}

// A step that fails leaves what was delivered, and the facts about the rest.

// The sink keeps batches: later steps must not write into them.

// echo repeats the end of a request in the step after it, as an engine may.
