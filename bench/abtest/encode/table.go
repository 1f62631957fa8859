package encode

import "stepbench/internal/markdown"

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
	var columns []markdown.Column
	for _, c := range t.Columns {
		columns = append(columns, markdown.Column(c))
	}
	rows := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		for _, cell := range row {
			rows[i] = append(rows[i], cell.markdown())
		}
	}
	return markdown.Table(columns, rows)
}
