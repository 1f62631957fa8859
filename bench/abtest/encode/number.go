package encode

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/stats"
)

// absent stands for what was not measured or does not exist.
const absent = "–"

// fixed prints v with a true minus sign, and never a negative zero.
func fixed(v float64, digits int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return absent
	}
	text := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
	if v < 0 && strings.Trim(text, "0.") != "" {
		return "−" + text
	}
	return text
}

// signed is fixed with a plus sign where v is above zero.
func signed(v float64, digits int) string {
	text := fixed(v, digits)
	if v > 0 && strings.Trim(text, "0.") != "" && text != absent {
		return "+" + text
	}
	return text
}

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
		return absent
	}
	return fixed(us, digits(us))
}

// deltaMicros prints a difference of times and its interval.
func deltaMicros(us float64, ci *stats.Interval) string {
	n := digits(us)
	text := signed(us, n)
	if ci != nil {
		text += " (" + signed(ci.Lo, n) + "…" + signed(ci.Hi, n) + ")"
	}
	return text
}

// percent prints an effect in logarithms.
func percent(log float64) string { return percents(estimate.Percent(log)) + " %" }

// percents prints a change in percent, without the sign for it.
func percents(pct float64) string {
	if math.Abs(pct) >= 99.995 {
		return signed(pct, 0)
	}
	return signed(pct, 2)
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
		return absent
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
