package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

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

// An engine that forgets a request would otherwise be stepped for ever: it
// keeps answering, so no watchdog sees it.
func TestLoopEndsWhenTheEngineLosesRequests(t *testing.T) {
	fake := &enginetest.Fake{Clock: &enginetest.Clock{}}
	forgetful := forgetting{fake}
	plan := engine.Plan{Arrivals: []engine.Arrival{{Request: request(1, 8, 4)}}}
	err := engine.NewLoopWithClock(forgetful, fake.Clock, nil).Run(plan, func(engine.Batch) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "the engine has lost them") {
		t.Errorf("error %v", err)
	}
}

// forgetting accepts requests and does nothing with them.
type forgetting struct{ *enginetest.Fake }

func (forgetting) Submit([]engine.Request, []int64) (map[int]error, error) { return nil, nil }
