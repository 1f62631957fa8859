package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPercentile(t *testing.T) {
	inf := math.Inf(1)
	tests := []struct {
		name string
		x    []float64
		p    float64
		want float64
	}{
		{"one value", []float64{3}, 0.99, 3},
		{"median of an odd count", []float64{1, 2, 9}, 0.5, 2},
		{"median of an even count", []float64{1, 2, 4, 9}, 0.5, 3},
		{"p90 of 5", []float64{10, 20, 30, 40, 50}, 0.9, 46}, // h = 3.6
		{"p25 of 4", []float64{1, 2, 3, 4}, 0.25, 1.75},      // NumPy's documented example
		{"minimum", []float64{1, 2}, 0, 1},
		{"maximum", []float64{1, 2}, 1, 2},
		{"below the unfinished", []float64{1, 2, 3, inf, inf}, 0.5, 3},
		{"into the unfinished", []float64{1, 2, 3, inf, inf}, 0.6, inf},
		{"among the unfinished", []float64{1, 2, 3, inf, inf}, 0.9, inf},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Percentile(tt.x, tt.p); got != tt.want && !(math.Abs(got-tt.want) < 1e-12) {
				t.Errorf("got %g, want %g", got, tt.want)
			}
		})
	}
}

func TestMinSamples(t *testing.T) {
	for p, want := range map[float64]int{0.5: 6, 0.9: 36, 0.1: 36, 0.95: 72, 0.99: 368} {
		if got := MinSamples(p, 0.95); got != want {
			t.Errorf("MinSamples(%g) = %d, want %d", p, got, want)
		}
		x := make([]float64, want)
		if _, ok := PercentileInterval(x[1:], p, 0.95); ok {
			t.Errorf("p%g of %d values has an interval", 100*p, want-1)
		}
		if _, ok := PercentileInterval(x, p, 0.95); !ok {
			t.Errorf("p%g of %d values has no interval", 100*p, want)
		}
	}
	if _, ok := PercentileInterval(make([]float64, 1000), 1, 0.95); ok {
		t.Errorf("the maximum of a distribution has an interval")
	}
}

// TestPercentileInterval compares with ranks computed by hand from binomial
// tables.
func TestPercentileInterval(t *testing.T) {
	ranks := func(n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = float64(i + 1)
		}
		return x
	}
	tests := []struct {
		name string
		n    int
		p    float64
		want Interval
	}{
		{"median of 6 is the range", 6, 0.5, Interval{1, 6}},
		{"median of 8", 8, 0.5, Interval{1, 8}},    // P(B≤1) = 0.0352
		{"median of 9", 9, 0.5, Interval{2, 8}},    // P(B≤1) = 0.0195
		{"median of 20", 20, 0.5, Interval{6, 15}}, // P(B≤5) = 0.0207, P(B≤6) = 0.0577
		{"p90 of 36", 36, 0.9, Interval{29, 36}},   // P(B≤28) = 0.0189, P(B≤29) = 0.0523
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := PercentileInterval(ranks(tt.n), tt.p, 0.95)
			if !ok {
				t.Fatal("no interval")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ranks (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPercentileIntervalCoverage draws exponential samples whose percentiles
// are known and counts how often the interval holds them. The nominal 95 % is
// a lower bound; 2000 draws leave ±1 % (two deviations).
func TestPercentileIntervalCoverage(t *testing.T) {
	const draws = 2000
	rng := rand.New(rand.NewPCG(1, 1))
	for _, tt := range []struct {
		n int
		p float64
	}{{6, 0.5}, {21, 0.5}, {60, 0.9}, {368, 0.99}} {
		truth := -math.Log(1 - tt.p)
		covered := 0
		x := make([]float64, tt.n)
		for range draws {
			for i := range x {
				x[i] = rng.ExpFloat64()
			}
			slices.Sort(x)
			ci, ok := PercentileInterval(x, tt.p, 0.95)
			if ok && ci.Lo <= truth && truth <= ci.Hi {
				covered++
			}
		}
		if share := float64(covered) / draws; share < 0.94 || share > 0.995 {
			t.Errorf("n %d p%g: coverage %.3f", tt.n, 100*tt.p, share)
		}
	}
}
