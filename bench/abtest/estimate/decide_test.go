package estimate

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/bench/stats"
)

// near compares floats to the digits of printed tables.
var near = cmpopts.EquateApprox(1e-5, 3e-9)

// single makes launches of one quad, whose effects are x.
func single(x ...float64) [][]float64 {
	launches := make([][]float64, len(x))
	for i, v := range x {
		launches[i] = []float64{v}
	}
	return launches
}

func TestQuad(t *testing.T) {
	q := Quad{A1: 1, A2: 4, B1: 2, B2: 3.5}
	if got := q.D(); got != 0.25 {
		t.Errorf("D = %g, want 0.25", got)
	}
	drift := Quad{A1: 1, B1: 2, B2: 3, A2: 4} // ABBA
	if got := drift.D(); got != 0 {
		t.Errorf("D of a linear drift = %g, want 0", got)
	}
	if got := Percent(math.Log(1.018)); math.Abs(got-1.8) > 1e-12 {
		t.Errorf("ln 1.018 is %g %%, want 1.8", got)
	}
}

// TestDecide is computed by hand. θ = 0.0025, σ² = 5e-6/3, se = 0.000645497;
// t quantiles with 3 degrees at 0.80, 0.95, 0.975, 0.995 are 0.978472,
// 2.353363, 3.182446, 5.840909; T = √15 and with t/√3 = √5 the distribution
// function is 1/2 + (√5/6 + atan √5)/π.
func TestDecide(t *testing.T) {
	const se = 0.000645497
	got := Decide(single(0.004, 0.001, 0.003, 0.002), Rule{Margin: 0.005, Alpha: 0.05})
	want := Result{
		Verdict: Same, EffectLog: 0.0025, LaunchesLog: []float64{0.004, 0.001, 0.003, 0.002},
		MarginLog: 0.004987542, Alpha: 0.05, SelfEstimated: true,
		Bounds: &Bounds{
			SELog: se, DF: 3,
			CI:       stats.Interval{Lo: 0.0025 - 3.182446*se, Hi: 0.0025 + 3.182446*se},
			TOST:     stats.Interval{Lo: 0.0025 - 2.353363*se, Hi: 0.0025 + 2.353363*se},
			CI99:     stats.Interval{Lo: 0.0025 - 5.840909*se, Hi: 0.0025 + 5.840909*se},
			P:        1 - 2*(math.Sqrt(5)/6+math.Atan(math.Sqrt(5)))/math.Pi,
			MDE80Log: (3.182446 + 0.978472) * se,
		},
	}
	if diff := cmp.Diff(want, got, near); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name     string
		launches []float64
		margin   float64
		want     Verdict
		settle   int
	}{
		{"same although it excludes 0", []float64{0.001, 0.002, 0.003, 0.004}, 0.005, Same, 0},
		{"the same launches at a smaller margin", []float64{0.001, 0.002, 0.003, 0.004}, 0.003, Slower, 0},
		{"faster", []float64{-0.011, -0.012, -0.013, -0.010}, 0.005, Faster, 0},
		{"no spread, no effect", []float64{0, 0, 0}, 0.005, Same, 0},
		{"no spread, an effect", []float64{0.25, 0.25, 0.25}, 0.005, Slower, 0},
		// θ 0.002, σ 0.005164: SAME once t_{0.95}/√K < 0.57851; 0.57968 at 10, 0.54648 at 11.
		{"inconclusive, would be same", []float64{-0.004, 0, 0.004, 0.008}, 0.005, Inconclusive, 11},
		// θ 0.02, σ 0.02: SLOWER once t_{0.975}/√K < 1; 1.04934 at 6, 0.92485 at 7.
		{"inconclusive, would be slower", []float64{0, 0.02, 0.04}, 0.005, Inconclusive, 7},
		// σ is 2600 times the margin.
		{"hopeless", []float64{-0.03, -0.01, 0.01, 0.03}, 0.00001, Inconclusive, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Decide(single(tt.launches...), Rule{Margin: tt.margin, Alpha: 0.05})
			if r.Verdict != tt.want || r.LaunchesToSettle != tt.settle {
				t.Errorf("%s, %d launches to settle, want %s and %d", r.Verdict, r.LaunchesToSettle, tt.want, tt.settle)
			}
		})
	}
}

// TestDecideFewLaunches: v_U of the calibration is 1e-6 and z at 0.95, 0.975
// and 0.80 is 1.644854, 1.959964, 0.841621.
func TestDecideFewLaunches(t *testing.T) {
	c := calibrationOf(t, 1e-6)
	rule := Rule{Margin: 0.01, Alpha: 0.05, Calibration: c}
	r := Decide(single(0.004), rule)
	want := Result{
		Verdict: Same, EffectLog: 0.004, LaunchesLog: []float64{0.004}, MarginLog: 0.00995033, Alpha: 0.05, Conditional: true,
		Bounds: &Bounds{
			SELog: 1e-3,
			CI:    stats.Interval{Lo: 0.004 - 1.959964e-3, Hi: 0.004 + 1.959964e-3},
			TOST:  stats.Interval{Lo: 0.004 - 1.644854e-3, Hi: 0.004 + 1.644854e-3},
			CI99:  stats.Interval{Lo: 0.004 - 2.575829e-3, Hi: 0.004 + 2.575829e-3},
			P:     6.3342e-5, FloorLog: 1.96e-3, MDE80Log: 2.801585e-3,
		},
	}
	if diff := cmp.Diff(want, r, near); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if r := Decide(single(0.002, 0.03), rule); r.Verdict != Slower || !r.Conditional || !r.Noisier {
		t.Errorf("2 launches: %s, conditional %v, noisier %v, want SLOWER and both", r.Verdict, r.Conditional, r.Noisier)
	}

	rule.Calibration = nil
	r = Decide(single(0.5, 0.5), rule)
	if r.Verdict != Inconclusive || r.Bounds != nil || r.LaunchesToSettle != 3 || r.Reason == "" || !r.SelfEstimated {
		t.Errorf("2 launches without calibration: %+v", r)
	}
}

// TestFloor: an effect that the run's own spread shows is not claimed below the
// floor, which is 1.96·√(4e-6/4) here, and no sooner by more launches than it
// takes to lower it.
func TestFloor(t *testing.T) {
	effects := single(0.0015, 0.0014, 0.0016, 0.0015)
	rule := Rule{Margin: 0.001, Alpha: 0.05}
	if r := Decide(effects, rule); r.Verdict != Slower {
		t.Errorf("without calibration %s, want SLOWER", r.Verdict)
	}
	rule.Calibration = calibrationOf(t, 4e-6)
	r := Decide(effects, rule)
	if r.Verdict != Inconclusive || math.Abs(r.Bounds.FloorLog-0.00196) > 1e-8 || r.SelfEstimated || r.Noisier {
		t.Errorf("below the floor: %+v", r)
	}
	// t_{0.975,K-1}/√K < 0.75: 0.769 at 9, 0.715 at 10. The floor alone would do at 7.
	if r.LaunchesToSettle != 10 {
		t.Errorf("%d launches to settle, want 10", r.LaunchesToSettle)
	}
}

func TestDecideInvalid(t *testing.T) {
	tests := []struct {
		name     string
		launches [][]float64
		reason   string
	}{
		{"no launch", nil, "no launch"},
		{"an empty launch", [][]float64{{1}, {}, {1}}, "launch 2 has no quad"},
		{"an infinite value", [][]float64{{1}, {1, math.Inf(-1)}}, "launch 2 has a quad whose difference is not a number"},
		{"not a number", [][]float64{{math.NaN()}}, "launch 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Decide(tt.launches, Rule{Margin: 0.01, Alpha: 0.05})
			if r.Verdict != Invalid || !strings.Contains(r.Reason, tt.reason) || r.Bounds != nil {
				t.Errorf("%+v, want INVALID with %q", r, tt.reason)
			}
		})
	}
}

func TestEscalate(t *testing.T) {
	rule := Rule{Margin: 0.005, Alpha: 0.05}
	same := Decide(single(0, 0.0001, -0.0001, 0), rule)
	faster := Decide(single(-0.02, -0.021, -0.019), rule)
	slow := Decide(single(0.1, 0.1001, 0.0999), rule)
	noisy := Decide(single(0.1, 0.2, 0), rule)
	unbounded := Decide(single(0.5), rule)
	invalid := Decide(nil, rule)
	tests := []struct {
		name         string
		device, wall Result
		want         Verdict
		reason       string
	}{
		{"wall is slower beyond doubt", same, slow, Slower, "wall"},
		{"even where the device is faster", faster, slow, Slower, "wall"},
		{"wall in doubt", same, noisy, Same, ""},
		{"wall cannot clear", slow, same, Slower, ""},
		{"wall without bounds", same, unbounded, Same, ""},
		{"wall void", same, invalid, Same, ""},
		{"device void", invalid, slow, Invalid, invalid.Reason},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Escalate(tt.device, tt.wall)
			if r.Verdict != tt.want || r.Reason != tt.reason || r.EffectLog != tt.device.EffectLog {
				t.Errorf("%s, reason %q, want %s, %q", r.Verdict, r.Reason, tt.want, tt.reason)
			}
		})
	}
}

func TestEnoughQuads(t *testing.T) {
	steady := []float64{1, 1, 1, 1, 1, 1, 1, 1}
	wide := []float64{0, 7, 1, 6, 2, 5, 3, 4} // the interval is [1, 6]
	tests := []struct {
		name  string
		d     []float64
		half  float64
		floor int
		want  bool
	}{
		{"narrow", steady, 0.001, 8, true},
		{"below the floor", steady, 0.001, 9, false},
		{"too few for an interval", steady[:5], 0.001, 1, false},
		{"just as wide", wide, 2.5, 8, true},
		{"wider", wide, 2.49, 8, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := EnoughQuads(tt.d, tt.half, tt.floor); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	d, ok := Describe(single(1, 2, 3, 4, 5), 0.95)
	half := 2.776445 * math.Sqrt(0.5)
	if diff := cmp.Diff(Descriptive{Delta: 3, CI: &stats.Interval{Lo: 3 - half, Hi: 3 + half}}, d, near); !ok || diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if d, ok := Describe(single(1, 2), 0.95); !ok || d.Delta != 1.5 || d.CI != nil {
		t.Errorf("2 launches: %+v, %v, want 1.5 without interval", d, ok)
	}
	if _, ok := Describe([][]float64{{}}, 0.95); ok {
		t.Errorf("a launch without quads is described")
	}
}

func TestExitCode(t *testing.T) {
	tests := []struct {
		name     string
		differ   bool
		verdicts []Verdict
		want     int
	}{
		{"nothing", false, nil, 0},
		{"same and faster", false, []Verdict{Same, Faster}, 0},
		{"slower", false, []Verdict{Slower}, 1},
		{"inconclusive", false, []Verdict{Same, Inconclusive}, 2},
		{"slower before inconclusive", false, []Verdict{Inconclusive, Slower}, 1},
		{"faster with other outputs", true, []Verdict{Faster}, 4},
		{"outputs before slower", true, []Verdict{Slower}, 4},
		{"invalid before all", true, []Verdict{Slower, Invalid}, 3},
		{"unknown", false, []Verdict{""}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ExitCode(tt.differ, tt.verdicts...); got != tt.want {
				t.Errorf("exit code %d, want %d", got, tt.want)
			}
		})
	}
}

// TestEscalateByChance: wall time of arms that do not differ, 1.5 % from launch
// to launch, escalates in hardly any run.
func TestEscalateByChance(t *testing.T) {
	const runs = 2000
	rng := rand.New(rand.NewPCG(4, 1))
	rule := Rule{Margin: 0.005, Alpha: 0.05}
	same := Decide(single(0, 0, 0, 0), rule)
	escalated := 0
	for range runs {
		wall := single(0, 0, 0, 0)
		for k := range wall {
			wall[k][0] = 0.015 * rng.NormFloat64()
		}
		if Escalate(same, Decide(wall, rule)).Verdict == Slower {
			escalated++
		}
	}
	t.Logf("wall escalates by chance in %d of %d runs", escalated, runs)
	if escalated > runs/100 {
		t.Errorf("wall escalates by chance in %d of %d runs, want at most 1 %%", escalated, runs)
	}
}
