package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// SignTest is the two-sided exact p-value of rises and falls being equally
// likely, pairs that did not change left out: min(1, 2·P(B ≤ min)), B binomial
// of rises+falls trials at 1/2. On pairs of 0 and 1 it is McNemar's exact test.
// It is 1 of no change.
func SignTest(rises, falls int64) float64 {
	n := rises + falls
	if n == 0 {
		return 1
	}
	return min(1, 2*distuv.Binomial{N: float64(n), P: 0.5}.CDF(float64(min(rises, falls))))
}

// WilsonInterval is the score interval at Level of a proportion (Wilson 1927),
// which exists where all n trials ended alike, too. With z the normal quantile
// of (1+Level)/2 and p = hits/n it is
//
//	(p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)
//
// It panics on n = 0.
func WilsonInterval(hits, n float64) Interval {
	if n == 0 {
		panic("stats: proportion of nothing")
	}
	z := distuv.UnitNormal.Quantile((1 + Level) / 2)
	p := hits / n
	centre := p + z*z/(2*n)
	half := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	// The ends of a proportion of 0 or 1 are 0 and 1, not nearly so.
	ci := Interval{Lo: (centre - half) / (1 + z*z/n), Hi: (centre + half) / (1 + z*z/n)}
	if hits == 0 {
		ci.Lo = 0
	}
	if hits == n {
		ci.Hi = 1
	}
	return ci
}
