package stats

import (
	"cmp"
	"slices"
)

// Holm tells which of several hypotheses are rejected so that the probability
// of any false rejection stays at alpha, whatever their dependence (Holm 1979):
// in rising order, p_(i) of M is rejected while p_(i) ≤ alpha/(M-i+1), i from 1.
// The result is in the order of p.
func Holm(p []float64, alpha float64) []bool {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	rejected := make([]bool, len(p))
	for rank, i := range order {
		if !(p[i] <= alpha/float64(len(p)-rank)) {
			break
		}
		rejected[i] = true
	}
	return rejected
}
