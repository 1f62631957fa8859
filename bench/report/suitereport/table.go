package suitereport

import (
	"slices"
	"strings"
)

// absent stands for what the records do not have.
const absent = "–"

// table is shown in Markdown and on the page alike.
type table struct {
	Columns []column
	Rows    [][]cell
	reasons []reason
}

// reason is why values under some columns are absent.
type reason struct {
	why   string
	heads []string
}

type column struct {
	Head string
	Text bool // left-aligned, sorted by its letters
}

// cell is a value as it is shown and the number that it is sorted by.
type cell struct {
	Text string
	Sort *float64
	Why  string // of an absent value
}

func newTable(columns ...column) *table { return &table{Columns: columns} }

func textColumn(head string) column { return column{head, true} }

func numbers(heads ...string) []column {
	var out []column
	for _, h := range heads {
		out = append(out, column{Head: h})
	}
	return out
}

// add appends a row and keeps the reasons of what it lacks.
func (t *table) add(cells ...cell) {
	t.Rows = append(t.Rows, cells)
	for i, c := range cells {
		if c.Why == "" {
			continue
		}
		k := slices.IndexFunc(t.reasons, func(r reason) bool { return r.why == c.Why })
		if k < 0 {
			k = len(t.reasons)
			t.reasons = append(t.reasons, reason{why: c.Why})
		}
		if r := &t.reasons[k]; !slices.Contains(r.heads, t.Columns[i].Head) {
			r.heads = append(r.heads, t.Columns[i].Head)
		}
	}
}

// Notes stand below the table: why values are absent.
func (t *table) Notes() []string {
	var out []string
	for _, r := range t.reasons {
		out = append(out, absent+" under "+strings.Join(r.heads, ", ")+": "+r.why+".")
	}
	return out
}

func say(s string) cell { return cell{Text: s} }

func missing(why string) cell { return cell{Text: absent, Why: why} }

// orMissing is s, or a dash with the reason.
func orMissing(s, why string) cell {
	if s == "" {
		return missing(why)
	}
	return say(s)
}
