package suitereport

import (
	"fmt"
	"strings"

	"stepbench/bench/analysis"
	"stepbench/internal/markdown"
)

// Markdown is the report of a; its figures are the PNG files in FiguresDir.
func Markdown(a *analysis.Analysis) string {
	d := newDocument(a)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", mdText(d.Title))
	for _, s := range d.Banners {
		fmt.Fprintf(&b, "> %s\n\n", mdText(s))
	}
	for _, s := range d.Lead {
		fmt.Fprintf(&b, "%s\n\n", mdText(s))
	}
	for _, s := range d.Sections {
		fmt.Fprintf(&b, "## %s\n\n", mdText(s.Title))
		mdBlocks(&b, s.Blocks, "###")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func mdBlocks(b *strings.Builder, blocks []block, level string) {
	for _, k := range blocks {
		switch {
		case k.Heading != "":
			fmt.Fprintf(b, "%s %s\n\n", level, mdText(k.Heading))
		case k.Text != "":
			fmt.Fprintf(b, "%s\n\n", mdText(k.Text))
		case len(k.List) > 0:
			for _, item := range k.List {
				fmt.Fprintf(b, "- %s\n", mdText(item))
			}
			b.WriteString("\n")
		case k.Code != "":
			b.WriteString(markdown.Fence("sh", k.Code) + "\n")
		case k.Table != nil:
			mdTable(b, k.Table)
		case k.Picture != nil:
			fmt.Fprintf(b, "![%s](%s/%s.png)\n\n", mdText(k.Picture.Title), FiguresDir, k.Picture.Stem)
		case k.Fold != nil:
			fmt.Fprintf(b, "%s# %s\n\n", level, mdText(k.Fold.Summary))
			mdBlocks(b, k.Fold.Blocks, level+"#")
		}
	}
}

func mdTable(b *strings.Builder, t *table) {
	if len(t.Rows) == 0 {
		b.WriteString("No rows.\n\n")
		return
	}
	var columns []markdown.Column
	for _, c := range t.Columns {
		columns = append(columns, markdown.Column(c))
	}
	rows := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		for _, c := range row {
			rows[i] = append(rows[i], mdText(c.Text))
		}
	}
	b.WriteString(markdown.Table(columns, rows) + "\n")
	for _, n := range t.Notes() {
		fmt.Fprintf(b, "%s\n\n", mdText(n))
	}
}

func mdText(s string) string { return markdown.Escape(markdown.OneLine(s)) }
