package encode

import (
	"fmt"
	"strings"
)

// table is shown in Markdown and on the page alike.
type table struct {
	Columns []column
	Rows    [][]words
}

type column struct {
	Head string
	Text bool // left-aligned
}

// short is t without its rows from n on.
func (t table) short(n int) table {
	t.Rows = t.Rows[:min(n, len(t.Rows))]
	return t
}

// without is t less the named columns.
func (t table) without(heads ...string) table {
	drop := map[string]bool{}
	for _, h := range heads {
		drop[h] = true
	}
	var out table
	for i, c := range t.Columns {
		if drop[c.Head] {
			continue
		}
		out.Columns = append(out.Columns, c)
		if out.Rows == nil {
			out.Rows = make([][]words, len(t.Rows))
		}
		for k, row := range t.Rows {
			out.Rows[k] = append(out.Rows[k], row[i])
		}
	}
	return out
}

func (t table) markdown() string {
	var b strings.Builder
	b.WriteString("|")
	for _, c := range t.Columns {
		fmt.Fprintf(&b, " %s |", mdText(c.Head))
	}
	b.WriteString("\n|")
	for _, c := range t.Columns {
		if c.Text {
			b.WriteString(":--|")
		} else {
			b.WriteString("--:|")
		}
	}
	b.WriteString("\n")
	for _, row := range t.Rows {
		b.WriteString("|")
		for _, cell := range row {
			fmt.Fprintf(&b, " %s |", cell.markdown())
		}
		b.WriteString("\n")
	}
	return b.String()
}
