package stats

import (
	"cmp"
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// Resamples is how often BlockBootstrap draws.
	Resamples = 2000
	// MinUnits is the fewest units it draws from: below, not even the median
	// has a 95 % interval, and resamples of so few values show too little
	// spread.
	MinUnits = 6
)

// BlockBootstrap gives the percentile interval at Level of each of several
// statistics of n units in order of time, whose neighbours may depend on each
// other, as requests that share steps do: the moving-block bootstrap of
// Künsch (1989). A resample strings together blocks of ⌈n^(1/3)⌉ successive
// units from random places until it has n.
//
// statistics gets how often each unit is in the resample, which is all that a
// mean, a ratio of sums or a percentile needs, and must always return the same
// number of values; it must not keep weight. The random stream is ChaCha8
// seeded with the SHA-256 of key.
//
// An entry of ok is false where n < MinUnits or an end is not finite.
func BlockBootstrap(n int, key string, statistics func(weight []int) []float64) (ci []Interval, ok []bool) {
	whole := make([]int, n)
	for i := range whole {
		whole[i] = 1
	}
	count := len(statistics(whole))
	ci, ok = make([]Interval, count), make([]bool, count)
	if n < MinUnits {
		return ci, ok
	}
	block := int(math.Ceil(math.Cbrt(float64(n))))
	rng := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(key))))
	draws := make([][]float64, count)
	weight := make([]int, n)
	for range Resamples {
		clear(weight)
		for drawn := 0; drawn < n; drawn += block {
			first := rng.IntN(n - block + 1)
			for i := range min(block, n-drawn) {
				weight[first+i]++
			}
		}
		for k, v := range statistics(weight) {
			// A statistic may not exist in a rare resample (0/0): leave it out.
			if !math.IsNaN(v) {
				draws[k] = append(draws[k], v)
			}
		}
	}
	for k, d := range draws {
		if len(d) == 0 {
			continue
		}
		slices.Sort(d)
		ci[k] = Interval{Lo: Percentile(d, (1-Level)/2), Hi: Percentile(d, (1+Level)/2)}
		if ok[k] = !math.IsInf(ci[k].Lo, 0) && !math.IsInf(ci[k].Hi, 0); !ok[k] {
			ci[k] = Interval{}
		}
	}
	return ci, ok
}

// Pool holds values that belong to units, several or none to each, such as the
// inter-token latencies of requests, for statistics under BlockBootstrap.
type Pool struct {
	values []float64 // ascending
	unit   []int     // of each value
	sum    []float64 // of each unit's values
	count  []int     // how many values each unit has
}

// NewPool pools groups[i], the values of unit i. Values may be +Inf, not NaN.
func NewPool(groups [][]float64) *Pool {
	type owned struct {
		value float64
		unit  int
	}
	p := &Pool{sum: make([]float64, len(groups)), count: make([]int, len(groups))}
	var all []owned
	for unit, values := range groups {
		p.count[unit] = len(values)
		for _, v := range values {
			all = append(all, owned{v, unit})
			p.sum[unit] += v
		}
	}
	slices.SortStableFunc(all, func(a, b owned) int { return cmp.Compare(a.value, b.value) })
	p.values, p.unit = make([]float64, len(all)), make([]int, len(all))
	for i, o := range all {
		p.values[i], p.unit[i] = o.value, o.unit
	}
	return p
}

// Values are all values, ascending. The slice belongs to p.
func (p *Pool) Values() []float64 { return p.values }

// Mean is the weighted mean, NaN if all weights are 0.
func (p *Pool) Mean(weight []int) float64 {
	var sum float64
	var n int
	for unit, w := range weight {
		if w > 0 { // 0 times Inf is not 0
			sum += float64(w) * p.sum[unit]
			n += w * p.count[unit]
		}
	}
	return sum / float64(n)
}

// Percentiles are the type-7 quantiles at ascending ps of the values, each
// repeated as often as its unit's weight says; NaN if all weights are 0.
func (p *Pool) Percentiles(weight []int, ps []float64) []float64 {
	out := make([]float64, len(ps))
	n := 0
	for unit, w := range weight {
		n += w * p.count[unit]
	}
	if n == 0 {
		for i := range out {
			out[i] = math.NaN()
		}
		return out
	}
	// Ranks are asked for in nearly ascending order, so one pass serves nearly
	// all; the values before values[next] stand for ranks below seen, and the
	// last of them for those from first.
	next, first, seen := 0, 0, 0
	at := func(rank int) float64 {
		if rank < first {
			next, seen = 0, 0
		}
		for seen <= rank {
			first = seen
			seen += weight[p.unit[next]]
			next++
		}
		return p.values[next-1]
	}
	for i, q := range ps {
		out[i] = interpolate(n, q, at)
	}
	return out
}
