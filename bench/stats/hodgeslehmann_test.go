package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestHodgesLehmann(t *testing.T) {
	tests := []struct {
		name string
		x    []float64
		want float64
	}{
		{"one value", []float64{3}, 3},
		// Walsh averages 1, 2, 3.
		{"two values", []float64{3, 1}, 2},
		// Walsh averages 1, 2, 3, 5, 6, 9: the mean of the middle two.
		{"an even count of averages", []float64{9, 1, 3}, 4},
		// 0, 0.5, 1, 1, 1.5, 2, 50, 50.5, 51, 100: the middle two are 1.5 and 2.
		{"a wild value", []float64{0, 1, 2, 100}, 1.75},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first := tt.x[0]
			near(t, "centre", HodgesLehmann(tt.x), tt.want, 1e-12)
			if tt.x[0] != first {
				t.Errorf("reordered its argument")
			}
		})
	}
}

// TestHodgesLehmannInterval compares with signed-rank tables: P(T ≤ 0) at n = 6
// is 1/64, P(T ≤ 3) and P(T ≤ 4) at n = 8 are 5/256 and 7/256.
func TestHodgesLehmannInterval(t *testing.T) {
	if _, ok := HodgesLehmannInterval([]float64{1, 2, 3, 4, 5}, 0.95); ok {
		t.Errorf("5 values have a 95 %% interval")
	}
	if _, ok := HodgesLehmannInterval(nil, 0.95); ok {
		t.Errorf("nothing has an interval")
	}
	ci, ok := HodgesLehmannInterval([]float64{1, 2, 4, 8, 16, 32}, 0.95)
	if !ok || ci != (Interval{1, 32}) {
		t.Errorf("of 6 values %v, %v, want the range", ci, ok)
	}
	// The 4 smallest averages of 0 … 7 are 0, 0.5, 1, 1: the fourth counts.
	ci, ok = HodgesLehmannInterval([]float64{0, 1, 2, 3, 4, 5, 6, 7}, 0.95)
	if !ok || ci != (Interval{1, 6}) {
		t.Errorf("of 8 values %v, %v, want [1, 6]", ci, ok)
	}
}

// TestHodgesLehmannIntervalCoverage: nominal even on Cauchy values, which have
// no mean.
func TestHodgesLehmannIntervalCoverage(t *testing.T) {
	const draws = 2000
	rng := rand.New(rand.NewPCG(4, 1))
	for _, n := range []int{6, 8, 24} {
		covered := 0
		x := make([]float64, n)
		for range draws {
			for i := range x {
				x[i] = 5 + math.Tan(math.Pi*(rng.Float64()-0.5)) // Cauchy
			}
			if ci, ok := HodgesLehmannInterval(x, 0.95); ok && ci.Lo <= 5 && 5 <= ci.Hi {
				covered++
			}
		}
		if share := float64(covered) / draws; share < 0.94 || share > 0.99 {
			t.Errorf("n %d: coverage %.3f", n, share)
		}
	}
}
