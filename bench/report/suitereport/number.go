package suitereport

import (
	"fmt"
	"math"
	"strconv"

	"stepbench/bench/analysis"
)

// number prints v with three digits that count, without an exponent.
func number(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return absent
	}
	switch a := math.Abs(v); {
	case a >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.9995 || a == 0:
		return fmt.Sprintf("%.2f", v)
	case a >= 0.0095:
		return fmt.Sprintf("%.3f", v)
	default:
		return fmt.Sprintf("%.4f", v)
	}
}

// num is a number of a column whose unit is in its head.
func num(v float64) cell { return cell{Text: number(v), Sort: &v} }

func count(n int) cell {
	v := float64(n)
	return cell{Text: strconv.Itoa(n), Sort: &v}
}

// value prints v in units of unit with its interval; without a value, why.
func value(v *analysis.Value, unit float64, why string) cell {
	if v == nil {
		return missing(why)
	}
	c := num(v.V / unit)
	if v.CI != nil && v.CI.Hi > v.CI.Lo {
		c.Text += " (" + number(v.CI.Lo/unit) + "…" + number(v.CI.Hi/unit) + ")"
	}
	return c
}

// percent prints a fraction of 1.
func percent(v *analysis.Value, why string) cell { return value(v, 0.01, why) }

// gib prints bytes, 0 meaning unknown.
func gib(bytes int64, why string) cell {
	if bytes == 0 {
		return missing(why)
	}
	return num(float64(bytes) / (1 << 30))
}

// plural is "1 request" or "2 requests".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
