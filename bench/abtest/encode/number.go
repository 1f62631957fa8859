package encode

import (
	"fmt"
	"math"
	"strconv"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/stats"
	"stepbench/internal/decimal"
)

// digits are the decimals with which µs are printed: the last one is at most a
// thousandth of the value, and at least a nanosecond.
func digits(us float64) int {
	switch a := math.Abs(us); {
	case a >= 99.95:
		return 1
	case a >= 9.995:
		return 2
	}
	return 3
}

// micros prints a time; 0 means that nothing was measured.
func micros(us float64) string {
	if us == 0 {
		return decimal.Absent
	}
	return decimal.Fixed(us, digits(us))
}

// deltaMicros prints a difference of times and its interval.
func deltaMicros(us float64, ci *stats.Interval) string {
	n := digits(us)
	text := decimal.Signed(us, n)
	if ci != nil {
		text += " (" + decimal.Signed(ci.Lo, n) + "…" + decimal.Signed(ci.Hi, n) + ")"
	}
	return text
}

// percent prints an effect in logarithms.
func percent(log float64) string { return percents(estimate.Percent(log)) + " %" }

// percents prints a change in percent, without the sign for it.
func percents(pct float64) string {
	if math.Abs(pct) >= 99.995 {
		return decimal.Signed(pct, 0)
	}
	return decimal.Signed(pct, 2)
}

// span prints an interval of effects in logarithms.
func span(ci stats.Interval) string {
	return percents(estimate.Percent(ci.Lo)) + "…" + percents(estimate.Percent(ci.Hi)) + " %"
}

// plainPercent prints a size that has no direction: a margin, a floor.
func plainPercent(log float64) string {
	return strconv.FormatFloat(math.Round(1e3*estimate.Percent(log))/1e3, 'f', -1, 64) + " %"
}

// level is the confidence of an interval at 1-alpha: "95 %".
func level(alpha float64) string {
	return strconv.FormatFloat(math.Round(1e4*(1-alpha))/1e2, 'f', -1, 64) + " %"
}

// effect prints an estimate with its interval, as far as there is one.
func effect(r *estimate.Result) string {
	switch {
	case len(r.LaunchesLog) == 0:
		return decimal.Absent
	case r.Bounds == nil:
		return percent(r.EffectLog)
	}
	return percent(r.EffectLog) + " (" + span(r.Bounds.CI) + ")"
}

// calls prints the calls of a step, a whole number but for bursts of mixed
// shapes.
func calls(n float64) string { return strconv.FormatFloat(math.Round(1e3*n)/1e3, 'f', -1, 64) }

// duration prints seconds as people say them.
func duration(s float64) string {
	if s < 120 {
		return fmt.Sprintf("%.0f s", s)
	}
	whole := int(math.Round(s))
	if whole < 7200 {
		return fmt.Sprintf("%d min %d s", whole/60, whole%60)
	}
	return fmt.Sprintf("%d h %d min", whole/3600, whole%3600/60)
}

// plural is "1 launch" or "3 launches".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
