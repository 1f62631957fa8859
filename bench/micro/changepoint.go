package micro

import (
	"math"
	"slices"

	"stepbench/bench/stats"
)

// finestShift is too small a share of a value to care about.
const finestShift = 0.0005

// changepoints are the indices at which the mean of x shifts: the segmentation
// that minimises the sum over segments of squared deviations from their mean,
// plus a penalty of 3σ²·ln n for each change. It is found exactly, by the
// recursion that PELT (Killick et al. 2012) prunes; n is small here. σ is
// estimated from successive differences, which a shift leaves nearly alone:
// 1.4826 times the median of their sizes over √2, at least finestShift of the
// mean.
func changepoints(x []float64) []int {
	n := len(x)
	if n < 3 {
		return nil
	}
	diffs := make([]float64, n-1)
	for i := range diffs {
		diffs[i] = math.Abs(x[i+1] - x[i])
	}
	slices.Sort(diffs)
	sigma := scaledMAD * stats.Median(diffs) / math.Sqrt2
	sigma = max(sigma, finestShift*math.Abs(stats.Mean(x)))
	penalty := 3 * sigma * sigma * math.Log(float64(n))

	sum, square := make([]float64, n+1), make([]float64, n+1)
	for i, v := range x {
		v -= x[0] // keeps the squares small
		sum[i+1], square[i+1] = sum[i]+v, square[i]+v*v
	}
	cost := func(from, to int) float64 {
		s := sum[to] - sum[from]
		return square[to] - square[from] - s*s/float64(to-from)
	}
	best, last := make([]float64, n+1), make([]int, n+1)
	best[0] = -penalty
	for to := 1; to <= n; to++ {
		best[to] = math.Inf(1)
		for from := range to {
			if c := best[from] + cost(from, to) + penalty; c < best[to] {
				best[to], last[to] = c, from
			}
		}
	}
	var points []int
	for at := last[n]; at > 0; at = last[at] {
		points = append(points, at)
	}
	slices.Reverse(points)
	return points
}

// unsteadyRounds is the number of values at the start that precede the last
// change within the first quarter.
func unsteadyRounds(x []float64) int {
	drop := 0
	for _, at := range changepoints(x) {
		if 4*at <= len(x) {
			drop = at
		}
	}
	return drop
}
