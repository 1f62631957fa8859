package stats

import "math"

// MSERTail is how many batches at the end [MSER] does not consider truncating
// to: a few that happen to be equal would look like a perfect steady state
// (Hoad, Robinson and Davies 2010, "Automating warm-up length estimation",
// Journal of the Operational Research Society 61).
const MSERTail = 5

// MSER is the truncation d of the batch means z, 0 ≤ d ≤ len(z)-MSERTail, that
// leaves the mean of the others with the smallest marginal standard error:
//
//	d = argmin Σ_{j≥d} (z_j - z̄_d)² / (len(z)-d)²
//
// on zero-based z, z̄_d being the mean from z_d on; the first d if several are
// equal. With batches of five observations it is MSER-5 (White 1997, "An
// effective truncation heuristic for bias reduction in simulation output",
// Simulation 69; Franklin and White 2008, "Stationarity tests and MSER-5",
// Winter Simulation Conference). A d above half of len(z) means that the series
// is too short to show a steady state. ok is false with fewer than 2·MSERTail
// batches.
func MSER(z []float64) (d int, ok bool) {
	n := len(z)
	if n < 2*MSERTail {
		return 0, false
	}
	// From the end, with Welford's update: count, mean and sum of squares of what
	// is left.
	least := math.Inf(1)
	mean, squares := 0.0, 0.0
	for i := n - 1; i >= 0; i-- {
		count := float64(n - i)
		delta := z[i] - mean
		mean += delta / count
		squares += delta * (z[i] - mean)
		if error := squares / (count * count); i <= n-MSERTail && error <= least {
			least, d = error, i
		}
	}
	return d, true
}
