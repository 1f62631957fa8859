package micro

import (
	"slices"
	"testing"
	"time"

	"stepbench/bench/micro/microtest"
)

// A trace has steps of every cell without profiler and with, and events of the
// latter alone, each inside its step.
func TestTrace(t *testing.T) {
	opt := testOptions(QuickRules())
	opt.Trace = true
	res := mustRun(t, microtest.New(microtest.Cost{Base: time.Millisecond, CtxToken: 500 * time.Microsecond}, 1), "q64,2q1000,4q1s64,q64_4q1s256", opt)
	if len(res.Traced) != len(res.Cells) {
		t.Fatalf("%d of %d cells traced", len(res.Traced), len(res.Cells))
	}
	for i, tr := range res.Traced {
		name := res.Cells[i].Cell.Name()
		want := traceSteps
		if name == "2q1000" { // a step of a second
			want = 1
		}
		var steps, plain, profiled int
		for _, s := range tr.Steps {
			if s.Role != RoleMeasure {
				continue
			}
			steps++
			if !tr.Profiled[s.Op] {
				plain++
				continue
			}
			profiled++
			inside := func(name string) bool {
				for _, e := range tr.Events {
					if e.Name == name && e.StartNs >= s.CallNs && e.StartNs+e.DurationNs <= s.ReturnNs {
						return true
					}
				}
				return false
			}
			if !inside("gemm") || !inside("Memcpy DtoH") {
				t.Errorf("%s: a profiled step without its kernels", name)
			}
		}
		if plain != want || profiled != want || len(tr.Events) != 3*profiled || tr.Unit != "kernel" {
			t.Errorf("%s: %d steps, %d of them profiled, %d events of unit %q", name, steps, profiled, len(tr.Events), tr.Unit)
		}
		if !slices.ContainsFunc(tr.Steps, func(s StepRecord) bool { return s.Stage == Tracing }) || len(tr.At) != 2 {
			t.Errorf("%s: stage or conditions are missing", name)
		}
	}
	if res.Cells[0].Steps != 24 {
		t.Errorf("%d steps of %s: the trace's are not among them", res.Cells[0].Steps, res.Cells[0].Cell.Name())
	}

	opt.Attribution = false
	res = mustRun(t, microtest.New(microtest.DefaultCost(), 1), "q64", opt)
	if tr := res.Traced[0]; len(tr.Events) != 0 || len(tr.Profiled) != 0 || len(tr.Steps) == 0 {
		t.Errorf("without attribution: %d events, %d profiled ops, %d steps", len(tr.Events), len(tr.Profiled), len(tr.Steps))
	}
}
