package stats

import (
	"slices"
	"sort"
)

// HodgesLehmann is the median of the Walsh averages (x_i + x_j)/2, i ≤ j, of x:
// the centre of symmetric data, nearly as precise as the mean on normal values
// and hardly moved by a few wild ones (Hodges and Lehmann 1963). It takes
// O(n² log n), is odd in x, and panics on an empty x, which need not be sorted.
func HodgesLehmann(x []float64) float64 {
	if len(x) == 0 {
		panic("stats: centre of nothing")
	}
	return middle(walsh(x))
}

// HodgesLehmannInterval is the distribution-free interval of the centre of
// independent values, each symmetric about it, that belongs to HodgesLehmann
// (Tukey's, from Wilcoxon's signed ranks; Conover 1999, section 5.7). With W
// the N = n(n+1)/2 ascending Walsh averages, counted from 1, T the signed-rank
// sum and α = 1-level, it is
//
//	[W_c, W_(N+1-c)], c the largest rank with P(T ≤ c-1) ≤ α/2
//
// It does not exist (ok false) where 2^-n > α/2: at 0.95 for n < 6.
func HodgesLehmannInterval(x []float64, level float64) (ci Interval, ok bool) {
	n := len(x)
	cdf := signedRankCDF(n)
	c := sort.Search(len(cdf), func(rank int) bool { return cdf[rank] > (1-level)/2 })
	if n == 0 || c == 0 {
		return Interval{}, false
	}
	w := walsh(x)
	return Interval{Lo: w[c-1], Hi: w[len(w)-c]}, true
}

// walsh are the averages of all pairs of x, each value with itself included,
// ascending.
func walsh(x []float64) []float64 {
	w := make([]float64, 0, len(x)*(len(x)+1)/2)
	for i, a := range x {
		for _, b := range x[i:] {
			w = append(w, a/2+b/2)
		}
	}
	slices.Sort(w)
	return w
}

// middle is the median of ascending x, computed so that it is exactly odd: the
// middle of -x is -middle(x) to the last bit, which interpolation does not
// promise.
func middle(x []float64) float64 {
	n := len(x)
	return x[(n-1)/2]/2 + x[n/2]/2
}

// signedRankCDF is P(T ≤ t), t = 0 … n(n+1)/2, of Wilcoxon's signed-rank sum:
// each rank 1 … n counts with probability 1/2.
func signedRankCDF(n int) []float64 {
	p := make([]float64, n*(n+1)/2+1)
	p[0] = 1
	for rank, top := 1, 0; rank <= n; rank++ {
		top += rank
		for t := top; t >= 0; t-- {
			p[t] /= 2
			if t >= rank {
				p[t] += p[t-rank] / 2
			}
		}
	}
	for t := 1; t < len(p); t++ {
		p[t] += p[t-1]
	}
	return p
}
