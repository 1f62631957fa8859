package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"stepbench/bench/bottleneck"
	"stepbench/bench/workload"
)

// attainment is the share of requests that must keep the SLO at an operating
// point.
const attainment = 0.9

// recommend picks the highest rate that did not saturate, among the base and the
// points that vary its rate, at which nine tenths of the requests keep the SLO.
func (l *loader) recommend() {
	candidates := l.rates()
	if len(candidates) == 0 {
		return // nothing has a rate
	}
	best, undecided, missed := -1, 0, 0
	onset := math.Inf(1) // the lowest rate that saturated
	for _, i := range candidates {
		p := &l.a.Points[i]
		switch p.Saturation {
		case workload.Yes:
			onset = min(onset, p.RatePerS)
			continue
		case workload.Undecided:
			undecided++
			continue
		}
		if l.a.SLO != nil && l.kept(i) < attainment {
			missed++
			continue
		}
		if best < 0 || p.RatePerS > l.a.Points[best].RatePerS {
			best = i
		}
	}
	next := "; no rate that was tried saturates it"
	if !math.IsInf(onset, 1) {
		next = fmt.Sprintf("; %g requests/s saturate it", onset)
	}
	switch {
	case best >= 0 && l.a.SLO == nil:
		l.a.Recommended = &Recommendation{Point: best, Why: "the highest rate that did not saturate the engine; there is no SLO to keep" + next}
	case best >= 0:
		l.a.Recommended = &Recommendation{Point: best, Why: fmt.Sprintf(
			"the highest rate that did not saturate the engine and at which %.0f %% of the requests kept %s (at least %.0f %% are asked for)",
			100*l.kept(best), l.a.SLO, 100*attainment) + next}
	default:
		l.warn("no operating point is recommended: of %d points with a rate, %d are saturated, %d may or may not be and %d miss the SLO; lower the rate or send more requests",
			len(candidates), len(candidates)-undecided-missed, undecided, missed)
	}
}

// rates are the indices of the base and the points that differ from it by rate
// alone, or of all that have a rate where the suite has no base.
func (l *loader) rates() []int {
	var base, all []int
	for i := range l.a.Points {
		p := &l.a.Points[i]
		if p.RatePerS <= 0 || p.Problem != "" {
			continue
		}
		all = append(all, i)
		if p.Axis == "base" || p.Axis == "rate" {
			base = append(base, i)
		}
	}
	if len(base) > 0 {
		return base
	}
	return all
}

// kept is the share of a point's measured requests that kept the SLO.
func (l *loader) kept(point int) float64 {
	met, of := 0, 0
	for _, r := range l.runs[point] {
		if g := r.sum.Goodput; g != nil {
			met, of = met+g.Met, of+g.Of
		}
	}
	if of == 0 {
		return 0
	}
	return float64(met) / float64(of)
}

// roadmap lists what to do first: each class with the points where it is
// present, by its largest bound. Low utilisation counts only where it is the
// primary one: any light load has it.
func roadmap(points []Point) []RoadmapItem {
	items := map[bottleneck.Class]*RoadmapItem{}
	largest := map[bottleneck.Class]float64{}
	for i, p := range points {
		if p.Bottleneck == nil {
			continue
		}
		for _, f := range p.Bottleneck.Classes {
			if !f.Present || f.Class == bottleneck.LowUtilisation && p.Bottleneck.Primary != f.Class {
				continue
			}
			item := items[f.Class]
			if item == nil {
				item = &RoadmapItem{Class: string(f.Class)}
				items[f.Class] = item
			}
			item.Points = append(item.Points, i)
			if item.Advice == nil || f.X > largest[f.Class] {
				item.Bound, item.Advice, largest[f.Class] = f.Bound, f.Advice, f.X
			}
		}
	}
	var out []RoadmapItem
	for _, item := range items {
		out = append(out, *item)
	}
	slices.SortFunc(out, func(a, b RoadmapItem) int {
		return cmp.Or(cmp.Compare(unlimited(b.Bound), unlimited(a.Bound)), cmp.Compare(a.Class, b.Class))
	})
	return out
}

// unlimited puts a bound of 0, which stands for none, above all others.
func unlimited(bound float64) float64 {
	if bound == 0 {
		return math.Inf(1)
	}
	return bound
}
