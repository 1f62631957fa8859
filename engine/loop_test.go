package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	order    []int64
}

func (r *recorder) sink(b engine.Batch) error {
	if r.requests == nil {
		r.requests = map[int64]engine.RequestResult{}
	}
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
func TestStepError(t *testing.T) {
	broken := errors.New("the kernel failed")
	for _, tt := range []struct {
		name   string
		abort  error
		queued bool // the engine still gives statistics
	}{
		{"engine answers the abort", nil, true},
		{"engine is broken altogether", errors.New("no answer"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(30 * time.Millisecond)
			f.AbortErr = tt.abort
			f.StepErr = func(index int64) error {
				if index == 20 {
					return broken
				}
				return nil
			}
			plan := engine.Plan{Arrivals: []engine.Arrival{arrive(0, 0, 5), arrive(1, 0, 100), arrive(2, 0, 100)}}
			plan.KeepTokens = true
			r, err := runPlan(t, f, f.Clock, plan, nil)
			if !errors.Is(err, broken) {
				t.Fatalf("error %v, want the step's", err)
			}
			if tt.abort != nil && errors.Is(err, tt.abort) {
				t.Errorf("error %q repeats itself by the abort's", err)
			}
			if len(r.steps) != 20 {
				t.Errorf("%d steps delivered, want the 20 good ones", len(r.steps))
			}
			if q := r.requests[0]; q.Finish != engine.FinishLength || len(q.Tokens) != 5 {
				t.Errorf("request 0 ended as %s with %d tokens", q.Finish, len(q.Tokens))
			}
			for _, id := range []int64{1, 2} {
				q := r.requests[id]
				if q.Finish != engine.FinishAbort || q.OutputTokens != 20 || len(q.Tokens) != 20 || len(q.TokenNs) != 20 {
					t.Errorf("request %d ended as %s with %d tokens, want abort with 20", id, q.Finish, q.OutputTokens)
				}
				if _, ok := q.EngineQueue(); ok != tt.queued {
					t.Errorf("request %d has engine times: %v, want %v", id, ok, tt.queued)
				}
			}
			if diff := cmp.Diff([]int64{0, 1, 2}, r.order); diff != "" {
				t.Errorf("order of results (-want +got)\n%s", diff)
			}
		})
	}
}

func TestSubmitError(t *testing.T) {
	f := newFake(time.Millisecond)
	f.SubmitErr = errors.New("engine core is dead")
	r, err := runPlan(t, f, f.Clock, engine.Plan{Arrivals: every(0, 2, 3)}, nil)
	if !errors.Is(err, f.SubmitErr) {
		t.Fatalf("error %v", err)
	}
	if q := r.requests[1]; q.Finish != engine.FinishAbort || len(r.requests) != 2 {
		t.Errorf("results %+v", r.requests)
	}
}

func TestDuplicateID(t *testing.T) {
	f := newFake(time.Millisecond)
	plan := engine.Plan{Arrivals: []engine.Arrival{arrive(7, 0, 3), arrive(7, 0, 3)}}
	r, err := runPlan(t, f, f.Clock, plan, nil)
	if err == nil || err.Error() != "request id 7 is in flight already: ids must be unique" {
		t.Fatalf("error %v", err)
	}
	if got := r.last(); got.Admitted != 1 || got.Failed != 1 {
		t.Errorf("progress %+v", got)
	}
	// One after the other is no conflict.
	plan.Arrivals[1].OffsetNs = 100 * ms
	if r := mustRun(t, newFake(time.Millisecond), plan); r.last().Finished != 2 {
		t.Errorf("progress %+v", r.last())
	}
}

func TestStopInFlight(t *testing.T) {
	for _, tt := range []struct {
		name  string
		abort error
	}{
		{"abort works", nil},
		{"abort fails", errors.New("abort failed")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(10 * time.Millisecond)
			f.AbortErr = tt.abort
			plan := engine.Plan{Arrivals: []engine.Arrival{arrive(0, 0, 3), arrive(1, 0, 100), arrive(2, 60_000*ms, 1)}}
			stopNs := f.Clock.NowNs() + 200*ms
			r, err := runPlan(t, f, f.Clock, plan, func() bool { return f.Clock.NowNs() >= stopNs })
			if !errors.Is(err, engine.ErrStopped) {
				t.Fatalf("error %v, want ErrStopped", err)
			}
			if tt.abort != nil && !errors.Is(err, tt.abort) {
				t.Errorf("error %v hides that the abort failed", err)
			}
			if q := r.requests[0]; q.Finish != engine.FinishLength {
				t.Errorf("request 0 ended as %s", q.Finish)
			}
			q := r.requests[1]
			if q.Finish != engine.FinishAbort || int(q.OutputTokens) != len(r.steps) {
				t.Errorf("request 1 ended as %s with %d tokens after %d steps", q.Finish, q.OutputTokens, len(r.steps))
			}
			if _, never := r.requests[2]; never {
				t.Error("request 2 never arrived, but has a result")
			}
			if got := r.last(); got.Admitted != 2 || got.Finished != 1 || got.Failed != 1 {
				t.Errorf("progress %+v", got)
			}
		})
	}
}

func TestStopWhileSleeping(t *testing.T) {
	f := newFake(time.Millisecond)
	stopNs := f.Clock.NowNs() + 3333*ms
	r, err := runPlan(t, f, f.Clock, engine.Plan{Arrivals: []engine.Arrival{arrive(0, 60_000*ms, 1)}},
		func() bool { return f.Clock.NowNs() >= stopNs })
	if !errors.Is(err, engine.ErrStopped) {
		t.Fatalf("error %v, want ErrStopped", err)
	}
	if late := f.Clock.NowNs() - stopNs; late > 20*ms {
		t.Errorf("stopped %d ms late, want at most 20", late/ms)
	}
	if len(r.steps)+len(r.requests) != 0 {
		t.Errorf("%d steps, %d results of a plan that never began", len(r.steps), len(r.requests))
	}
}

func TestTokens(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep %v", keep), func(t *testing.T) {
			f := newFake(10 * time.Millisecond)
			plan := engine.Plan{Arrivals: every(15*ms, 3, 4), KeepTokens: keep}
			r := mustRun(t, f, plan)
			exits := map[int64]bool{}
			for _, s := range r.steps {
				exits[s.ExitNs] = true
			}
			for _, a := range plan.Arrivals {
				var want []int32
				for k := range 4 {
					want = append(want, enginetest.Token(a.Prompt, k))
				}
				if !keep {
					want = nil
				}
				q := r.requests[a.ID]
				if diff := cmp.Diff(want, q.Tokens); diff != "" {
					t.Errorf("request %d: tokens (-want +got)\n%s", a.ID, diff)
				}
				if len(q.TokenNs) != 4 || !slices.IsSorted(q.TokenNs) || q.DeliveredNs != q.TokenNs[3] {
					t.Errorf("request %d: stamps %v, delivered %d", a.ID, q.TokenNs, q.DeliveredNs)
				}
				for _, at := range q.TokenNs {
					if !exits[at] {
						t.Errorf("request %d: %d is no step's exit", a.ID, at)
					}
				}
				if gaps := q.ITL(); len(gaps) != 3 || slices.Min(gaps) < 10*ms {
					t.Errorf("request %d: inter-token latencies %v", a.ID, gaps)
				}
			}
		})
	}
}

func TestStepsOfAPlan(t *testing.T) {
	f := newFake(time.Millisecond)
	mustRun(t, f, engine.Plan{Arrivals: every(0, 2, 3)})
	r := mustRun(t, f, engine.Plan{Arrivals: every(0, 2, 3)})
	var got []string
	for i, s := range r.steps {
		if s.Index != int64(i) {
			t.Errorf("step %d has index %d: it counts from the plan's start", i, s.Index)
		}
		got = append(got, fmt.Sprintf("%s %d+%d", s.Phase(), s.CtxTokens, s.GenTokens))
	}
	if diff := cmp.Diff([]string{"prefill 6+0", "decode 0+2", "decode 0+2"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestBatchesComeRarely(t *testing.T) {
	f := newFake(7 * time.Millisecond)
	plan := engine.Plan{Arrivals: []engine.Arrival{arrive(0, 0, 100), arrive(1, 10_000*ms, 1)}}
	r := mustRun(t, f, plan)
	busy, idle := 0, 0
	for i := 1; i < len(r.batches)-1; i++ { // the last comes at the end of the plan
		gap := r.atNs[i] - r.atNs[i-1]
		if len(r.batches[i].Steps) > 0 {
			busy++
			if gap < 100*ms || gap > 150*ms && len(r.batches[i].Steps) > 1 {
				t.Errorf("batch %d after %d ms, want 100 and a step", i, gap/ms)
			}
			continue
		}
		idle++
		if gap < 1000*ms || gap > 1020*ms {
			t.Errorf("sign of life after %d ms, want 1000 and at most a sleep", gap/ms)
		}
	}
	if busy < 5 || idle < 8 {
		t.Errorf("%d busy and %d idle batches in 0.7 s of work and 9.3 s of rest", busy, idle)
	}
}

// The sink keeps batches: later steps must not write into them.
func TestBatchesBelongToTheSink(t *testing.T) {
	f := newFake(9 * time.Millisecond)
	var kept []engine.Batch
	var copies []string
	err := engine.NewLoopWithClock(f, f.Clock, nil).Run(engine.Plan{Arrivals: every(5*ms, 40, 6), KeepTokens: true},
		func(b engine.Batch) error {
			kept, copies = append(kept, b), append(copies, fmt.Sprintf("%+v", b))
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if len(kept) < 3 {
		t.Fatalf("%d batches: too few to show anything", len(kept))
	}
	for i, b := range kept {
		if diff := cmp.Diff(copies[i], fmt.Sprintf("%+v", b)); diff != "" {
			t.Errorf("batch %d changed after delivery\n%s", i, diff)
		}
	}
}

func TestSinkError(t *testing.T) {
	full := errors.New("disk full")
	f := newFake(30 * time.Millisecond)
	calls := 0
	err := engine.NewLoopWithClock(f, f.Clock, nil).Run(engine.Plan{Arrivals: every(0, 3, 1000)},
		func(engine.Batch) error {
			if calls++; calls == 2 {
				return full
			}
			return nil
		})
	if err != full {
		t.Errorf("error %v, want the sink's alone", err)
	}
	if calls != 2 {
		t.Errorf("the sink was called %d times, want none after its error", calls)
	}
	if s, err := f.Step(engine.Limits{}); err != nil || len(s.Outputs) != 0 {
		t.Errorf("the engine still works on the abandoned requests: %d outputs, %v", len(s.Outputs), err)
	}
}

func TestSinkErrorOnTheLastBatch(t *testing.T) {
	full := errors.New("disk full")
	f := newFake(time.Millisecond)
	err := engine.NewLoopWithClock(f, f.Clock, nil).Run(engine.Plan{Arrivals: every(0, 1, 1)},
		func(engine.Batch) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("error %v, want the sink's", err)
	}
}

func TestEmptyPlan(t *testing.T) {
	f := newFake(time.Millisecond)
	r := mustRun(t, f, engine.Plan{})
	if len(r.batches) != 1 || r.last() != (engine.Progress{}) {
		t.Errorf("%d batches, progress %+v, want one of nothing", len(r.batches), r.last())
	}
}

func TestProgressGrows(t *testing.T) {
	f := newFake(20 * time.Millisecond)
	r := mustRun(t, f, engine.Plan{Arrivals: every(100*ms, 20, 3)})
	var before engine.Progress
	for i, b := range r.batches {
		p := b.Progress
		if p.Total != 20 || p.Admitted < before.Admitted || p.Finished < before.Finished ||
			p.OutputTokens < before.OutputTokens || p.ElapsedNs <= before.ElapsedNs || p.Admitted < p.Finished+p.Failed {
			t.Errorf("batch %d: %+v after %+v", i, p, before)
		}
		before = p
	}
	if before.Finished != 20 || before.OutputTokens != 60 {
		t.Errorf("at the end %+v", before)
	}
}

// echo repeats the end of a request in the step after it, as an engine may.
type echo struct {
	*enginetest.Fake
	ended []engine.Output
}

func (e *echo) Step(l engine.Limits) (engine.StepResult, error) {
	r, err := e.Fake.Step(l)
	old := e.ended
	e.ended = nil
	for _, o := range r.Outputs {
		if o.Finish != engine.Unfinished {
			e.ended = append(e.ended, o)
		}
	}
	r.Outputs = append(slices.Clone(r.Outputs), old...)
	return r, err
}

func TestOutputOfAnEndedRequestIsIgnored(t *testing.T) {
	f := newFake(time.Millisecond)
	plan := engine.Plan{Arrivals: []engine.Arrival{arrive(0, 0, 1), arrive(1, 0, 3)}}
	r, err := runPlan(t, &echo{Fake: f}, f.Clock, plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{0, 1}, r.order); diff != "" || r.last().OutputTokens != 4 {
		t.Errorf("results %v, progress %+v", r.order, r.last())
	}
}
