package stats

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// Percentile is the p-quantile, p in [0, 1], of ascending x: type 7 of Hyndman
// and Fan (1996), the default of NumPy and R. With h = (n-1)p it is
//
//	x[⌊h⌋] + (h-⌊h⌋)·(x[⌊h⌋+1] - x[⌊h⌋])
//
// on zero-based x. Values may be +Inf, as those of unfinished requests. It
// panics on an empty x.
func Percentile(x []float64, p float64) float64 {
	return interpolate(len(x), p, func(i int) float64 { return x[i] })
}

// interpolate is Percentile over n ascending values given by index.
func interpolate(n int, p float64, at func(int) float64) float64 {
	h := float64(n-1) * p
	floor := math.Floor(h)
	lo := at(int(floor))
	if h == floor {
		return lo // and not lo + 0·(Inf-lo)
	}
	hi := at(int(floor) + 1)
	if lo == hi {
		return lo // and not Inf - Inf
	}
	return lo + (h-floor)*(hi-lo)
}

// Median is the 0.5-percentile of ascending x.
func Median(x []float64) float64 { return Percentile(x, 0.5) }

// PercentileInterval is the distribution-free interval of the p-quantile from
// the order statistics of ascending, independent x (Conover 1999, section
// 3.2). With B binomial(n, p) and α = 1-level, its ends are x_(l) and x_(u),
// counted from 1, where
//
//	l is the largest rank with P(B ≤ l-1) ≤ α/2
//	u is the smallest rank with P(B ≥ u) ≤ α/2
//
// It does not exist (ok false) for n below MinSamples(p, level).
func PercentileInterval(x []float64, p, level float64) (ci Interval, ok bool) {
	n := len(x)
	if n == 0 || n < MinSamples(p, level) {
		return Interval{}, false
	}
	tail := (1 - level) / 2
	cdf := distuv.Binomial{N: float64(n), P: p}.CDF
	// Both conditions are monotonic in the rank. The first asks for the last
	// rank at which it holds, the second for the first.
	l := sort.Search(n, func(i int) bool { return cdf(float64(i)) > tail })
	u := 1 + sort.Search(n-1, func(i int) bool { return 1-cdf(float64(i)) <= tail })
	return Interval{Lo: x[l-1], Hi: x[u-1]}, true
}

// MinSamples is the smallest n for which the order-statistic interval of the
// p-quantile exists: max(p, 1-p)^n ≤ (1-level)/2. For level 0.95 it is 6 at
// the median, 36 at p90, 72 at p95 and 368 at p99. A percentile of fewer
// values is not worth printing. The ends p = 0 and 1 have none at any n.
func MinSamples(p, level float64) int {
	if p <= 0 || p >= 1 {
		return math.MaxInt
	}
	return int(math.Ceil(math.Log((1-level)/2) / math.Log(max(p, 1-p))))
}
