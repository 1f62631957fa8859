package abtest

import (
	"math"
	"testing"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
)

// A burst that took a hundred times as long must not turn the means of a report
// against its verdict.
func TestADisturbedBurstDoesNotSpoilTheMeans(t *testing.T) {
	l := &lab{sides: map[string]behaviour{"a": quiet(behaviour{}), "b": quiet(behaviour{slower: 0.3})}}
	ev := mustCollect(t, job(t, l, variantSide("a"), variantSide("b"), "standard", "8q1s40"))
	ev.Outputs = numerics.Report{Status: numerics.Identical}
	want := Judge(ev, Rules{}).Cells[0]
	if want.Attribution.Far != 0 || want.Timing.Far != 0 {
		t.Fatalf("%d profiled and %d timed quads of a quiet machine are far", want.Attribution.Far, want.Timing.Far)
	}
	quads, _ := ev.Launches[0].counted("8q1s40", Attribution)
	held := quads[1].a[0].Profile
	for i := range held.Rows {
		held.Rows[i].Ns *= 100
	}
	held.SumNs *= 100
	r := Judge(ev, Rules{})
	c := r.Cells[0]
	if r.Verdict != estimate.Slower || c.Attribution.Far != 1 {
		t.Fatalf("%s, %d quads are far, want SLOWER and 1", r.Verdict, c.Attribution.Far)
	}
	for w := range c.KernelUs {
		if math.Abs(c.KernelUs[w]/want.KernelUs[w]-1) > 0.01 {
			t.Errorf("arm %d takes %g µs, without the disturbance %g", w, c.KernelUs[w], want.KernelUs[w])
		}
	}
	if top := c.Kernels[0]; top.DeltaUs < 20 || !top.Target {
		t.Errorf("first row %+v", top)
	}
}
