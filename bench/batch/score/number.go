package score

import (
	"fmt"
	"math"
	"strconv"

	"stepbench/bench/stats"
	"stepbench/internal/decimal"
)

// rate prints a share of rows in percent.
func rate(v float64) string { return decimal.Fixed(100*v, 1) + " %" }

// significant are the decimals with which v has four digits, three at most
// behind the point of small ones.
func significant(v float64) int {
	switch a := math.Abs(v); {
	case a >= 999.5:
		return 0
	case a >= 99.95:
		return 1
	case a >= 9.995:
		return 2
	}
	return 3
}

// scored prints a metric's value: a share of rows, or a perplexity.
func scored(metric string, v float64) string {
	if metric == Perplexity {
		return decimal.Fixed(v, significant(v))
	}
	return rate(v)
}

// spread prints an interval of a metric's values.
func spread(metric string, ci *stats.Interval) string {
	switch {
	case ci == nil:
		return decimal.Absent
	case metric == Perplexity:
		n := significant(ci.Hi)
		return decimal.Fixed(ci.Lo, n) + "…" + decimal.Fixed(ci.Hi, n)
	}
	return decimal.Fixed(100*ci.Lo, 1) + "…" + decimal.Fixed(100*ci.Hi, 1) + " %"
}

// change prints a difference: of rates in percentage points.
func change(metric string, v, about float64) string {
	if metric == Perplexity {
		return decimal.Signed(v, significant(about))
	}
	return decimal.Signed(100*v, 1)
}

// changeSpread prints the interval of a difference.
func changeSpread(metric string, ci *stats.Interval, about float64) string {
	if ci == nil {
		return decimal.Absent
	}
	return change(metric, ci.Lo, about) + "…" + change(metric, ci.Hi, about)
}

// pValue prints a probability.
func pValue(p float64) string {
	if p < 0.0005 {
		return "< 0.001"
	}
	return decimal.Fixed(p, 3)
}

// whole prints a number with its thousands apart.
func whole(n int64) string {
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "\u202f" + text[at:]
	}
	return text
}

// duration prints seconds so that the last digit still says something.
func duration(s float64) string {
	switch {
	case s < 0.9995:
		return decimal.Fixed(1e3*s, significant(1e3*s)) + " ms"
	case s < 120:
		return decimal.Fixed(s, 2) + " s"
	case s < 7200:
		return fmt.Sprintf("%d min %d s", int(s)/60, int(s)%60)
	}
	return fmt.Sprintf("%d h %d min", int(s)/3600, int(s)%3600/60)
}

// plural is "1 row" or "3 rows".
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return whole(n) + " " + many
}
