package abtest

import (
	"math"
	"testing"
)

// What moves elsewhere moves the step, not the kernels under test.
func TestTested(t *testing.T) {
	collect := func() *Evidence {
		l := &lab{sides: map[string]behaviour{"stock": quiet(behaviour{}), "v": quiet(behaviour{slower: 0.3})}}
		ev := mustCollect(t, job(t, l, stock, variantSide("v"), "standard", "8q1s40"))
		ev.Code = codes
		return ev
	}
	ev := collect()
	still := Judge(ev, Rules{})
	if still.Tested == nil {
		t.Fatal("kernels under test are known, but nothing is said of them")
	}
	effect := still.Tested.Primary.EffectLog
	if whole := still.Kernel.Primary.EffectLog; effect <= 0 || math.Abs(effect-whole) > 0.02*whole {
		t.Errorf("kernels under test %g, step %g: nothing else changed", effect, whole)
	}
	ev = collect()
	eachBurst(ev, func(b *Burst) {
		if p := b.Burst.Profile; p != nil && b.Arm == ArmB {
			for i := range p.Rows {
				if p.Rows[i].Name != targetKernel {
					p.SumNs += 0.01 * p.Rows[i].Ns
					p.Rows[i].Ns *= 1.01
				}
			}
		}
	})
	moved := Judge(ev, Rules{})
	if got := moved.Tested.Primary.EffectLog; math.Abs(got-effect) > 1e-9 {
		t.Errorf("kernels under test went from %g to %g though others moved", effect, got)
	}
	if moved.Kernel.Primary.EffectLog < still.Kernel.Primary.EffectLog+0.005 {
		t.Errorf("the step did not move: %g", moved.Kernel.Primary.EffectLog)
	}
	ev.Code = nil
	if r := Judge(ev, Rules{}); r.Tested != nil {
		t.Error("an effect of kernels that are not known")
	}
}
