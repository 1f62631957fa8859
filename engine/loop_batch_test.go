package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

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
