package workload

import (
	"math"
	"strings"
	"testing"

	"stepbench/bench/workload/workloadtest"
	"stepbench/engine"
)

func TestSaturation(t *testing.T) {
	slow := workloadtest.Default()
	slow.MaxSeqs = 1 // serves 3.6 requests/s
	tests := []struct {
		name   string
		in     Input
		want   Verdict
		reason string
	}{
		{"keeps up", simulated(t, constant(60, 2), workloadtest.Default()), No, "58 requests arrived in the window and 58 ended"},
		{"falls behind", simulated(t, constant(200, 4), slow), Yes, "in the system grew"},
		{"far behind", simulated(t, constant(120, 8), slow), Yes, "in the system grew"},
		{"nothing completed", func() Input {
			in := simulated(t, constant(20, 2), workloadtest.Default())
			each(&in, func(r *engine.RequestResult) { r.Finish = engine.FinishAbort })
			return in
		}(), Undecided, "no measured request completed"},
		{"too short to tell", simulated(t, constant(10, 20), slow), Undecided, "shorter than 5 times the mean service time"},
		{"offline", simulated(t, constant(10, math.Inf(1)), slow), NotApplicable, "at once"},
		{"nothing recorded", Input{Spec: newSpec(t, DefaultFlags())}, Undecided, "no measured window"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Summarize(tt.in).Saturation
			if s.Verdict != tt.want || !strings.Contains(s.Reason, tt.reason) {
				t.Errorf("verdict %q, reason %q; want %q, %q", s.Verdict, s.Reason, tt.want, tt.reason)
			}
		})
	}
}

// TestSaturationFalseAlarms: an engine at a third of its capacity is called
// saturated in few of 60 Poisson runs, and one at 1.5 times in nearly all.
func TestSaturationFalseAlarms(t *testing.T) {
	slow := workloadtest.Default()
	slow.MaxSeqs = 1
	verdicts := func(rate float64) map[Verdict]int {
		count := map[Verdict]int{}
		for seed := range uint64(60) {
			f := with(func(f *Flags) { f.Requests, f.RatePerS, f.Seed, f.OutputTokens = 100, rate, seed, 8 })
			v := newView(simulated(t, f, slow))
			count[v.saturation().Verdict]++
		}
		return count
	}
	// 8 tokens take 20 + 7·4.08 ms: 20.5 requests/s.
	if got := verdicts(7); got[Yes] > 2 {
		t.Errorf("at a third of capacity: %v", got)
	}
	if got := verdicts(31); got[Yes] < 57 {
		t.Errorf("at 1.5 times capacity: %v", got)
	}
}
