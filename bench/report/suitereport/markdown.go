package suitereport

import (
	"fmt"
	"strings"
	"unicode"

	"stepbench/bench/analysis"
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
			b.WriteString(mdFence(k.Code))
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
	b.WriteString("|")
	for _, c := range t.Columns {
		fmt.Fprintf(b, " %s |", mdText(c.Head))
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
		for _, c := range row {
			fmt.Fprintf(b, " %s |", mdText(c.Text))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for _, n := range t.Notes() {
		fmt.Fprintf(b, "%s\n\n", mdText(n))
	}
}

// mdEscapes keep text from acting as Markdown or HTML, tables included.
var mdEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;",
	`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "|", `\|`)

func mdText(s string) string { return mdEscapes.Replace(oneLine(s)) }

// mdFence is text as a block of code; the fence is longer than any run of
// backticks in the text.
func mdFence(s string) string {
	fence := "```"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	return fence + "sh\n" + clean(s) + "\n" + fence + "\n\n"
}

// oneLine is clean text without line breaks.
func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(clean(s))
}

// clean takes out what a terminal would obey: control characters, and those
// that turn the direction of writing.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\r' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
