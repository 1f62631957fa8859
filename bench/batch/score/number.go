package score

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"stepbench/bench/stats"
)

// absent stands for what does not exist.
const absent = "–"

// rate prints a share of rows in percent.
func rate(v float64) string { return fixed(100*v, 1) + " %" }

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

func signed(v float64, digits int) string {
	text := fixed(v, digits)
	if v > 0 && text != absent && strings.Trim(text, "0.") != "" {
		return "+" + text
	}
	return text
}

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
		return fixed(v, significant(v))
	}
	return rate(v)
}

// spread prints an interval of a metric's values.
func spread(metric string, ci *stats.Interval) string {
	switch {
	case ci == nil:
		return absent
	case metric == Perplexity:
		n := significant(ci.Hi)
		return fixed(ci.Lo, n) + "…" + fixed(ci.Hi, n)
	}
	return fixed(100*ci.Lo, 1) + "…" + fixed(100*ci.Hi, 1) + " %"
}

// change prints a difference: of rates in percentage points.
func change(metric string, v, about float64) string {
	if metric == Perplexity {
		return signed(v, significant(about))
	}
	return signed(100*v, 1)
}

// changeSpread prints the interval of a difference.
func changeSpread(metric string, ci *stats.Interval, about float64) string {
	if ci == nil {
		return absent
	}
	return change(metric, ci.Lo, about) + "…" + change(metric, ci.Hi, about)
}

// pValue prints a probability.
func pValue(p float64) string {
	if p < 0.0005 {
		return "< 0.001"
	}
	return fixed(p, 3)
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
		return fixed(1e3*s, significant(1e3*s)) + " ms"
	case s < 120:
		return fixed(s, 2) + " s"
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
