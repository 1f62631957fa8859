package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func near(t *testing.T, name string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s = %g, want %g ± %g", name, got, want, within)
	}
}

func TestMoments(t *testing.T) {
	x := []float64{7, 4, 2, 4, 5, 5, 9, 4} // Σ = 40, Σ(x-5)² = 32
	near(t, "mean", Mean(x), 5, 1e-12)
	sd, ok := SD(x)
	if !ok {
		t.Fatal("no deviation")
	}
	near(t, "sd", sd, math.Sqrt(32.0/7), 1e-12)
	cv, ok := CV(x)
	if !ok {
		t.Fatal("no variation")
	}
	near(t, "cv", cv, math.Sqrt(32.0/7)/5, 1e-12)
	// Median 4.5, deviations 0.5 0.5 0.5 0.5 0.5 2.5 2.5 4.5.
	near(t, "mad", MAD(x), 0.5, 1e-12)
	near(t, "mad of 1 2 9", MAD([]float64{9, 1, 2}), 1, 1e-12)
	if x[0] != 7 {
		t.Errorf("MAD reordered its argument")
	}
}

func TestMomentsThatDoNotExist(t *testing.T) {
	if _, ok := SD([]float64{1}); ok {
		t.Errorf("one value has a deviation")
	}
	if _, ok := CV([]float64{-1, 1}); ok {
		t.Errorf("values of mean 0 have a variation")
	}
	if _, ok := TInterval([]float64{1}, 0.95); ok {
		t.Errorf("one value has an interval")
	}
	if _, _, ok := Slope([]float64{1, 2}, 0.95); ok {
		t.Errorf("two values have a slope with a limit")
	}
}

func TestTInterval(t *testing.T) {
	// t_{0.975,4} = 2.776445, sd = sqrt(2.5), n = 5.
	ci, ok := TInterval([]float64{1, 2, 3, 4, 5}, 0.95)
	if !ok {
		t.Fatal("no interval")
	}
	half := 2.776445 * math.Sqrt(2.5/5)
	near(t, "lower end", ci.Lo, 3-half, 1e-5)
	near(t, "upper end", ci.Hi, 3+half, 1e-5)
}

// TestTIntervalCoverage: 4000 samples of normal data leave ±0.7 % (two
// deviations) around the nominal 95 %.
func TestTIntervalCoverage(t *testing.T) {
	const draws = 4000
	rng := rand.New(rand.NewPCG(2, 1))
	for _, n := range []int{2, 5, 12} {
		covered := 0
		x := make([]float64, n)
		for range draws {
			for i := range x {
				x[i] = 10 + rng.NormFloat64()
			}
			if ci, ok := TInterval(x, 0.95); ok && ci.Lo <= 10 && 10 <= ci.Hi {
				covered++
			}
		}
		near(t, "coverage", float64(covered)/draws, 0.95, 0.01)
	}
}

func TestSlope(t *testing.T) {
	slope, lower, ok := Slope([]float64{1, 3, 5, 7}, 0.95)
	if !ok {
		t.Fatal("no slope")
	}
	near(t, "slope of a line", slope, 2, 1e-12)
	near(t, "lower limit of a line", lower, 2, 1e-6)
	// x̄ = 1.5, Sxx = 5, Sxy = 4: slope 0.8, intercept 0.3, residuals -0.3,
	// 0.9, -0.9, 0.3, RSS 1.8, se = sqrt(0.9/5); t_{0.95,2} = 2.919986.
	slope, lower, _ = Slope([]float64{0, 2, 1, 3}, 0.95)
	near(t, "slope", slope, 0.8, 1e-12)
	near(t, "lower limit", lower, 0.8-2.919986*math.Sqrt(0.18), 1e-5)
}

// TestSlopeFalseAlarms: without a trend the limit is above 0 in 5 % of cases.
func TestSlopeFalseAlarms(t *testing.T) {
	const draws = 4000
	rng := rand.New(rand.NewPCG(3, 1))
	alarms := 0
	y := make([]float64, 10)
	for range draws {
		for i := range y {
			y[i] = rng.NormFloat64()
		}
		if _, lower, ok := Slope(y, 0.95); ok && lower > 0 {
			alarms++
		}
	}
	near(t, "false alarms", float64(alarms)/draws, 0.05, 0.01)
}
