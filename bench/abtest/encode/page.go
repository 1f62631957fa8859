package encode

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"stepbench/bench/abtest"
	"stepbench/internal/markdown"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string

	// Everything that came from data goes through the template, which escapes
	// it for the place it stands in.
	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"tied": tied, "clean": markdown.Clean}).Parse(pageText))
)

// tied keeps a number and its percent sign on one line.
func tied(s string) string { return strings.ReplaceAll(markdown.OneLine(s), " %", "\u00a0%") }

// pageView is what the page shows.
type pageView struct {
	Style    template.CSS
	Title    string
	Class    string
	Headline words
	Summary  words

	Failure    string
	Log        string
	Intervals  []intervalPlot
	Shapes     *table
	ShapesNote string
	Notes      []words
	Quads      []cellFigures
	Kernels    []kernelSection

	KernelsNote   string
	KernelHeading string

	OutputLine    words
	OutputTable   *table
	OutputReasons []string
	OutputsNote   string
	GateCount     string
	Gates         *table
	Conditions    []condition
	Command       string
}

type kernelSection struct {
	Cell  words
	Table table
	All   *table // nil: Table has all
	Count int
}

// page writes a page that needs nothing but itself: no script, no picture, no
// font and no style from elsewhere.
func page(w io.Writer, c *Comparison) error {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, newPageView(c)); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func newPageView(c *Comparison) pageView {
	ev, r := c.Evidence, c.Result
	v := pageView{
		Style: template.CSS(pageStyle), Class: class(r.Verdict),
		Title:    fmt.Sprintf("%s: %s against %s", r.Verdict, ev.Sides[abtest.ArmB].Name, ev.Sides[abtest.ArmA].Name),
		Headline: headline(c), Summary: summaryLine(c),
		Notes: notes(c), Conditions: conditions(c), Command: c.Command,
		KernelsNote: kernelsNote(c), KernelHeading: upper(unit(r.Endpoint)) + "s",
	}
	if f := ev.Failure; f != nil {
		v.Failure, v.Log = f.Error(), logText(f)
	}
	if len(ev.Launches) > 0 && len(r.Cells) > 0 {
		t := shapes(c)
		v.Shapes, v.ShapesNote, v.Intervals = &t, shapesNote(c), intervalPlots(c)
		for i := range r.Cells {
			if f := newCellFigures(c, i); len(f.Plots) > 0 {
				v.Quads = append(v.Quads, f)
			}
			cell := &r.Cells[i]
			if len(cell.Kernels) == 0 {
				continue
			}
			s := kernelSection{Cell: name(cell.Name), Table: shortKernels(c, cell), Count: len(cell.Kernels)}
			if len(cell.Kernels) > tableRows {
				all := kernels(c, cell)
				s.All = &all
			}
			v.Kernels = append(v.Kernels, s)
		}
	}
	var outs table
	v.OutputLine, outs, v.OutputReasons = outputs(&r.Outputs)
	if len(outs.Rows) > 0 {
		v.OutputTable, v.OutputsNote = &outs, outputsNote
	}
	if len(r.Gates) > 0 {
		t := gates(r)
		v.Gates = &t
		if _, v.GateCount = doubtful(r); v.GateCount == "" {
			v.GateCount = "all pass"
		}
	}
	return v
}
