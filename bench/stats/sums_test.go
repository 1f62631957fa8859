package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mean(s []float64) float64 { return s[0] / s[1] }

// A 95 % interval must hold the truth 95 times in 100. With 600 data sets the
// binomial deviation of that rate is 0.9 points.
func TestSumsBootstrapCoverage(t *testing.T) {
	const sets = 600
	rates := func(n int, low, high float64) func(*rand.Rand) ([]float64, float64) {
		return func(r *rand.Rand) (values []float64, truth float64) {
			// Of one rate, coverage hangs on where the few possible means lie.
			p := low + (high-low)*r.Float64()
			for range n {
				values = append(values, hit(r, p), 1)
			}
			return values, p
		}
	}
	tests := []struct {
		name      string
		width     int
		draw      func(r *rand.Rand) (values []float64, truth float64)
		statistic func([]float64) float64
	}{
		{"mean of normal values", 2, func(r *rand.Rand) (values []float64, truth float64) {
			for range 60 {
				values = append(values, r.NormFloat64()+3, 1)
			}
			return values, 3
		}, mean},
		{"rates about a half", 2, rates(80, 0.4, 0.6), mean},
		{"high rates", 2, rates(80, 0.85, 0.95), mean},
		{
			// Token-weighted, as the perplexity of a corpus is.
			"exp of a ratio of sums", 2, func(r *rand.Rand) (values []float64, truth float64) {
				for range 80 {
					w := float64(20 + r.IntN(200))
					values = append(values, w*(2.5+0.6*r.NormFloat64()), w)
				}
				return values, math.Exp(2.5)
			},
			func(s []float64) float64 { return math.Exp(s[0] / s[1]) },
		},
		{"paired difference of rates", 3, func(r *rand.Rand) (values []float64, truth float64) {
			for range 150 {
				a := hit(r, 0.5)
				b := a
				if r.Float64() < 0.2 {
					b = hit(r, 0.5)
				}
				values = append(values, a, b, 1)
			}
			return values, 0
		}, func(s []float64) float64 { return (s[1] - s[0]) / s[2] }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, 2))
			covered, exist := 0, 0
			for set := range sets / thinning {
				values, truth := tt.draw(rng)
				ci, ok := SumsBootstrap(values, tt.width, fmt.Sprint(set), tt.statistic)
				if !ok {
					continue
				}
				exist++
				if ci.Lo <= truth && truth <= ci.Hi {
					covered++
				}
			}
			rate := float64(covered) / float64(exist)
			t.Logf("%.1f %% of %d", 100*rate, exist)
			if exist < sets/thinning-2 {
				t.Errorf("only %d of %d intervals exist", exist, sets/thinning)
			}
			if slack := 0.02 * math.Sqrt(thinning); rate < 0.95-slack || rate > 0.95+slack {
				t.Errorf("covers the truth in %.1f %%, want 93 to 97 %%", 100*rate)
			}
		})
	}
}

func hit(r *rand.Rand, p float64) float64 {
	if r.Float64() < p {
		return 1
	}
	return 0
}

func TestSumsBootstrap(t *testing.T) {
	ones := func(n int, v float64) (all []float64) {
		for range n {
			all = append(all, v, 1)
		}
		return all
	}
	tests := []struct {
		name   string
		values []float64
		ok     bool
	}{
		{"nothing", nil, false},
		{"five units", append(ones(4, 0), 1, 1), false},
		{"six units", append(ones(5, 0), 1, 1), true},
		{"equal units", ones(50, 1.0/3), false},
		{"not finite", append(ones(9, 0), math.Inf(1), 1), false},
		{"not a number", append(ones(9, 0), math.NaN(), 1), false},
		{"no weight", make([]float64, 40), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ci, ok := SumsBootstrap(tt.values, 2, "key", mean)
			if ok != tt.ok {
				t.Fatalf("ok %v, want %v", ok, tt.ok)
			}
			if !ok && ci != (Interval{}) {
				t.Errorf("no interval, but %v", ci)
			}
			if again, _ := SumsBootstrap(tt.values, 2, "key", mean); again != ci {
				t.Errorf("again %v, before %v", again, ci)
			}
			if m := mean([]float64{1, 6}); ok && (ci.Lo > m || ci.Hi < m || ci.Lo == ci.Hi) {
				t.Errorf("%v does not span the mean %v", ci, m)
			}
		})
	}
}

// Known in closed form: a large mean's interval is ± 1.96 sd/√n, on any scale.
func TestSumsBootstrapOfMany(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var values []float64
	for range 4096 {
		values = append(values, rng.NormFloat64(), 1)
	}
	ci, _ := SumsBootstrap(values, 2, "key", mean)
	if half := (ci.Hi - ci.Lo) / 2; math.Abs(half/(1.96/64)-1) > 0.08 {
		t.Errorf("half width %.4f, want about %.4f", half, 1.96/64)
	}
	up, _ := SumsBootstrap(values, 2, "key", func(s []float64) float64 { return math.Exp(mean(s)) })
	if math.Abs(math.Log(up.Lo)-ci.Lo) > 1e-3 || math.Abs(math.Log(up.Hi)-ci.Hi) > 1e-3 {
		t.Errorf("of exp %v, exp of %v", up, ci)
	}
}

func TestSketch(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	exact := make([]float64, 5000)
	var s Sketch
	for i := range exact {
		exact[i] = math.Exp(4 * rng.NormFloat64())
		if !s.Add(exact[i]) {
			t.Fatalf("refused %v", exact[i])
		}
	}
	for _, v := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if s.Add(v) {
			t.Errorf("took %v", v)
		}
	}
	if s.N() != 5000 || s.Max() != slices.Max(exact) || math.Abs(s.Mean()-Mean(exact)) > 1e-9*Mean(exact) {
		t.Errorf("n %d, max %v, mean %v", s.N(), s.Max(), s.Mean())
	}
	ps := []float64{0, 0.01, 0.5, 0.9, 0.999, 1}
	sorted := slices.Sorted(slices.Values(exact))
	for i, got := range s.Percentiles(ps...) {
		if want := Percentile(sorted, ps[i]); math.Abs(got-want) > 1.0001*SketchAccuracy*want {
			t.Errorf("p%v = %v, want %v", ps[i], got, want)
		}
	}
}

func TestSketchOfFew(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		median float64
	}{
		{"one", []float64{0.37}, 0.37},
		{"equal", []float64{2, 2, 2}, 2},
		{"zeros", []float64{0, 0, 5}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Sketch
			for _, v := range tt.values {
				s.Add(v)
			}
			if diff := cmp.Diff([]float64{tt.median}, s.Percentiles(0.5)); diff != "" {
				t.Error(diff)
			}
		})
	}
	var none Sketch
	if got := none.Percentiles(0.5)[0]; !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
}

// p-values as R's binom.test(c(rises, falls)) prints them.
func TestSignTest(t *testing.T) {
	tests := []struct {
		name         string
		rises, falls int64
		p            float64
	}{
		{"no change", 0, 0, 1},
		{"one", 1, 0, 1},
		{"five alike", 5, 0, 0.0625},
		{"six alike", 0, 6, 0.03125},
		{"even", 4, 4, 1},
		{"ten to two", 10, 2, 0.03857421875},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if p := SignTest(tt.rises, tt.falls); math.Abs(p-tt.p) > 1e-12 {
				t.Errorf("p = %v, want %v", p, tt.p)
			}
		})
	}
	// Of many, the normal distribution's: 2·Φ(-2) with the correction of 1/2.
	if p := SignTest(500500, 499500); math.Abs(p-0.3178) > 0.001 {
		t.Errorf("of a million: p = %v", p)
	}
}

// Intervals as R's prop.test(hits, n, correct = FALSE) prints them.
func TestWilsonInterval(t *testing.T) {
	tests := []struct {
		name    string
		hits, n float64
		want    Interval
	}{
		{"all", 10, 10, Interval{0.7224672, 1}},
		{"none", 0, 10, Interval{0, 0.2775328}},
		{"half", 5, 10, Interval{0.2365931, 0.7634069}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := WilsonInterval(tt.hits, tt.n)
			if math.Abs(got.Lo-tt.want.Lo) > 1e-6 || math.Abs(got.Hi-tt.want.Hi) > 1e-6 {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
