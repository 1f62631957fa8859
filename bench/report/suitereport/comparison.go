package suitereport

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"stepbench/bench/analysis"
)

// Outcome is what a comparison of two suites comes to.
type Outcome string

const (
	NoRegression  Outcome = "NO REGRESSION"
	Regressed     Outcome = "REGRESSION"
	Inconclusive  Outcome = "INCONCLUSIVE"
	NotComparable Outcome = "NOT COMPARABLE"
)

// Judge gives the outcome and the reason. A regression is one that the
// comparison has shown in any metric. There is none if the interval of every
// rate and mean leaves out a change for the worse by more than margin, a
// fraction; otherwise the comparison is inconclusive, for not having shown a
// difference is no proof that there is none. Percentiles are too noisy to be
// asked for that.
func Judge(c *analysis.Comparison, margin float64) (Outcome, string) {
	if len(c.Differences) > 0 {
		return NotComparable, strings.Join(c.Differences, "; ")
	}
	var worse []string
	tested, open := 0, 0
	for _, p := range c.Points {
		decided := false
		for _, m := range p.Metrics {
			if m.Change == analysis.Regression {
				worse = append(worse, m.Metric+" of "+p.Label)
			}
			if m.Change == analysis.NotCompared || percentileMetric(m.Metric) {
				continue
			}
			decided = true
			tested++
			if !within(m, margin) {
				open++
			}
		}
		if !decided {
			tested, open = tested+1, open+1
		}
	}
	switch {
	case len(worse) > 0:
		return Regressed, strings.Join(worse, "; ")
	case len(c.Points) == 0:
		return Inconclusive, "no configuration was measured in both suites"
	case open > 0:
		return Inconclusive, fmt.Sprintf("in %d of %d rates and means the interval does not leave out a change for the worse by %g %%", open, tested, 100*margin)
	}
	return NoRegression, fmt.Sprintf("no rate or mean is worse by more than %g %%", 100*margin)
}

func percentileMetric(name string) bool {
	return slices.ContainsFunc([]string{"_p50_", "_p90_", "_p99_"}, func(p string) bool { return strings.Contains(name, p) })
}

// within says that the interval of m leaves out a worse ratio than margin.
func within(m analysis.MetricComparison, margin float64) bool {
	switch {
	case m.Ratio.CI == nil:
		return false
	case m.HigherBetter:
		return m.Ratio.CI.Lo >= 1/(1+margin)
	}
	return m.Ratio.CI.Hi <= 1+margin
}

// EncodeComparison writes c in Markdown or, with FormatJSON, as JSON.
func EncodeComparison(w io.Writer, f Format, c *analysis.Comparison, margin float64) error {
	outcome, why := Judge(c, margin)
	if f == FormatJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Outcome Outcome `json:"outcome"`
			Reason  string  `json:"reason"`
			Margin  float64 `json:"margin_frac"`
			*analysis.Comparison
		}{outcome, why, margin, c})
	}
	blocks := []block{text(fmt.Sprintf("%s: %s.", outcome, strings.TrimRight(why, ".")))}
	if len(c.Points) > 0 {
		blocks = append(blocks, text("Changes are of B against A, with 95 % intervals over pairs of repeats that had the same requests and arrivals. Differences are shown where they survive Holm's correction over the configurations."), compared(c).block())
	}
	if len(c.Overall) > 0 {
		t := newTable(textColumn("metric"), column{Head: "configurations"}, column{Head: "change, geometric mean %"})
		for _, o := range c.Overall {
			t.add(say(o.Metric), count(o.Points), say(change(o.Ratio)))
		}
		blocks = append(blocks, heading("Over all configurations"), t.block())
	}
	var notes []string
	for _, only := range []struct {
		name string
		ids  []string
	}{{"A", c.OnlyA}, {"B", c.OnlyB}} {
		if len(only.ids) > 0 {
			notes = append(notes, "Measured in "+only.name+" only: "+strings.Join(only.ids, ", ")+".")
		}
	}
	if notes = append(notes, c.Notes...); len(notes) > 0 {
		blocks = append(blocks, heading("Notes"), list(notes))
	}
	var b strings.Builder
	mdBlocks(&b, blocks, "##")
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

func compared(c *analysis.Comparison) *table {
	t := newTable(columnsOf([]column{textColumn("configuration"), textColumn("metric")}, "pairs", "A", "B", "change %")...)
	t.Columns = append(t.Columns, textColumn("verdict"))
	for _, p := range c.Points {
		if len(p.Metrics) == 0 {
			none := cell{Text: absent}
			t.add(say(p.Label), none, count(p.Pairs), none, none, none, say("no metric in every pair"))
		}
		for _, m := range p.Metrics {
			name, unit := m.Metric, 1.0
			if short, ok := strings.CutSuffix(name, "_ns"); ok {
				name, unit = short+"_ms", msNs
			}
			text := change(m.Ratio.V)
			if ci := m.Ratio.CI; ci != nil {
				text += " (" + change(ci.Lo) + "…" + change(ci.Hi) + ")"
			}
			verdict := string(m.Change)
			if m.Why != "" {
				verdict += ": " + m.Why
			}
			t.add(say(p.Label), say(name), count(p.Pairs), num(m.A/unit), num(m.B/unit), say(text), say(verdict))
		}
	}
	return t
}

// change prints a ratio as a change in percent.
func change(ratio float64) string { return fmt.Sprintf("%+.2f", 100*(ratio-1)) }
