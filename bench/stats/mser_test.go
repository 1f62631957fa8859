package stats

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMSER(t *testing.T) {
	flat := func(n int, v float64) []float64 { return slices.Repeat([]float64{v}, n) }
	tests := []struct {
		name string
		z    []float64
		want int
	}{
		// By hand, n = 10. From 0: mean 9, Σ = 81+9·1 = 90, 90/100 = 0.9. From 1:
		// all 10: 0.
		{"one low batch", append([]float64{0}, flat(9, 10)...), 1},
		// From 0: mean 4.4, Σ = 4.4²+2.4²+7·0.6²+1.6² = 30.4, 0.304. From 1: mean
		// 44/9, Σ = (26/9)²+7·(1/9)²+(10/9)² = 9.68.., /81 = 0.1195. From 2: mean
		// 5.125, Σ = 7·0.125²+0.875² = 0.875, /64 = 0.0137; from 3: 0.857/49 = 0.0175.
		{"two low batches and a high one last", []float64{0, 2, 5, 5, 5, 5, 5, 5, 5, 6}, 2},
		{"constant", flat(12, 3), 0},
		{"a ramp has no steady state", []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, 15},
		// The last two are equal, and too few to be looked at.
		{"equal end", []float64{1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 2, 2}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := MSER(tt.z); !ok || got != tt.want {
				t.Errorf("truncation %d, %v, want %d", got, ok, tt.want)
			}
		})
	}
	if _, ok := MSER(flat(9, 1)); ok {
		t.Error("nine batches are enough")
	}
}

// TestMSERIsTheLeast compares with the definition, summed anew for every d, on
// random series; scale and shift change nothing.
func TestMSERIsTheLeast(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		z := make([]float64, 10+rng.IntN(60))
		level := 10 * rng.Float64()
		for i := range z {
			z[i] = rng.NormFloat64()
			if i < len(z)/4 {
				z[i] -= level
			}
		}
		want, least := 0, 0.0
		for d := 0; d <= len(z)-MSERTail; d++ {
			rest := z[d:]
			mean, sum := Mean(rest), 0.0
			for _, v := range rest {
				sum += (v - mean) * (v - mean)
			}
			if sum /= float64(len(rest) * len(rest)); d == 0 || sum < least {
				want, least = d, sum
			}
		}
		got, _ := MSER(z)
		moved := make([]float64, len(z))
		for i := range z {
			moved[i] = 4*z[i] + 16
		}
		if same, _ := MSER(moved); got != want || same != want {
			t.Fatalf("truncation %d, moved %d, want %d of %v", got, same, want, z)
		}
	}
}
