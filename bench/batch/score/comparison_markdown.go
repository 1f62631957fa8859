package score

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"stepbench/internal/decimal"
	"stepbench/internal/markdown"
)

// Line is the verdict in one line of plain text.
func (c *Comparison) Line() string {
	parts := []string{string(c.Verdict) + ": " + c.pairsWords()}
	for i := range c.Metrics {
		parts = append(parts, c.Metrics[i].words())
	}
	if c.Pairs > 0 {
		parts = append(parts, c.changedWords())
	}
	if n := len(c.Warnings); n > 0 {
		parts = append(parts, plural(int64(n), "warning", "warnings"))
	}
	return strings.Join(parts, "; ")
}

func (c *Comparison) pairsWords() string {
	if c.Pairs == 0 {
		return "no row is in both runs"
	}
	return plural(c.Pairs, "row", "rows") + " in both runs"
}

// words are "exact 41.3 % → 38.0 %, −3.3 points (95 % CI −5.1…−1.4), 52 up and 85
// down (McNemar p = 0.006)".
func (d *Difference) words() string {
	p := d.OfAnswered
	name := markdown.OneLine(d.Metric)
	if d.decides() == d.OfAll && d.OfAll != nil {
		p, name = d.OfAll, name+" with failed rows as 0"
	}
	if p == nil {
		return name + " not scored in both"
	}
	text := name + " " + scored(d.Metric, p.A) + " → " + scored(d.Metric, p.B)
	if p.Up+p.Down == 0 {
		return text + ", no row changed"
	}
	text += ", " + change(d.Metric, p.Delta, p.A)
	if d.Metric != Perplexity {
		text += " points"
	}
	if p.CI != nil {
		text += " (95 % CI " + changeSpread(d.Metric, p.CI, p.A) + ")"
	}
	return text + ", " + whole(p.Up) + " up and " + whole(p.Down) + " down (" + p.testWords() + ")"
}

func (p *Paired) testWords() string {
	text := p.Test + " p = " + pValue(p.P)
	return strings.Replace(text, "= <", "<", 1)
}

// decides is the difference that the metric's verdict rests on.
func (d *Difference) decides() *Paired {
	if d.OfAll != nil && (d.OfAnswered == nil || d.OfAnswered.judge(d.Metric) != d.Verdict) {
		return d.OfAll
	}
	return d.OfAnswered
}

func (c *Comparison) changedWords() string {
	if c.Changed.Texts == 0 && c.Changed.Scores == 0 {
		return "no text differs"
	}
	return fmt.Sprintf("texts differ in %s, scores in %s", plural(c.Changed.Texts, "row", "rows"), whole(c.Changed.Scores))
}

// Markdown writes the comparison as Markdown, the verdict first.
func (c *Comparison) Markdown(w io.Writer) error {
	var b bytes.Buffer
	word, rest, _ := strings.Cut(c.Line(), ": ")
	fmt.Fprintf(&b, "**%s**: %s\n\nA: %s  \nB: %s\n", word, markdown.Escape(rest), escaped(c.A.Name), escaped(c.B.Name))
	if len(c.Warnings) > 0 {
		b.WriteString("\n## Warnings\n\n")
		for _, warning := range c.Warnings {
			fmt.Fprintf(&b, "- %s\n", escaped(warning))
		}
	}
	if len(c.Metrics) > 0 {
		fmt.Fprintf(&b, "\n## Differences\n\n%s\n%s\n", differenceTable(c.Metrics), differencesNote)
	}
	if len(c.Groups) > 0 && len(c.Metrics) > 0 {
		fmt.Fprintf(&b, "\n## Groups\n\n%s\nB − A over the rows answered in both. Groups have no say in the verdict: of many, some are clear of 0 by chance.\n", c.groupTable())
	}
	c.changes(&b)
	for _, alone := range []struct {
		run string
		of  Alone
	}{{"A", c.OnlyA}, {"B", c.OnlyB}} {
		if alone.of.Rows > 0 {
			fmt.Fprintf(&b, "\n## Only in %s\n\n%s: %s\n", alone.run, plural(alone.of.Rows, "row", "rows"), idList(alone.of))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func idList(a Alone) string {
	var ids []string
	for _, id := range a.IDs {
		ids = append(ids, escaped(short(id, 60)))
	}
	if more := a.Rows - int64(len(a.IDs)); more > 0 {
		ids = append(ids, whole(more)+" more")
	}
	return strings.Join(ids, ", ")
}

const differencesNote = "B − A in percentage points, of perplexity as it is; intervals: bootstrap of pairs (BCa); p: exact and two-sided. " +
	"A verdict needs the interval clear of 0 and six rows that changed."

func differenceTable(metrics []Difference) string {
	columns := []markdown.Column{
		{Head: "metric", Text: true}, {Head: "A"}, {Head: "B"}, {Head: "B − A"}, {Head: "95 % CI"},
		{Head: "rows"}, {Head: "up"}, {Head: "down"}, {Head: "test", Text: true}, {Head: "verdict", Text: true},
	}
	var rows [][]string
	for i := range metrics {
		d := &metrics[i]
		for _, p := range []*Paired{d.OfAnswered, d.OfAll} {
			if p == nil {
				continue
			}
			name := escaped(d.Metric)
			if p == d.OfAll {
				name += ", failed as 0"
			}
			rows = append(rows, []string{
				name, scored(d.Metric, p.A), scored(d.Metric, p.B), change(d.Metric, p.Delta, p.A), changeSpread(d.Metric, p.CI, p.A),
				whole(p.Rows), whole(p.Up), whole(p.Down), escaped(p.testWords()), string(p.judge(d.Metric)),
			})
		}
	}
	return markdown.Table(columns, rows)
}

func (c *Comparison) groupTable() string {
	columns := []markdown.Column{{Head: "group", Text: true}, {Head: "rows"}}
	for i := range c.Metrics {
		columns = append(columns, markdown.Column{Head: c.Metrics[i].Metric})
	}
	var rows [][]string
	for _, g := range c.Groups {
		row := []string{escaped(g.Group), whole(g.Pairs)}
		for i := range c.Metrics {
			cell := decimal.Absent
			for k := range g.Metrics {
				if d := &g.Metrics[k]; d.Metric == c.Metrics[i].Metric && d.OfAnswered != nil {
					p := d.OfAnswered
					cell = change(d.Metric, p.Delta, p.A) + " (" + changeSpread(d.Metric, p.CI, p.A) + ")"
				}
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return markdown.Table(columns, rows)
}

// changes lists the rows that changed.
func (c *Comparison) changes(b *bytes.Buffer) {
	ch := &c.Changed
	if ch.Rows == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Rows that changed\n\n%s of %s: another text in %s, another score in %s.", whole(ch.Rows), whole(c.Pairs), whole(ch.Texts), whole(ch.Scores))
	if f := ch.FirstToken; f != nil {
		fmt.Fprintf(b, " Texts part at token %s in the median (%d to %d, %s with tokens in both).", decimal.Fixed(f.P50, 0), f.Min, f.Max, plural(f.N, "row", "rows"))
	}
	if more := ch.Rows - int64(len(ch.List)); more > 0 {
		fmt.Fprintf(b, " The gravest %d:", len(ch.List))
	}
	columns := []markdown.Column{
		{Head: "row", Text: true}, {Head: "group", Text: true}, {Head: "change", Text: true}, {Head: "token"}, {Head: "A", Text: true}, {Head: "B", Text: true},
	}
	var rows [][]string
	for _, row := range ch.List {
		token := decimal.Absent
		if row.FirstToken != nil {
			token = whole(int64(*row.FirstToken))
		}
		a, other := excerpts(row.TextA, row.TextB)
		if row.FailureA != nil {
			a = row.FailureA.Message
		}
		if row.FailureB != nil {
			other = row.FailureB.Message
		}
		rows = append(rows, []string{
			escaped(short(row.ID, 40)), escaped(short(row.Group, 40)), escaped(row.what()), token,
			escaped(short(a, 80)), escaped(short(other, 80)),
		})
	}
	fmt.Fprintf(b, "\n\n%s", markdown.Table(columns, rows))
}

// what says how the row changed: "exact 1 → 0", "text", "failed in B: engine".
func (c *Change) what() string {
	var parts []string
	switch {
	case c.FailureA == nil && c.FailureB != nil:
		parts = append(parts, "failed in B: "+c.FailureB.Code)
	case c.FailureA != nil && c.FailureB == nil:
		parts = append(parts, "failed in A: "+c.FailureA.Code)
	}
	for _, name := range c.scoreNames() {
		s := c.Scores[name]
		parts = append(parts, fmt.Sprintf("%s %.3g → %.3g", name, s.A, s.B))
	}
	if len(parts) == 0 {
		parts = append(parts, "text")
	}
	return strings.Join(parts, ", ")
}

// lead is how many characters stand before the first difference in an excerpt.
const lead = 24

// excerpts are two texts from a little before the place where they part.
func excerpts(a, b string) (string, string) {
	if a == b {
		return a, b
	}
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	start := same
	for range lead {
		_, size := utf8.DecodeLastRuneInString(a[:start])
		start -= size
	}
	// Not into a character that the texts have half in common.
	for start > 0 && start < len(a) && !utf8.RuneStart(a[start]) {
		start--
	}
	if start == 0 {
		return a, b
	}
	return "…" + a[start:], "…" + b[start:]
}

// short is the first n characters.
func short(text string, n int) string {
	// Control characters and line breaks count as what is left of them.
	text = markdown.OneLine(text)
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}
