package stats

import (
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// SumsBootstrap gives the interval at Level of a statistic that is a function
// of sums over independent units, as a mean, a ratio of sums or a difference of
// such is: the bias-corrected and accelerated bootstrap of Efron (1987), with
// Resamples draws and the acceleration from the jackknife. Its ends follow any
// monotonic change of scale, so the interval of exp(x) is exp of that of x.
//
// values holds the units one after the other, width values each; statistic
// gets the width sums and must not keep them. The random stream is ChaCha8
// seeded with the SHA-256 of key.
//
// There is none (ok false) for fewer than MinUnits units, where leaving out any
// one of them changes nothing, or where an end is not finite.
func SumsBootstrap(values []float64, width int, key string, statistic func(sums []float64) float64) (ci Interval, ok bool) {
	n := len(values) / width
	if n < MinUnits {
		return Interval{}, false
	}
	total := make([]float64, width)
	for i, v := range values {
		total[i%width] += v
	}
	estimate := statistic(total)
	accel, ok := acceleration(values, total, statistic)
	if !ok {
		return Interval{}, false
	}
	draws := make([]float64, 0, Resamples)
	rng := rand.NewChaCha8(sha256.Sum256([]byte(key)))
	sums := make([]float64, width)
	for range Resamples {
		clear(sums)
		for drawn := 0; drawn < n; drawn += 2 {
			// Two units a random word: n is so far below 2³² that the bias of
			// multiply-and-shift does not show.
			word := rng.Uint64()
			add(sums, values, int((word>>32)*uint64(n)>>32))
			if drawn+1 < n {
				add(sums, values, int((word&math.MaxUint32)*uint64(n)>>32))
			}
		}
		// A ratio may have no denominator in a rare resample: leave it out.
		if v := statistic(sums); !math.IsNaN(v) {
			draws = append(draws, v)
		}
	}
	if len(draws) == 0 {
		return Interval{}, false
	}
	slices.Sort(draws)
	bias := distuv.UnitNormal.Quantile(below(draws, estimate))
	end := func(p float64) float64 {
		z := bias + distuv.UnitNormal.Quantile(p)
		return Percentile(draws, distuv.UnitNormal.CDF(bias+z/(1-accel*z)))
	}
	if math.IsInf(bias, 0) {
		return Interval{}, false
	}
	ci = Interval{Lo: end((1 - Level) / 2), Hi: end((1 + Level) / 2)}
	if math.IsInf(ci.Lo, 0) || math.IsInf(ci.Hi, 0) {
		return Interval{}, false
	}
	return ci, true
}

func add(sums, values []float64, unit int) {
	for c := range sums {
		sums[c] += values[unit*len(sums)+c]
	}
}

// below is the share of ascending draws below the estimate. Those equal to it,
// of which rates have many, count half; rounding must not decide between them.
func below(draws []float64, estimate float64) float64 {
	same := 1e-9 * (draws[len(draws)-1] - draws[0])
	from, _ := slices.BinarySearch(draws, estimate-same)
	to, _ := slices.BinarySearch(draws, estimate+same)
	return float64(from+to) / float64(2*len(draws))
}

// acceleration is Σd³ / (6·(Σd²)^1.5) over the jackknife's deviations d = mean
// of θ_(i) - θ_(i), θ_(i) the statistic without unit i.
func acceleration(values, total []float64, statistic func([]float64) float64) (a float64, ok bool) {
	width := len(total)
	without := make([]float64, len(values)/width)
	rest := make([]float64, width)
	for i := range without {
		for c := range rest {
			rest[c] = total[c] - values[i*width+c]
		}
		if without[i] = statistic(rest); math.IsNaN(without[i]) || math.IsInf(without[i], 0) {
			return 0, false
		}
	}
	mean := Mean(without)
	var square, cube float64
	for _, v := range without {
		d := mean - v
		square += d * d
		cube += d * d * d
	}
	// Sums of floating-point numbers are not exact: what is left of equal
	// values is no spread.
	if square <= 1e-24*mean*mean*float64(len(without)) {
		return 0, false
	}
	return cube / (6 * math.Pow(square, 1.5)), true
}
