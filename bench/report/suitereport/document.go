// Package suitereport shows the analysis of a suite: six figures, a report in
// Markdown and as one HTML page, and exports for other programs. Every number
// comes from an analysis.Analysis; what that does not have is a dash with the
// reason, never a zero.
package suitereport

import (
	"stepbench/bench/analysis"
	"stepbench/bench/figure"
)

// document is the report before it has a format. Text in it is as it came;
// what its characters mean is for the format's writer to take care of.
type document struct {
	Title    string
	Banners  []string // what a reader must know before any number
	Lead     []string
	Sections []section
}

type section struct {
	ID, Title string
	Blocks    []block
}

// block is one of its fields.
type block struct {
	Text    string
	Heading string
	List    []string
	Code    string
	Table   *table
	Picture *figure.Figure
	Fold    *fold
}

// fold are blocks that the page hides until they are asked for.
type fold struct {
	Summary string
	Blocks  []block
}

func text(s string) block              { return block{Text: s} }
func heading(s string) block           { return block{Heading: s} }
func list(items []string) block        { return block{List: items} }
func code(s string) block              { return block{Code: s} }
func picture(f *figure.Figure) block   { return block{Picture: f} }
func (t *table) block() block          { return block{Table: t} }
func folded(s string, b []block) block { return block{Fold: &fold{s, b}} }

// newDocument puts the sections in the order in which a reader asks.
func newDocument(a *analysis.Analysis) document {
	v := view{a}
	d := document{Title: "stepbench: suite " + a.Suite, Banners: v.banners(), Lead: v.lead()}
	figures := map[string]*figure.Figure{}
	for _, f := range Figures(a) {
		figures[f.Stem] = f
	}
	for _, s := range []struct {
		id, title string
		blocks    []block
		figures   []string
	}{
		{"conclusions", "Conclusions and recommendations", v.conclusions(), nil},
		{"machine", "Machine and build", v.machine(), nil},
		{"phases", "Phases and throughput", v.phases(), []string{"throughput_comparison", "phase_breakdown"}},
		{"datasets", "Datasets", v.datasets(), []string{"phase_comparison", "latency_distribution"}},
		{"arrivals", "Arrivals", v.arrivals(), []string{"latency_vs_throughput"}},
		{"models", "Model sizes", v.models(), nil},
		{"scaling", "GPU counts and scaling", v.scaling(), []string{"scaling_efficiency"}},
		{"cpu", "CPU utilisation", v.cpu(), []string{"gpu_utilization"}},
		{"parallelism", "Parallelism", v.parallelism(), nil},
		{"bottlenecks", "Bottlenecks", v.bottlenecks(), nil},
		{"not-run", "What was not run", v.notRun(), nil},
	} {
		for _, stem := range s.figures {
			if f := figures[stem]; f != nil {
				s.blocks = append(s.blocks, picture(f))
			}
		}
		d.Sections = append(d.Sections, section{s.id, s.title, s.blocks})
	}
	return d
}

// view gives sections what they need of an analysis.
type view struct{ *analysis.Analysis }
