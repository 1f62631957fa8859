package stats

import (
	"maps"
	"math"
	"slices"
)

// SketchAccuracy is the largest relative error of a Sketch's percentiles.
const SketchAccuracy = 0.005

// Sketch gives percentiles of any number of values in memory that does not grow
// with it: the buckets of DDSketch (Masson, Rim and Lee, VLDB 2019), of which
// every ends at γ = (1+a)/(1-a) times where it begins, a the SketchAccuracy.
// Twelve orders of magnitude are under 2800 buckets. The order of the values
// does not matter. The zero Sketch is empty and ready.
type Sketch struct {
	buckets  map[int]int64 // ⌈log_γ v⌉ → values
	zeros    int64
	n        int64
	sum      float64
	min, max float64
}

var logGamma = math.Log((1 + SketchAccuracy) / (1 - SketchAccuracy))

// Add counts v ≥ 0 in. It returns false and leaves v out if it is negative, NaN
// or infinite.
func (s *Sketch) Add(v float64) bool {
	if !(v >= 0) || math.IsInf(v, 0) {
		return false
	}
	if s.n == 0 || v < s.min {
		s.min = v
	}
	s.max = max(s.max, v)
	s.n++
	s.sum += v
	if v == 0 {
		s.zeros++
		return true
	}
	if s.buckets == nil {
		s.buckets = map[int]int64{}
	}
	s.buckets[int(math.Ceil(math.Log(v)/logGamma))]++
	return true
}

// N is how many values were counted in.
func (s *Sketch) N() int64 { return s.n }

// Mean is the exact mean, NaN of no values.
func (s *Sketch) Mean() float64 { return s.sum / float64(s.n) }

// Max is the exact largest value, 0 of no values.
func (s *Sketch) Max() float64 { return s.max }

// Percentiles are the type-7 quantiles at ps, as Percentile's, to within
// SketchAccuracy; NaN of no values.
func (s *Sketch) Percentiles(ps ...float64) []float64 {
	out := make([]float64, len(ps))
	order := slices.Sorted(maps.Keys(s.buckets))
	at := func(rank int) float64 {
		seen := s.zeros
		if int64(rank) < seen {
			return 0
		}
		for _, b := range order {
			if seen += s.buckets[b]; int64(rank) < seen {
				// In the middle of the bucket as relative errors go.
				v := 2 * math.Exp(float64(b)*logGamma) / (1 + math.Exp(logGamma))
				return min(max(v, s.min), s.max)
			}
		}
		return s.max
	}
	for i, p := range ps {
		if out[i] = math.NaN(); s.n > 0 {
			out[i] = interpolate(int(s.n), p, at)
		}
	}
	return out
}
