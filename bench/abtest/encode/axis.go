package encode

import (
	"math"
	"strconv"
	"strings"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/stats"
	"stepbench/internal/decimal"
)

// Figures are drawn for a phone's width and grow no further than text stays
// text: their lengths are about a CSS pixel each.
const figureWidth = 360.0

// axis maps percent to places.
type axis struct {
	lo, hi     float64 // percent
	from, to   float64 // places of lo and hi
	tickValues []float64
	decimals   int
}

// newAxis covers all values, and 0.
func newAxis(from, to float64, values ...float64) axis {
	a := axis{from: from, to: to}
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			a.lo, a.hi = min(a.lo, v), max(a.hi, v)
		}
	}
	if a.hi == a.lo {
		a.lo, a.hi = -1, 1
	}
	pad := 0.06 * (a.hi - a.lo)
	a.lo, a.hi = a.lo-pad, a.hi+pad
	a.ticks()
	return a
}

// ticks are 3 to 7 round values.
func (a *axis) ticks() {
	rough := (a.hi - a.lo) / 6
	unit := math.Pow(10, math.Floor(math.Log10(rough)))
	step := 10 * unit
	for _, m := range []float64{1, 2, 5} {
		if m*unit >= rough {
			step = m * unit
			break
		}
	}
	a.decimals = max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	for k := math.Ceil(a.lo / step); k*step <= a.hi; k++ {
		a.tickValues = append(a.tickValues, k*step)
	}
}

// at is the place of v percent.
func (a axis) at(v float64) float64 { return a.from + (v-a.lo)/(a.hi-a.lo)*(a.to-a.from) }

// tick is a labelled place.
type tick struct {
	At    place
	Label string
}

func (a axis) labels() []tick {
	var all []tick
	for _, v := range a.tickValues {
		all = append(all, tick{place(a.at(v)), decimal.Signed(v, a.decimals)})
	}
	return all
}

// stretch is a part of an axis.
type stretch struct {
	At, Length place
}

// over is the part that an interval in logarithms takes.
func (a axis) over(ci stats.Interval) *stretch {
	x, y := a.at(estimate.Percent(ci.Lo)), a.at(estimate.Percent(ci.Hi))
	return &stretch{place(min(x, y)), place(math.Abs(y - x))}
}

// place is a coordinate, printed to a tenth.
type place float64

// String implements fmt.Stringer.
func (p place) String() string {
	text := strconv.FormatFloat(float64(p), 'f', 1, 64)
	return strings.TrimSuffix(strings.Replace(text, "-0.0", "0", 1), ".0")
}

// margin is the interval of changes that do not matter.
func margin(r *estimate.Result) stats.Interval {
	return stats.Interval{Lo: -r.MarginLog, Hi: r.MarginLog}
}

// floor is the interval of effects that are not claimed, nil without.
func floor(r *estimate.Result) *stats.Interval {
	if r.Bounds == nil || r.Bounds.FloorLog == 0 {
		return nil
	}
	return &stats.Interval{Lo: -r.Bounds.FloorLog, Hi: r.Bounds.FloorLog}
}
