package report

import (
	"fmt"
	"math"
	"strings"

	"stepbench/bench/workload"
)

// absent stands for what the data do not support.
const absent = "–"

// number prints v with three digits that count, without an exponent.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.9995 || a == 0:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// estimate prints e in units of unit, with its interval where it has one.
func estimate(e *workload.Estimate, unit float64) string {
	if e == nil {
		return absent
	}
	text := number(e.Value / unit)
	if e.CI != nil {
		text += fmt.Sprintf(" [%s, %s]", number(e.CI.Lo/unit), number(e.CI.Hi/unit))
	}
	return text
}

// table writes a Markdown table; the first column is left-aligned, the others
// right-aligned if numeric. Cells with text from data are plain already.
func table(b *strings.Builder, numeric bool, header []string, rows [][]string) {
	line := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			b.WriteString(" " + c + " |")
		}
		b.WriteString("\n")
	}
	line(header)
	b.WriteString("|---|")
	for range header[1:] {
		if numeric {
			b.WriteString("---:|")
		} else {
			b.WriteString("---|")
		}
	}
	b.WriteString("\n")
	for _, r := range rows {
		line(r)
	}
	b.WriteString("\n")
}

// Shell prints args so that a shell reads them back.
func Shell(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		if a != "" && strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == "" {
			quoted[i] = a
		} else {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// plural is "1 request" or "2 requests".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
