package estimate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlanNamed(t *testing.T) {
	p, err := PlanNamed("standard")
	want := Plan{Name: "standard", Looks: []Look{{4, 0.05}}, AttributionQuads: 8, TimingQuads: 24, Margin: 0.005}
	if diff := cmp.Diff(want, p); err != nil || diff != "" {
		t.Errorf("standard: %v (-want +got):\n%s", err, diff)
	}
	_, err = PlanNamed("fast")
	if err == nil || err.Error() != `plan "fast" is unknown, take one of ["quick" "ci" "standard" "sequential" "rigorous"]` {
		t.Errorf("error %v", err)
	}
	for _, p := range Plans() {
		if p.NeedsCalibration() != (p.Name == "quick") {
			t.Errorf("%s needs a calibration: %v", p.Name, p.NeedsCalibration())
		}
	}
}

// TestLooks plays the plan with two looks and one with a single look.
func TestLooks(t *testing.T) {
	two, one := mustPlan(t, "sequential"), mustPlan(t, "standard")
	tests := []struct {
		name     string
		plan     Plan
		launches int
		verdict  Verdict
		alpha    float64
		more     int
	}{
		{"before the first look", two, 2, Slower, 0.01, 2},
		{"first look, decided", two, 4, Slower, 0.01, 0},
		{"first look, open", two, 4, Inconclusive, 0.01, 4},
		{"cut short", two, 6, Inconclusive, 0.04, 2},
		{"second look", two, 8, Inconclusive, 0.04, 0},
		{"single look", one, 4, Inconclusive, 0.05, 0},
		{"more than planned", one, 6, Inconclusive, 0.05, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r := tt.plan.Rule(tt.launches, nil); r.Alpha != tt.alpha || r.Margin != tt.plan.Margin {
				t.Errorf("rule %+v, want alpha %g", r, tt.alpha)
			}
			if got := tt.plan.More(tt.launches, tt.verdict); got != tt.more {
				t.Errorf("%d more launches, want %d", got, tt.more)
			}
		})
	}
}

func mustPlan(t *testing.T, name string) Plan {
	t.Helper()
	p, err := PlanNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlanCheck: 1.5·t_{0.95,3} = 3.530; at a planning deviation of 0.16 % and 4
// launches a margin resolves from 0.2824 %, at 0.40 % from 0.706 % on; 6
// launches with t_{0.95,5} = 2.015 give 0.4936 % there and 7 with 1.943
// 0.4406 %.
func TestPlanCheck(t *testing.T) {
	tests := []struct {
		name      string
		plan      string
		margin    float64 // 0: the plan's
		deviation float64 // 0: uncalibrated
		cells     int
		want      string
	}{
		{"uncalibrated", "standard", 0, 0, 1, ""},
		{"fine", "standard", 0, 0.0016, 3, ""},
		{"too fine a margin", "standard", 0, 0.0040, 1,
			"margin 0.5 % is below what 4 launches resolve at the calibrated noise: take at least 0.71 % or 6 launches"},
		{"far too fine a margin", "quick", 0.00001, 0.0040, 1,
			"margin 0.001 % is below what 1 launches resolve at the calibrated noise: take at least 1.00 %"},
		{"one launch", "quick", 0, 0.0016, 1, ""},
		{"margin in percent", "standard", 5, 0, 1, "margin 5 is not between 0 and 1: give it as a fraction, 0.005 for 0.5 %"},
		{"many cells", "standard", 0, 0, 4, "plan standard has 4 launches, 4 cells need at least 6"},
		{"many cells, enough launches", "rigorous", 0, 0, 12, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustPlan(t, tt.plan)
			if tt.margin != 0 {
				p.Margin = tt.margin
			}
			var c *Calibration
			if tt.deviation != 0 {
				c = calibrationOf(t, tt.deviation*tt.deviation)
			}
			got := ""
			if err := p.Check(c, 2, tt.cells); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
}
