// Package decimal prints numbers for people to read.
package decimal

import (
	"math"
	"strconv"
	"strings"
)

// Absent stands for what was not measured or does not exist.
const Absent = "–"

// Fixed prints v with a true minus sign, and never a negative zero.
func Fixed(v float64, digits int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Absent
	}
	text := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
	if v < 0 && strings.Trim(text, "0.") != "" {
		return "−" + text
	}
	return text
}

// Signed is Fixed with a plus sign where v is above zero.
func Signed(v float64, digits int) string {
	text := Fixed(v, digits)
	if v > 0 && text != Absent && strings.Trim(text, "0.") != "" {
		return "+" + text
	}
	return text
}
