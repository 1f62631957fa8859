package workload

import (
	"context"
	"testing"
	"time"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// run executes f on the real loop and a scripted engine in virtual time.
func run(t *testing.T, f Flags, stepTime func(engine.Step) time.Duration) Input {
	t.Helper()
	e := enginetest.Engine{Fake: &enginetest.Fake{Clock: &enginetest.Clock{}, StepTime: stepTime}}
	spec, err := New(f, Limits{Vocab: enginetest.Vocab, MaxModelTokens: 4096})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := spec.Plan()
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Spec: spec}
	err = e.Run(context.Background(), plan, func(b engine.Batch) error {
		in.StartNs = b.StartNs
		in.Requests = append(in.Requests, b.Requests...)
		in.Steps = append(in.Steps, b.Steps...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestStallShowsInTTFT injects a stall of 500 ms and looks for it in what
// arrived meanwhile: an open loop counts from the scheduled arrival, so that a
// request waits for as long as the stall had still to last when it should have
// come, however late it was admitted.
func TestStallShowsInTTFT(t *testing.T) {
	const step, stall = 2 * time.Millisecond, 500 * time.Millisecond
	flags := with(func(f *Flags) {
		f.Requests, f.RatePerS, f.Pattern, f.InputTokens, f.OutputTokens = 40, 20, "constant", 8, 4
	})
	const stalled = 60 // request 15's, for every request takes 4 steps
	in := run(t, flags, func(s engine.Step) time.Duration {
		if s.Index == stalled {
			return step + stall
		}
		return step
	})
	var from, to int64
	for _, s := range in.Steps {
		if s.Index == stalled {
			from, to = s.EnterNs, s.ExitNs
		}
	}
	if got := time.Duration(to - from); got < stall {
		t.Fatalf("the stalled step took %s", got)
	}
	during := 0
	for i := range in.Requests {
		r := &in.Requests[i]
		times := TimesOf(r, false)
		if r.ArrivalNs <= from || r.ArrivalNs >= to {
			continue
		}
		during++
		waited := to - r.ArrivalNs
		if ttft := *times.TTFT; ttft < waited || ttft > waited+5*step.Nanoseconds() {
			t.Errorf("request %d came %s before the stall's end and has TTFT %s", r.ID, time.Duration(waited), time.Duration(ttft))
		}
		if *times.Queue+*times.Prefill+*times.Decode != *times.E2E {
			t.Errorf("request %d: queue, prefill and decode are not its E2E", r.ID)
		}
		// What counts from admission would not have seen it.
		if fromAdmission := r.FirstTokenNs - r.AdmitNs; fromAdmission > 5*step.Nanoseconds() {
			t.Errorf("request %d was admitted during the stall", r.ID)
		}
	}
	if during != 10 { // 20 a second for half a second
		t.Fatalf("%d requests arrived during the stall, want 10", during)
	}
	ttft := latency(t, ptr(Summarize(in)), "TTFT")
	quiet := latency(t, ptr(Summarize(run(t, flags, func(engine.Step) time.Duration { return step }))), "TTFT")
	// The ten waited 250 ms on average, of 38 measured.
	near(t, "mean TTFT less that without a stall", ttft.MeanNs.Value-quiet.MeanNs.Value, 10*250e6/38, 15e6)
}

func ptr[T any](v T) *T { return &v }

// TestClosedLoop: as many requests as allowed are in the engine, and nothing
// that needs a schedule is reported.
func TestClosedLoop(t *testing.T) {
	f := with(func(f *Flags) { f.Requests, f.Concurrency, f.InputTokens, f.OutputTokens = 20, 4, 8, 5 })
	in := run(t, f, func(engine.Step) time.Duration { return 10 * time.Millisecond })
	most := 0
	for _, s := range in.Steps {
		most = max(most, int(s.CtxReqs+s.GenReqs))
	}
	if most != 4 {
		t.Errorf("at most %d requests in a step, want 4", most)
	}
	sum := Summarize(in)
	if !in.Spec.Closed() || !in.Spec.Unscheduled() || in.Spec.Offline() || !sum.Valid() {
		t.Errorf("spec %+v, gates %+v", in.Spec, sum.Gates)
	}
	if sum.Counts.Completed != 20 || sum.Saturation.Verdict != NotApplicable {
		t.Errorf("counts %+v, saturation %+v", sum.Counts, sum.Saturation)
	}
	for _, d := range sum.Latencies {
		if d.Metric == "queue" || d.Metric == "admission" {
			t.Errorf("a closed loop has a %s", d.Metric)
		}
	}
	// Five groups of four, each of 5 steps of 10 ms: 20 requests in 0.25 s.
	near(t, "requests/s", sum.WholeRun.RequestsPerS, 80, 1)
	if sum.WholeRun.OfferedPerS != 0 || sum.Window == nil || sum.Window.OfferedPerS != 0 {
		t.Errorf("offered rate in a closed loop: %+v, %+v", sum.WholeRun, sum.Window)
	}
	near(t, "requests/s in the window", sum.Window.RequestsPerS, 80, 1)
}
