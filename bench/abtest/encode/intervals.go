package encode

import (
	"fmt"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
	"stepbench/internal/markdown"
)

const (
	intervalRow = 46.0 // height of a row
	intervalTop = 6.0
)

// intervalPlot is one effect per row, with its interval and its launches, over
// the margin.
type intervalPlot struct {
	Caption       string
	Class         string // kernel or wall
	Width, Height place
	Rows          []intervalLine
	Ticks         []tick
	Zero          place
	Margin        *stretch
	Floor         []place
	Bottom        place // of the rows
}

type intervalLine struct {
	Label, Value string
	TextY, Y     place
	Effect       place
	CI           *stretch // nil: too few launches for one
	Launches     []place
}

// intervalPlots are that of the endpoint and that of wall time.
func intervalPlots(c *Comparison) []intervalPlot {
	r := c.Result
	var all []intervalPlot
	for _, of := range []struct {
		name, class string
		results     *estimate.CellsResult
	}{{r.Endpoint.Describe(), "kernel", &r.Kernel}, {"wall time", "wall", &r.Wall}} {
		if p, ok := newIntervalPlot(of.results); ok {
			p.Class = of.class
			interval := level(of.results.Primary.Alpha) + " interval"
			if of.results.Primary.Bounds == nil {
				interval = "no interval"
			}
			p.Caption = fmt.Sprintf("Change of %s per step in %%, B against A: estimate, %s and launches (small marks). %s",
				of.name, interval, areas(&of.results.Primary))
			all = append(all, p)
		}
	}
	return all
}

// areas explains what the shaded and dashed parts of a figure are.
func areas(r *estimate.Result) string {
	text := "Shaded: ±" + plainPercent(r.MarginLog) + ", the margin."
	if f := floor(r); f != nil {
		text += " Dashed: ±" + plainPercent(f.Hi) + ", the claim floor."
	}
	return text
}

func newIntervalPlot(of *estimate.CellsResult) (p intervalPlot, ok bool) {
	type row struct {
		name string
		*estimate.Result
	}
	var rows []row
	if len(of.Cells) > 1 {
		rows = append(rows, row{"mean of shapes", &of.Primary})
	}
	for i := range of.Cells {
		rows = append(rows, row{of.Cells[i].Name, &of.Cells[i].Result})
	}
	values := []float64{estimate.Percent(-of.Primary.MarginLog), estimate.Percent(of.Primary.MarginLog)}
	for _, r := range rows {
		for _, l := range r.LaunchesLog {
			values = append(values, estimate.Percent(l))
		}
		if b := r.Bounds; b != nil {
			values = append(values, estimate.Percent(b.CI.Lo), estimate.Percent(b.CI.Hi))
		}
	}
	a := newAxis(14, figureWidth-14, values...)
	y := intervalTop
	for _, r := range rows {
		if len(r.LaunchesLog) == 0 {
			continue
		}
		line := intervalLine{
			Label: shortLabel(r.name), Value: effect(r.Result), TextY: place(y + 13), Y: place(y + 27),
			Effect: place(a.at(estimate.Percent(r.EffectLog))),
		}
		if r.Bounds != nil {
			line.CI = a.over(r.Bounds.CI)
		}
		for _, l := range r.LaunchesLog {
			line.Launches = append(line.Launches, place(a.at(estimate.Percent(l))))
		}
		p.Rows = append(p.Rows, line)
		y += intervalRow
	}
	p.Width, p.Height, p.Bottom = figureWidth, place(y+24), place(y)
	p.Zero, p.Margin, p.Ticks = place(a.at(0)), a.over(margin(&of.Primary)), a.labels()
	if f := floor(&of.Primary); f != nil {
		s := a.over(*f)
		p.Floor = []place{s.At, s.At + s.Length}
	}
	return p, len(p.Rows) > 0
}

// shortLabel keeps a cell's name beside its value.
func shortLabel(name string) string {
	const most = 24
	if r := []rune(markdown.OneLine(name)); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return markdown.OneLine(name)
}

// cellFigures are the quads of one cell.
type cellFigures struct {
	Cell  words
	Open  bool // unfolded at first
	Plots []seriesPlot
}

func newCellFigures(c *Comparison, i int) cellFigures {
	cell := c.Result.Cells[i].Name
	kernel, wall := cellEffects(c.Result, cell)
	f := cellFigures{Cell: name(cell), Open: i < 2}
	for _, of := range []struct {
		name, class string
		kind        abtest.Kind
		result      *estimate.Result
	}{{c.Result.Endpoint.Describe(), "kernel", abtest.Attribution, kernel}, {"wall time", "wall", abtest.Timing, wall}} {
		if p, ok := newSeriesPlot(c.Evidence.Series(c.Result.Endpoint, cell, of.kind), of.result); ok {
			p.Class = of.class
			p.Caption = fmt.Sprintf("Change of %s in %%, quad by quad: dots are quads in the order they ran, bars the centres of launches", of.name)
			if p.CI != nil {
				p.Caption += ", the coloured band is the " + level(of.result.Alpha) + " interval"
			}
			p.Caption += "; grey is the margin."
			if p.Dropped {
				p.Caption += " Crosses at the foot are dropped quads."
			}
			if p.Void {
				p.Caption += " A launch with hollow dots kept too few quads to count."
			}
			f.Plots = append(f.Plots, p)
		}
	}
	return f
}
