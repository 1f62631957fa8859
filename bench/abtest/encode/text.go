package encode

import (
	"regexp"
	"strings"

	"stepbench/internal/markdown"
)

// nameWidth is where the names of kernels are cut, in characters.
const nameWidth = 60

// piece is a piece of text as it came, and how to set it. What its characters
// mean in a format is for that format's writer to take care of.
type piece struct {
	Text   string
	Code   bool
	Strong bool
	Whole  string // the name that Text is short for, if it is
	Class  string // of the page: what a word says
}

// words are pieces that follow each other.
type words []piece

func say(text string) words { return words{{Text: text}} }

func strong(text string) words { return words{{Text: text, Strong: true}} }

// name is the name of a kernel, op, variant or cell.
func name(text string) words {
	p := piece{Text: shorten(markdown.OneLine(text)), Code: true}
	if p.Text != text {
		p.Whole = text
	}
	return words{p}
}

func (w words) plain() string {
	var b strings.Builder
	for _, p := range w {
		b.WriteString(markdown.OneLine(p.Text))
	}
	return b.String()
}

// markdown sets neighbours of equal weight together: "**a****b**" is no bold.
func (w words) markdown() string {
	var b strings.Builder
	bold := false
	turn := func(to bool) {
		if bold != to {
			b.WriteString("**")
		}
		bold = to
	}
	for _, p := range w {
		text := markdown.OneLine(p.Text)
		if text == "" {
			continue
		}
		// Emphasis may not end in a space.
		lead := text[:len(text)-len(strings.TrimLeft(text, " "))]
		if !bold && p.Strong {
			b.WriteString(lead)
			text = text[len(lead):]
		}
		turn(p.Strong)
		if p.Code {
			b.WriteString(mdCode(text))
		} else {
			b.WriteString(markdown.Escape(text))
		}
	}
	turn(false)
	return b.String()
}

// barred finds bars with the backslashes before them.
var barred = regexp.MustCompile(`\\*\|`)

// mdCode sets s as code. A table's row is split at bars before its code is
// seen, so they are escaped here as well, and what would undo that escape with
// them; a backtick would end the code.
func mdCode(s string) string {
	s = barred.ReplaceAllStringFunc(s, func(m string) string {
		slashes := m[:len(m)-1]
		return slashes + slashes + `\|`
	})
	return "`" + strings.ReplaceAll(s, "`", "'") + "`"
}

// shorten cuts the middle out of a long name: its start says what it is, its
// end which instance.
func shorten(name string) string {
	r := []rune(name)
	if len(r) <= nameWidth {
		return name
	}
	head := nameWidth * 2 / 3
	return string(r[:head]) + "…" + string(r[len(r)-(nameWidth-head-1):])
}
