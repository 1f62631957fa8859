package estimate

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spread are three launches of effect ± dev: σ = dev, T = √3·effect/dev.
func spread(effect, dev float64) [][]float64 { return single(effect-dev, effect, effect+dev) }

// TestDecideCells: with 2 degrees of freedom a T of √3·10 has p = 0.0033, of
// √3·3 0.035. Holm's limits for three cells are 0.0167, 0.025 and 0.05.
func TestDecideCells(t *testing.T) {
	r := DecideCells([]Cell{
		{Name: "same", Weight: 2, Launches: spread(0, 0.0002)},
		{Name: "slower", Weight: 1, Launches: spread(0.02, 0.002)},
		{Name: "alone", Weight: 1, Launches: spread(-0.012, 0.004)},
	}, Rule{Margin: 0.005, Alpha: 0.05})
	var got []Verdict
	for _, c := range r.Cells {
		got = append(got, c.Verdict)
	}
	// Alone, a T of 5.2 is beyond t_{0.975,2} = 4.30; SAME has p = 1.
	if diff := cmp.Diff([]Verdict{Same, Slower, Inconclusive}, got); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
	if want := "FASTER only if it were the one cell (Holm)"; r.Cells[2].Reason != want {
		t.Errorf("reason %q, want %q", r.Cells[2].Reason, want)
	}
	// Launches: (2·-0.0002 + 0.018 - 0.016)/4, (0.02 - 0.012)/4, (2·0.0002 + 0.022 - 0.008)/4.
	if diff := cmp.Diff([]float64{0.0004, 0.002, 0.0036}, r.Primary.LaunchesLog, near); diff != "" {
		t.Errorf("primary (-want +got):\n%s", diff)
	}
	if v, reason := r.Overall(); v != Slower || reason != "cell slower" {
		t.Errorf("overall %s, %q", v, reason)
	}
	if r.AllSame() {
		t.Errorf("all are same")
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestOverall(t *testing.T) {
	of := func(primary Verdict, cells ...Verdict) CellsResult {
		r := CellsResult{Primary: Result{Verdict: primary}}
		for i, v := range cells {
			r.Cells = append(r.Cells, CellResult{Name: string(rune('a' + i)), Result: Result{Verdict: v}})
		}
		return r
	}
	gate := of(Slower, Same, Invalid)
	gate.Cells[1].Reason = "clocks"
	tests := []struct {
		name    string
		r       CellsResult
		want    Verdict
		reason  string
		allSame bool
	}{
		{"all same", of(Same, Same, Same), Same, "", true},
		{"the primary decides", of(Faster, Inconclusive, Same), Faster, "", false},
		{"a faster cell does not", of(Same, Faster, Same), Same, "", false},
		{"a slower cell does", of(Faster, Same, Slower), Slower, "cell b", false},
		{"a void cell voids", gate, Invalid, "cell b: clocks", false},
		{"no cell", of(Invalid), Invalid, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, reason := tt.r.Overall()
			if v != tt.want || reason != tt.reason || tt.r.AllSame() != tt.allSame {
				t.Errorf("%s, %q, all same %v", v, reason, tt.r.AllSame())
			}
		})
	}
}

// TestPrimaryCalibrated: deviations of 1e-3 and 3e-3 at weights 1 and 3 are at
// most 2.5e-3 together; a cell without calibration leaves the run's own.
func TestPrimaryCalibrated(t *testing.T) {
	cells := []Cell{
		{Name: "a", Weight: 1, Launches: single(0.001), Calibration: calibrationOf(t, 1e-6)},
		{Name: "b", Weight: 3, Launches: single(0.003), Calibration: calibrationOf(t, 9e-6)},
	}
	rule := Rule{Margin: 0.01, Alpha: 0.05, Calibration: calibrationOf(t, 1)}
	p := DecideCells(cells, rule).Primary
	if p.Bounds == nil || math.Abs(p.Bounds.SELog-0.0025) > 1e-8 || math.Abs(p.EffectLog-0.0025) > 1e-12 || !p.Conditional {
		t.Errorf("primary %+v", p)
	}
	cells[0].Calibration = nil
	if p := DecideCells(cells, rule).Primary; p.Bounds != nil || !p.SelfEstimated {
		t.Errorf("primary with a cell uncalibrated: %+v", p)
	}
	cells[0].Weight = 0
	if p := DecideCells(cells, rule).Primary; p.Bounds == nil || math.Abs(p.EffectLog-0.003) > 1e-12 {
		t.Errorf("primary of the calibrated cell alone: %+v", p)
	}
}

func TestDecideCellsInvalid(t *testing.T) {
	tests := []struct {
		name   string
		cells  []Cell
		reason string
	}{
		{"none", nil, "no cell has a weight"},
		{"no weight", []Cell{{Name: "a", Launches: spread(0, 1)}}, "no cell has a weight"},
		{"a weight below 0", []Cell{{Name: "a", Weight: -1, Launches: spread(0, 1)}}, "cell a: its weight is -1"},
		{"a launch missing", []Cell{{Name: "a", Weight: 1, Launches: spread(0, 1)}, {Name: "b", Weight: 1, Launches: single(1)}},
			"cell b: it has 1 launches, a has 3"},
		{"a cell not measured", []Cell{{Name: "a", Weight: 1, Launches: spread(0, 1)}, {Name: "b", Weight: 1}},
			"cell b: no launch was measured"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, reason := DecideCells(tt.cells, Rule{Margin: 0.005, Alpha: 0.05}).Overall()
			if v != Invalid || !strings.Contains(reason, tt.reason) {
				t.Errorf("%s, %q, want INVALID, %q", v, reason, tt.reason)
			}
		})
	}
}
