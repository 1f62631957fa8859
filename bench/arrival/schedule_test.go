package arrival

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/stat/distuv"

	"stepbench/internal/golden"
)

func schedule(t *testing.T, spec Spec) []int64 {
	t.Helper()
	offsets, err := Schedule(spec)
	if err != nil {
		t.Fatal(err)
	}
	if len(offsets) != spec.Requests || !slices.IsSorted(offsets) || offsets[0] < 0 {
		t.Fatalf("%d offsets, sorted %v, first %d", len(offsets), slices.IsSorted(offsets), offsets[0])
	}
	return offsets
}

func gapsSeconds(offsets []int64) []float64 {
	gaps := make([]float64, len(offsets))
	last := int64(0)
	for i, o := range offsets {
		gaps[i] = float64(o-last) / 1e9
		last = o
	}
	return gaps
}

// TestGapDistribution checks mean, variance and the Kolmogorov-Smirnov
// distance of raw gaps against the process they are drawn from. The seeds are
// fixed; the bounds are those of a test at 0.1 %: 3.29 standard errors of the
// mean and 1.95/sqrt(n) for the distance.
func TestGapDistribution(t *testing.T) {
	const n = 20000
	tests := []struct {
		name string
		spec Spec
		want distuv.Gamma // Beta is a rate
	}{
		{"poisson 5/s", Spec{Pattern: Poisson, RatePerS: 5, Seed: 1}, distuv.Gamma{Alpha: 1, Beta: 5}},
		{"poisson 0.2/s", Spec{Pattern: Poisson, RatePerS: 0.2, Seed: 2}, distuv.Gamma{Alpha: 1, Beta: 0.2}},
		{"gamma 0.25", Spec{Pattern: Gamma, Shape: 0.25, RatePerS: 5, Seed: 3}, distuv.Gamma{Alpha: 0.25, Beta: 1.25}},
		{"gamma 1", Spec{Pattern: Gamma, Shape: 1, RatePerS: 20, Seed: 4}, distuv.Gamma{Alpha: 1, Beta: 20}},
		{"gamma 4", Spec{Pattern: Gamma, Shape: 4, RatePerS: 2, Seed: 5}, distuv.Gamma{Alpha: 4, Beta: 8}},
		{"gamma 1000", Spec{Pattern: Gamma, Shape: 1000, RatePerS: 2, Seed: 6}, distuv.Gamma{Alpha: 1000, Beta: 2000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Requests, tt.spec.Raw = n, true
			gaps := gapsSeconds(schedule(t, tt.spec))
			mean, variance := moments(gaps)
			if se := math.Sqrt(tt.want.Variance() / n); math.Abs(mean-tt.want.Mean()) > 3.29*se {
				t.Errorf("mean gap %g s, want %g ± %g", mean, tt.want.Mean(), 3.29*se)
			}
			// Var(s²) ≈ σ⁴·(kurtosis excess + 2)/n, the excess of a gamma is 6/k.
			se := tt.want.Variance() * math.Sqrt((6/tt.want.Alpha+2)/n)
			if math.Abs(variance-tt.want.Variance()) > 3.29*se {
				t.Errorf("variance %g s², want %g ± %g", variance, tt.want.Variance(), 3.29*se)
			}
			if d, limit := ksDistance(gaps, tt.want.CDF), 1.95/math.Sqrt(n); d > limit {
				t.Errorf("KS distance %g, limit %g", d, limit)
			}
		})
	}
}

// TestOnOffDistribution: on the clock that runs only while on, arrivals are
// Poisson of rate λ·(on+off)/on; bounds as in TestGapDistribution.
func TestOnOffDistribution(t *testing.T) {
	const n = 20000
	tests := []struct {
		name     string
		rate     float64
		on, off  float64
		rateOn   float64
		seed     uint64
		withFlag bool
	}{
		{name: "default periods", rate: 5, on: 1, off: 3, rateOn: 20, seed: 1},
		{name: "long silences", rate: 0.5, on: 2, off: 38, rateOn: 10, seed: 2, withFlag: true},
		{name: "mostly on", rate: 20, on: 9, off: 1, rateOn: 20 / 0.9, seed: 3, withFlag: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := Spec{Pattern: OnOff, RatePerS: tt.rate, Requests: n, Raw: true, Seed: tt.seed}
			if tt.withFlag {
				spec.OnS, spec.OffS = tt.on, tt.off
			}
			var gaps []float64
			last := 0.0
			for i, o := range schedule(t, spec) {
				at := float64(o) / 1e9
				period := math.Floor(at / (tt.on + tt.off))
				into := at - period*(tt.on+tt.off)
				if into > tt.on+1e-8 {
					t.Fatalf("arrival %d comes %g s into a period of which %g s are on", i, into, tt.on)
				}
				gaps = append(gaps, period*tt.on+into-last)
				last = period*tt.on + into
			}
			want := distuv.Exponential{Rate: tt.rateOn}
			mean, variance := moments(gaps)
			if se := want.StdDev() / math.Sqrt(n); math.Abs(mean-want.Mean()) > 3.29*se {
				t.Errorf("mean gap %g s while on, want %g ± %g", mean, want.Mean(), 3.29*se)
			}
			if se := want.Variance() * math.Sqrt(8.0/n); math.Abs(variance-want.Variance()) > 3.29*se {
				t.Errorf("variance %g s², want %g ± %g", variance, want.Variance(), 3.29*se)
			}
			if d, limit := ksDistance(gaps, want.CDF), 1.95/math.Sqrt(n); d > limit {
				t.Errorf("KS distance %g, limit %g", d, limit)
			}
		})
	}
}

// TestOnOffIsBursty: counts in 100 ms vary more than Poisson's, whose variance
// is their mean.
func TestOnOffIsBursty(t *testing.T) {
	dispersion := func(p Pattern) float64 {
		counts := make([]float64, 4001)
		for _, o := range schedule(t, Spec{Pattern: p, RatePerS: 20, Requests: 8000, Seed: 3}) {
			counts[o/100e6]++
		}
		mean, variance := moments(counts[:4000])
		return variance / mean
	}
	if d := dispersion(Poisson); d < 0.9 || d > 1.1 {
		t.Errorf("poisson: variance/mean %.2f, want 1", d)
	}
	// Mean 2, and in on and off tenths 8 and 0: variance 2 + 8²·¼·¾ = 14.
	if d := dispersion(OnOff); d < 6 || d > 8 {
		t.Errorf("on-off: variance/mean %.2f, want 7", d)
	}
}

// TestSmallestShape draws the variates themselves: a third of these gaps are
// too small for whole nanoseconds.
func TestSmallestShape(t *testing.T) {
	const n = 20000
	draw := newSource("smallest shape")
	x := make([]float64, n)
	for i := range x {
		if x[i] = draw.gamma(minShape); x[i] <= 0 {
			t.Fatalf("variate %d is %g", i, x[i])
		}
	}
	if d, limit := ksDistance(x, distuv.Gamma{Alpha: minShape, Beta: 1}.CDF), 1.95/math.Sqrt(n); d > limit {
		t.Errorf("KS distance %g, limit %g", d, limit)
	}
}

// TestGapsIndependent looks at the lag-1 autocorrelation of Poisson gaps.
func TestGapsIndependent(t *testing.T) {
	const n = 20000
	gaps := gapsSeconds(schedule(t, Spec{Pattern: Poisson, RatePerS: 1, Requests: n, Raw: true, Seed: 9}))
	mean, variance := moments(gaps)
	sum := 0.0
	for i := 1; i < n; i++ {
		sum += (gaps[i] - mean) * (gaps[i-1] - mean)
	}
	if r := sum / n / variance; math.Abs(r) > 3.29/math.Sqrt(n) {
		t.Errorf("lag-1 autocorrelation %g", r)
	}
}

func TestRescaledRateIsExact(t *testing.T) {
	for _, p := range []Pattern{Poisson, Constant, Burst, Gamma, OnOff} {
		for _, rate := range []float64{0.3, 2, 20, 1234.5} {
			for _, n := range []int{1, 7, 24, 1000} {
				spec := Spec{Pattern: p, RatePerS: rate, Requests: n, Seed: 11}
				if p == Gamma {
					spec.Shape = 0.5
				}
				want := int64(math.Round(float64(n) / rate * 1e9))
				if got := schedule(t, spec)[n-1]; got != want {
					t.Errorf("%s, %d at %g/s: last arrival at %d ns, want %d", p, n, rate, got, want)
				}
			}
		}
	}
}

func TestFixedSchedules(t *testing.T) {
	const s = 1e9
	tests := []struct {
		name string
		spec Spec
		want []int64
	}{
		{"constant", Spec{Pattern: Constant, Requests: 4, RatePerS: 2}, []int64{0.5 * s, s, 1.5 * s, 2 * s}},
		{"burst with a last partial group", Spec{Pattern: Burst, Requests: 5, RatePerS: 1, BurstSize: 2},
			[]int64{2 * s, 2 * s, 4 * s, 4 * s, 5 * s}},
		{"burst of the default size", Spec{Pattern: Burst, Requests: 12, RatePerS: 10},
			[]int64{s, s, s, s, s, s, s, s, s, s, 1.2 * s, 1.2 * s}},
		{"closed", Spec{Pattern: Closed, Requests: 2}, []int64{0, 0}},
		{"offline", Spec{Pattern: Offline, Requests: 3}, []int64{0, 0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, schedule(t, tt.spec)); diff != "" {
				t.Errorf("offsets in ns (-want +got):\n%s", diff)
			}
		})
	}
}

// TestScheduleGolden pins the first arrivals of seeded schedules: a change of
// Go, machine or code that moves one by a nanosecond shows here.
func TestScheduleGolden(t *testing.T) {
	var b strings.Builder
	for _, spec := range []Spec{
		{Pattern: Poisson, RatePerS: 5, Requests: 12, Seed: 1},
		{Pattern: Poisson, RatePerS: 5, Requests: 12, Seed: 1, Raw: true},
		{Pattern: Poisson, RatePerS: 5, Requests: 12, Seed: 2},
		{Pattern: Gamma, Shape: 0.25, RatePerS: 5, Requests: 12, Seed: 1},
		{Pattern: Gamma, Shape: 4, RatePerS: 5, Requests: 12, Seed: 1},
		{Pattern: OnOff, RatePerS: 5, Requests: 24, Seed: 1},
		{Pattern: OnOff, OnS: 0.5, OffS: 0.25, RatePerS: 5, Requests: 12, Seed: 1, Raw: true},
	} {
		fmt.Fprintf(&b, "%s shape %g raw %v key %s\n", spec.Pattern, spec.Shape, spec.Raw, spec.Key())
		for _, o := range schedule(t, spec) {
			fmt.Fprintf(&b, "%d\n", o)
		}
	}
	golden.Check(t, "testdata/schedules.txt", []byte(b.String()))
}

func TestSeedsDiffer(t *testing.T) {
	a := schedule(t, Spec{Pattern: Poisson, RatePerS: 5, Requests: 8, Seed: 1})
	b := schedule(t, Spec{Pattern: Poisson, RatePerS: 5, Requests: 8, Seed: 2})
	if slices.Equal(a, b) {
		t.Errorf("seeds 1 and 2 gave the same schedule %v", a)
	}
}

func TestPortableFunctions(t *testing.T) {
	draw := newSource("portable")
	for range 100000 {
		u := draw.uniform()
		if got, want := ln(u), math.Log(u); math.Abs(got-want) > 2e-15*max(1, math.Abs(want)) {
			t.Fatalf("ln(%g) = %g, want %g", u, got, want)
		}
		x := 700 * ln(u) / 36.8
		if got, want := exp(x), math.Exp(x); math.Abs(got/want-1) > 1e-13 {
			t.Fatalf("exp(%g) = %g, want %g", x, got, want)
		}
	}
	if ln(1) != 0 || exp(0) != 1 {
		t.Errorf("ln(1) = %g, exp(0) = %g", ln(1), exp(0))
	}
}

func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(x)-1)
}

// ksDistance is the largest distance of the empirical from the given
// distribution function.
func ksDistance(x []float64, cdf func(float64) float64) float64 {
	s := slices.Clone(x)
	slices.Sort(s)
	n, d := float64(len(s)), 0.0
	for i, v := range s {
		f := cdf(v)
		d = max(d, f-float64(i)/n, float64(i+1)/n-f)
	}
	return d
}
