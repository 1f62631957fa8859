package estimate

import (
	"math"
	"sort"
)

// mostLaunches is as far as launchesToSettle looks.
const mostLaunches = 1000

// degrees are the degrees of freedom of an interval over k launches.
func degrees(k int) int {
	if k < fewestLaunches {
		return normal
	}
	return k - 1
}

// floorLog is the claim floor: the effect that launches of one build exceed in
// 5 % of runs, by a variance that is known.
func floorLog(variance float64, k int) float64 { return 1.96 * math.Sqrt(variance/float64(k)) }

// mde80Log is the smallest effect that k launches tell from none in 80 % of
// runs: (t_{1-α/2,K-1} + t_{0.80,K-1})·√(v/K).
func mde80Log(variance, alpha float64, k int) float64 {
	df := degrees(k)
	return (quantile(1-alpha/2, df) + quantile(0.80, df)) * math.Sqrt(variance/float64(k))
}

// resolvableLog is the smallest margin worth testing: one and a half times the
// half-width of the equivalence test, 1.5·t_{1-α,K-1}·√(v/K). Below it even
// arms without any difference would often not be found SAME.
func resolvableLog(variance, alpha float64, k int) float64 {
	return 1.5 * quantile(1-alpha, degrees(k)) * math.Sqrt(variance/float64(k))
}

// launchesToSettle is the smallest number of launches whose verdict is not
// INCONCLUSIVE if r's effect and the given variance stay; 0 above mostLaunches.
func launchesToSettle(r Result, variance float64) int {
	first := max(len(r.LaunchesLog)+1, fewestLaunches)
	settled := func(k int) bool {
		b := newBounds(r.EffectLog, math.Sqrt(variance/float64(k)), k-1, r.Alpha)
		if !r.SelfEstimated {
			b.FloorLog = floorLog(variance, k)
		}
		return b.verdict(r.EffectLog, r.MarginLog) != Inconclusive
	}
	// Bounds narrow with every launch, so what is settled stays settled.
	k := first + sort.Search(mostLaunches-first+1, func(i int) bool { return settled(first + i) })
	if k > mostLaunches {
		return 0
	}
	return k
}
