package score

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"stepbench/internal/decimal"
	"stepbench/internal/markdown"
)

// escaped is text from data as part of a line of Markdown.
func escaped(text string) string { return markdown.Escape(markdown.OneLine(text)) }

// Line is the summary in one line of plain text.
func (s *Summary) Line() string {
	parts := []string{plural(s.Rows, "row", "rows") + answeredWords(s)}
	for i := range s.Metrics {
		m := &s.Metrics[i]
		parts = append(parts, markdown.OneLine(m.Metric)+" "+withInterval(m.Metric, m.OfAnswered))
	}
	if s.Rates != nil {
		parts = append(parts, decimal.Fixed(s.Rates.OutputTokens, significant(s.Rates.OutputTokens))+" output tokens/s")
	}
	return strings.Join(parts, "; ")
}

// answeredWords say what became of the rows.
func answeredWords(s *Summary) string {
	if s.Failed == 0 {
		return ", all answered"
	}
	var codes []string
	for _, c := range s.Failures {
		codes = append(codes, whole(c.N)+" "+markdown.OneLine(c.Of))
	}
	return ": " + whole(s.Answered) + " answered, " + whole(s.Failed) + " failed (" + strings.Join(codes, ", ") + ")"
}

// withInterval is "61.3 % (95 % CI 58.2…64.3 %)".
func withInterval(metric string, e *Estimate) string {
	switch {
	case e == nil:
		return decimal.Absent
	case e.CI == nil:
		return scored(metric, e.Value)
	}
	return scored(metric, e.Value) + " (95 % CI " + spread(metric, e.CI) + ")"
}

// Markdown writes the summary as Markdown.
func (s *Summary) Markdown(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n", markdown.Escape(s.Line()))
	if len(s.Metrics) > 0 {
		fmt.Fprintf(&b, "\n## Scores\n\n%s\n%s\n", scoreTable(s.Metrics), s.scoresNote())
	}
	if len(s.Groups) > 0 && len(s.Metrics) > 0 {
		fmt.Fprintf(&b, "\n## Groups\n\n%s\nOf the answered rows, with 95 %% intervals.\n", groupTable(s))
	}
	fmt.Fprintf(&b, "\n## Tokens\n\n%s", tokenTable(s))
	if len(s.Latency) > 0 {
		fmt.Fprintf(&b, "\n## Latency\n\n%s\nOf a completion, by the engine's own stamps: queue until it is first scheduled, prefill until its first token, decode until its last.\n", latencyTable(s))
	}
	if len(s.Finish)+len(s.Failures) > 0 {
		fmt.Fprintf(&b, "\n## How rows ended\n\n%s", endTable(s))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func scoreTable(metrics []MetricSummary) string {
	columns := []markdown.Column{
		{Head: "metric", Text: true}, {Head: "of answered"}, {Head: "95 % CI"}, {Head: "rows"},
		{Head: "of all"}, {Head: "95 % CI"}, {Head: "failed"}, {Head: "without a score"},
	}
	var rows [][]string
	for i := range metrics {
		m := &metrics[i]
		row := []string{escaped(m.Metric)}
		row = append(row, cells(m.Metric, m.OfAnswered)...)
		row = append(row, whole(m.Scored))
		row = append(row, cells(m.Metric, m.OfAll)...)
		rows = append(rows, append(row, whole(m.Failed), whole(m.Unscored)))
	}
	return markdown.Table(columns, rows)
}

// cells are a value and its interval.
func cells(metric string, e *Estimate) []string {
	if e == nil {
		return []string{decimal.Absent, decimal.Absent}
	}
	return []string{scored(metric, e.Value), spread(metric, e.CI)}
}

// scoresNote explains the table as far as the run needs it.
func (s *Summary) scoresNote() string {
	var notes []string
	if s.Failed > 0 {
		notes = append(notes, "Of all counts each failed row as 0.")
	}
	unscored, wilson := false, false
	for i := range s.Metrics {
		m := &s.Metrics[i]
		unscored = unscored || m.Unscored > 0
		for _, e := range []*Estimate{m.OfAnswered, m.OfAll} {
			wilson = wilson || e != nil && e.Method == byWilson
		}
		if m.Metric == Perplexity && m.OfAnswered != nil {
			notes = append(notes, "Perplexity is of the corpus: over "+plural(m.Tokens, "token", "tokens")+".")
		}
	}
	if unscored {
		notes = append(notes, "Rows without a score were answered, but lack what the metric needs, such as a reference; they are in neither mean.")
	}
	interval := "Intervals: bootstrap of rows (BCa)"
	if wilson {
		interval += "; Wilson's where rows are too few or all alike"
	}
	return strings.Join(append(notes, interval+"."), " ")
}

func groupTable(s *Summary) string {
	columns := []markdown.Column{{Head: "group", Text: true}, {Head: "rows"}, {Head: "failed"}}
	for i := range s.Metrics {
		columns = append(columns, markdown.Column{Head: s.Metrics[i].Metric})
	}
	var rows [][]string
	for _, g := range s.Groups {
		row := []string{escaped(g.Group), whole(g.Rows), whole(g.Failed)}
		for i := range s.Metrics {
			cell := decimal.Absent
			for k := range g.Metrics {
				if m := &g.Metrics[k]; m.Metric == s.Metrics[i].Metric && m.OfAnswered != nil {
					cell = scored(m.Metric, m.OfAnswered.Value) + " (" + spread(m.Metric, m.OfAnswered.CI) + ")"
				}
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return markdown.Table(columns, rows)
}

func tokenTable(s *Summary) string {
	columns := []markdown.Column{{Head: "", Text: true}, {Head: "total"}, {Head: "per second"}}
	perSecond := func(rate float64) string { return decimal.Fixed(rate, significant(rate)) }
	rows := [][]string{
		{"rows answered", whole(s.Answered), decimal.Absent},
		{"prompt tokens", whole(s.Tokens.Prompt), decimal.Absent},
		{"of them cached", whole(s.Tokens.Cached), decimal.Absent},
		{"output tokens", whole(s.Tokens.Output), decimal.Absent},
	}
	if s.Rates != nil {
		rows[0][2], rows[1][2], rows[3][2] = perSecond(s.Rates.Rows), perSecond(s.Rates.PromptTokens), perSecond(s.Rates.OutputTokens)
		rows = append(rows, []string{"wall time", duration(s.WallS), decimal.Absent})
	}
	return markdown.Table(columns, rows)
}

func latencyTable(s *Summary) string {
	columns := []markdown.Column{
		{Head: "part", Text: true}, {Head: "mean"}, {Head: "p50"}, {Head: "p90"}, {Head: "p99"}, {Head: "max"}, {Head: "completions"},
	}
	var rows [][]string
	for _, l := range s.Latency {
		rows = append(rows, []string{
			l.Part, duration(l.Mean), duration(l.P50), duration(l.P90), duration(l.P99), duration(l.Max), whole(l.N),
		})
	}
	return markdown.Table(columns, rows)
}

func endTable(s *Summary) string {
	columns := []markdown.Column{{Head: "end", Text: true}, {Head: "code", Text: true}, {Head: "n"}}
	var rows [][]string
	for _, c := range s.Finish {
		rows = append(rows, []string{"completion", escaped(c.Of), whole(c.N)})
	}
	for _, c := range s.Failures {
		rows = append(rows, []string{"failed row", escaped(c.Of), whole(c.N)})
	}
	return markdown.Table(columns, rows)
}
