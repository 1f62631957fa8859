package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func singles(x []float64) *Pool {
	groups := make([][]float64, len(x))
	for i, v := range x {
		groups[i] = []float64{v}
	}
	return NewPool(groups)
}

func TestPool(t *testing.T) {
	inf := math.Inf(1)
	p := NewPool([][]float64{{5, 1}, nil, {3}, {4, 2, inf}})
	if diff := cmp.Diff([]float64{1, 2, 3, 4, 5, inf}, p.Values()); diff != "" {
		t.Fatalf("values (-want +got):\n%s", diff)
	}
	ps := []float64{0.25, 0.5, 0.9}
	tests := []struct {
		name   string
		weight []int
		want   []float64 // expanded values, ascending
	}{
		{"each once", []int{1, 1, 1, 1}, []float64{1, 2, 3, 4, 5, inf}},
		{"some left out", []int{1, 0, 1, 0}, []float64{1, 3, 5}},
		{"repeated", []int{2, 3, 0, 1}, []float64{1, 1, 2, 4, 5, 5, inf}},
		{"one value twice", []int{0, 0, 2, 0}, []float64{3, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []float64
			for _, q := range ps {
				want = append(want, Percentile(tt.want, q))
			}
			if diff := cmp.Diff(want, p.Percentiles(tt.weight, ps)); diff != "" {
				t.Errorf("percentiles (-want +got):\n%s", diff)
			}
			if got, want := p.Mean(tt.weight), Mean(tt.want); got != want {
				t.Errorf("mean %g, want %g", got, want)
			}
		})
	}
	for _, v := range p.Percentiles([]int{0, 9, 0, 0}, ps) {
		if !math.IsNaN(v) {
			t.Errorf("percentile of no values is %g", v)
		}
	}
}

// TestPoolPercentilesClose asks for percentiles that share their ranks, the
// case in which the single pass has to go back.
func TestPoolPercentilesClose(t *testing.T) {
	x := []float64{1, 10, 100, 1000}
	ps := []float64{0.4, 0.41, 0.5, 0.66, 0.67, 0.9}
	var want []float64
	for _, q := range ps {
		want = append(want, Percentile(x, q))
	}
	if diff := cmp.Diff(want, singles(x).Percentiles([]int{1, 1, 1, 1}, ps)); diff != "" {
		t.Errorf("percentiles (-want +got):\n%s", diff)
	}
}

func TestBlockBootstrap(t *testing.T) {
	const n = 20
	seen := map[int]bool{}
	ci, ok := BlockBootstrap(n, "test", func(weight []int) []float64 {
		sum, first := 0, -1
		for i, w := range weight {
			sum += w
			if w > 0 && first < 0 {
				first = i
			}
		}
		if sum != n {
			t.Fatalf("resample of %d units, want %d", sum, n)
		}
		seen[first] = true
		return []float64{float64(sum), math.Inf(1), math.NaN()}
	})
	if diff := cmp.Diff([]bool{true, false, false}, ok); diff != "" {
		t.Fatalf("which intervals exist (-want +got):\n%s", diff)
	}
	if ci[0] != (Interval{n, n}) || ci[1] != (Interval{}) || ci[2] != (Interval{}) {
		t.Errorf("intervals %v", ci)
	}
	if !seen[0] {
		t.Errorf("no resample held the first unit")
	}
	if _, ok := BlockBootstrap(MinUnits-1, "test", func(w []int) []float64 { return []float64{1} }); ok[0] {
		t.Errorf("interval from %d units", MinUnits-1)
	}
}

func TestBlockBootstrapKeyed(t *testing.T) {
	x := []float64{3, 1, 4, 1, 5, 9, 2, 6}
	pool := singles(x)
	run := func(key string) Interval {
		ci, _ := BlockBootstrap(len(x), key, func(w []int) []float64 { return []float64{pool.Mean(w)} })
		return ci[0]
	}
	if a, b := run("one"), run("one"); a != b {
		t.Errorf("same key, %v and %v", a, b)
	}
	if a, b := run("one"), run("two"); a == b {
		t.Errorf("different keys, both %v", a)
	}
}

// coverage is the share of 300 first-order autoregressive series of n values
// whose interval holds the true mean, 0.
func coverage(seed uint64, n int, phi float64, interval func(x []float64) Interval) float64 {
	const draws = 300
	rng := rand.New(rand.NewPCG(seed, 1))
	covered := 0
	for range draws {
		x := make([]float64, n)
		state := rng.NormFloat64() / math.Sqrt(1-phi*phi)
		for i := range x {
			x[i] = state
			state = phi*state + rng.NormFloat64()
		}
		if ci := interval(x); ci.Lo <= 0 && 0 <= ci.Hi {
			covered++
		}
	}
	return float64(covered) / draws
}

func blockMean(x []float64) Interval {
	pool := singles(x)
	ci, _ := BlockBootstrap(len(x), "coverage", func(w []int) []float64 { return []float64{pool.Mean(w)} })
	return ci[0]
}

// TestBlockBootstrapCoverage shows what the block is for: on dependent values
// it holds the mean far more often than an interval that takes them for
// independent, if less than the nominal 95 %.
func TestBlockBootstrapCoverage(t *testing.T) {
	independent := coverage(1, 64, 0, blockMean)
	if independent < 0.88 || independent > 0.99 {
		t.Errorf("coverage on independent values %.3f", independent)
	}
	dependent := coverage(2, 64, 0.5, blockMean)
	naive := coverage(2, 64, 0.5, func(x []float64) Interval { ci, _ := TInterval(x, 0.95); return ci })
	if dependent < 0.80 || dependent < naive+0.05 {
		t.Errorf("coverage on dependent values %.3f, of the t interval %.3f", dependent, naive)
	}
}

// TestBlockBootstrapMedian: the interval of a percentile, as latency tables
// use it, on independent exponential values.
func TestBlockBootstrapMedian(t *testing.T) {
	const draws, n = 200, 48
	rng := rand.New(rand.NewPCG(5, 1))
	covered := 0
	for range draws {
		x := make([]float64, n)
		for i := range x {
			x[i] = rng.ExpFloat64()
		}
		pool := singles(x)
		ci, ok := BlockBootstrap(n, "median", func(w []int) []float64 { return pool.Percentiles(w, []float64{0.5}) })
		if ok[0] && ci[0].Lo <= math.Ln2 && math.Ln2 <= ci[0].Hi {
			covered++
		}
	}
	if share := float64(covered) / draws; share < 0.88 || share > 0.99 {
		t.Errorf("coverage %.3f", share)
	}
}

func BenchmarkBlockBootstrap(b *testing.B) {
	groups := make([][]float64, 200)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range groups {
		for range 128 {
			groups[i] = append(groups[i], rng.ExpFloat64())
		}
	}
	pool := NewPool(groups)
	if !slices.IsSorted(pool.Values()) {
		b.Fatal("values not sorted")
	}
	for b.Loop() {
		BlockBootstrap(len(groups), "bench", func(w []int) []float64 {
			return append(pool.Percentiles(w, []float64{0.5, 0.9, 0.99}), pool.Mean(w))
		})
	}
}
