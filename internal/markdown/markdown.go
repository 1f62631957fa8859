// Package markdown keeps text that came from data from acting as Markdown, HTML
// or a terminal's commands.
package markdown

import (
	"strings"
	"unicode"
)

// Underscores stay: inside words, where names have them, they are just text.
var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;",
	`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "|", `\|`)

// Escape makes a line of clean text mean itself, in tables too.
func Escape(s string) string { return escapes.Replace(s) }

// Fence is text as a block of code; the fence is longer than any run of
// backticks in the text.
func Fence(language, text string) string {
	text = Clean(text)
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + language + "\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}

var breaks = strings.NewReplacer("\n", " ", "\r", " ", "\t", " ")

// OneLine is clean text without line breaks.
func OneLine(s string) string { return breaks.Replace(Clean(s)) }

// Clean takes out what a terminal would obey: control characters, and those
// that turn the direction of writing.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\r' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// Column heads a table's column. Text stands left, numbers right.
type Column struct {
	Head string
	Text bool
}

// Table is a table of cells that are escaped already.
func Table(columns []Column, rows [][]string) string {
	var b strings.Builder
	b.WriteString("|")
	for _, c := range columns {
		b.WriteString(" " + Escape(OneLine(c.Head)) + " |")
	}
	b.WriteString("\n|")
	for _, c := range columns {
		if c.Text {
			b.WriteString(":--|")
		} else {
			b.WriteString("--:|")
		}
	}
	b.WriteString("\n")
	for _, row := range rows {
		b.WriteString("|")
		for _, cell := range row {
			b.WriteString(" " + cell + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}
