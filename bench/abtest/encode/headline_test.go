package encode

import (
	"math"
	"strings"
	"testing"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/bench/stats"
)

func result(v estimate.Verdict, pct, half float64) estimate.Result {
	at := func(p float64) float64 { return math.Log1p(p / 100) }
	ci := stats.Interval{Lo: at(pct - half), Hi: at(pct + half)}
	return estimate.Result{
		Verdict: v, EffectLog: at(pct), LaunchesLog: []float64{at(pct), at(pct), at(pct), at(pct)}, MarginLog: at(0.5), Alpha: 0.05,
		Bounds: &estimate.Bounds{CI: ci, TOST: ci, CI99: stats.Interval{Lo: at(pct - 2*half), Hi: at(pct + 2*half)}, MDE80Log: at(0.45)},
	}
}

func cellsOf(primary estimate.Result, cells ...estimate.Result) estimate.CellsResult {
	r := estimate.CellsResult{Primary: primary}
	for i, c := range cells {
		r.Cells = append(r.Cells, estimate.CellResult{Name: []string{"8q1s1k", "q512"}[i], Result: c})
	}
	return r
}

func TestLine(t *testing.T) {
	rotaryRow := abtest.KernelRow{NameA: rotary, NameB: rotary, DeltaUs: 4, ContributionPct: 4, ShareFrac: 0.98, Target: true}
	other := abtest.KernelRow{NameA: "gemm", NameB: "gemm", DeltaUs: 0.08, ContributionPct: 0.08, ShareFrac: 0.02}
	identical := numerics.Report{Status: numerics.Identical}
	slower := result(estimate.Slower, 4.08, 0.13)
	wall := result(estimate.Inconclusive, 1.7, 3.6)
	settled := result(estimate.Inconclusive, 0.31, 0.43)
	settled.LaunchesToSettle = 7
	never := result(estimate.Inconclusive, 0.31, 0.43)
	single := result(estimate.Slower, 4.08, 0.13)
	single.Conditional = true
	byWall := result(estimate.Slower, 0.1, 0.05)
	byWall.Reason = "wall"
	ninetynine := result(estimate.Slower, 4.08, 0.13)
	ninetynine.Alpha = 0.01
	tests := []struct {
		name   string
		result abtest.Result
		want   string
	}{
		{
			"slower", abtest.Result{
				Verdict: estimate.Slower, Endpoint: abtest.Kern, Kernel: cellsOf(slower, slower), Wall: cellsOf(wall, wall), Outputs: identical,
				Cells: []abtest.CellResult{{Kernels: []abtest.KernelRow{rotaryRow, other}}},
			},
			"SLOWER +4.08 % (95 % CI +3.95…+4.21 %) kernel time per step, _C::rotary_embedding +4.0 points of it (98 % of the change); wall +1.70 % (−1.90…+5.30 %); outputs IDENTICAL",
		},
		{
			"faster, but differs", abtest.Result{
				Verdict: estimate.Faster, Endpoint: abtest.Op, Kernel: cellsOf(result(estimate.Faster, -1.8, 0.1)), Wall: cellsOf(wall),
				Outputs: numerics.Report{Status: numerics.Differs}, Flags: []string{"self-estimated"},
			},
			"FASTER −1.80 % but OUTPUT DIFFERS (95 % CI −1.90…−1.70 %) time in vLLM's ops per step; wall +1.70 % (−1.90…+5.30 %); self-estimated",
		},
		{
			"weak difference", abtest.Result{
				Verdict: estimate.Same, Endpoint: abtest.Kern, Kernel: cellsOf(result(estimate.Same, 0.02, 0.1)), Wall: cellsOf(wall),
				Outputs: numerics.Report{Status: numerics.Differs, Weak: true}, Identical: "the same library in both arms",
			},
			"SAME within ±0.5 %: +0.02 % but OUTPUT DIFFERS (weak: random weights) (95 % CI −0.08…+0.12 %) kernel time per step; wall +1.70 % (−1.90…+5.30 %); A/A: the same library in both arms",
		},
		{
			"inconclusive", abtest.Result{Verdict: estimate.Inconclusive, Endpoint: abtest.Kern, Kernel: cellsOf(settled), Wall: cellsOf(wall), Outputs: identical},
			"INCONCLUSIVE +0.31 % (95 % CI −0.12…+0.74 %) kernel time per step; wall +1.70 % (−1.90…+5.30 %); detectable in 80 % of such runs: 0.45 %; about 7 launches in all would settle it; outputs IDENTICAL",
		},
		{
			"never to be settled", abtest.Result{Verdict: estimate.Inconclusive, Endpoint: abtest.Kern, Reason: "ended before the plan did", Kernel: cellsOf(never), Wall: cellsOf(wall), Outputs: identical},
			"INCONCLUSIVE +0.31 % (95 % CI −0.12…+0.74 %) kernel time per step; wall +1.70 % (−1.90…+5.30 %); ended before the plan did; detectable in 80 % of such runs: 0.45 %; 1000 launches would not settle it; outputs IDENTICAL",
		},
		{
			"invalid", abtest.Result{Verdict: estimate.Invalid, Reason: "executed: the engine never called _C::silu_and_mul", Kernel: cellsOf(slower), Flags: []string{"self-estimated", "time up after 1 launches"}},
			"INVALID: executed: the engine never called _C::silu_and_mul; time up after 1 launches",
		},
		{
			"invalid and differs", abtest.Result{Verdict: estimate.Invalid, Reason: "clocks: 3 %", Kernel: cellsOf(slower), Outputs: numerics.Report{Status: numerics.Differs}},
			"INVALID: clocks: 3 %; OUTPUT DIFFERS",
		},
		{
			"one cell decides", abtest.Result{Verdict: estimate.Slower, Endpoint: abtest.Kern, Kernel: cellsOf(result(estimate.Same, 0.1, 0.2), result(estimate.Same, 0, 0.1), slower), Wall: cellsOf(wall), Outputs: identical},
			"SLOWER +4.08 % (95 % CI +3.95…+4.21 %) kernel time per step of q512; wall +1.70 % (−1.90…+5.30 %); outputs IDENTICAL",
		},
		{
			"wall decides", abtest.Result{Verdict: estimate.Slower, Reason: "wall", Endpoint: abtest.Kern, Kernel: cellsOf(byWall, byWall), Wall: cellsOf(result(estimate.Slower, 8, 2)), Outputs: identical},
			"SLOWER by wall time +8.00 % (99 % CI +4.00…+12.00 %) per step; kernel time +0.10 % (+0.05…+0.15 %); outputs IDENTICAL",
		},
		{
			"another level, wall void", abtest.Result{Verdict: estimate.Slower, Endpoint: abtest.Union, Kernel: cellsOf(ninetynine), Wall: cellsOf(wall), Outputs: identical, Flags: []string{"wall void: arms differ", "noisier"}},
			"SLOWER +4.08 % (99 % CI +3.95…+4.21 %) device-busy time per step; wall void; outputs IDENTICAL; noisier",
		},
		{
			"conditional", abtest.Result{Verdict: estimate.Slower, Endpoint: abtest.Kern, Kernel: cellsOf(single), Wall: cellsOf(estimate.Result{Verdict: estimate.Invalid}), Outputs: numerics.Unchecked("not asked for")},
			"SLOWER +4.08 % (95 % CI +3.95…+4.21 %) kernel time per step; wall not measured; outputs NOT-CHECKED; conditional",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &Comparison{Evidence: &abtest.Evidence{}, Result: &tt.result}
			if got := Line(c); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			// Markdown says the same, with weight.
			if md := headline(c).markdown(); !strings.HasPrefix(md, "**"+string(tt.result.Verdict)) || strings.Contains(md, "****") || strings.Count(md, "**")%2 != 0 {
				t.Errorf("Markdown %s", md)
			}
		})
	}
}

// Kernels whose change runs against the verdict are not its cause.
func TestTopKernel(t *testing.T) {
	row := func(name string, points float64) abtest.KernelRow {
		return abtest.KernelRow{NameA: name, NameB: name, ContributionPct: points}
	}
	r := &abtest.Result{Cells: []abtest.CellResult{
		{Kernels: []abtest.KernelRow{row("down", -5), row("up", 4), row("more", 3)}},
		{Kernels: []abtest.KernelRow{row("up", 4), row("more", 5)}},
	}}
	top, points, share := topKernel(r)
	if top == nil || top.NameA != "up" || points != 4 || math.Abs(share-4/5.5) > 1e-9 {
		t.Errorf("%+v, %g points, share %g", top, points, share)
	}
	if top, _, _ := topKernel(&abtest.Result{}); top != nil {
		t.Errorf("nothing changed, found %+v", top)
	}
}
