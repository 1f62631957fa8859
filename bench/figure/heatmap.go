// Package figure draws what was measured, as PNG and SVG. It computes nothing.
package figure

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"slices"
	"strconv"

	weight "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Heatmap shows step time and idle share over batch and context, a panel per
// phase. A cell's shade is its step time on a logarithmic scale that all panels
// share, darker for longer, so that it reads without colour; the values are
// written in the cell, and a bar at its foot is the busy share.
type Heatmap struct {
	Title  string
	Notes  []string // lines below: model, device, how many steps
	Panels []HeatPanel
}

// HeatPanel is one phase.
type HeatPanel struct {
	Title string
	Cells []HeatCell
}

// HeatCell is one shape.
type HeatCell struct {
	Batch   int // requests
	Context int // tokens
	StepNs  float64
	// IdleFrac is the share of the step in which the device was idle, nil if
	// it was not measured.
	IdleFrac *float64
	// Mark stands where there is no value, "refused", or below one that is
	// not to be relied on, "INVALID".
	Mark string
}

// Sizes, in points of 1/72 inch.
const (
	heatCellWidth  = 78
	heatCellHeight = 50
	heatLeft       = 52 // axis and its labels
	heatRight      = 18
	heatTop        = 26 // a panel's title
	heatBottom     = 44 // axis and its labels
	heatHead       = 28 // the figure's title
	heatKey        = 34 // the scale
	heatNote       = 13 // one line of notes
	heatDPI        = 144
)

// PNG writes the figure as an image of 144 dots per inch.
func (h Heatmap) PNG(w io.Writer) error {
	width, height, err := h.size()
	if err != nil {
		return err
	}
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(heatDPI))
	h.draw(draw.New(c))
	_, err = vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

// SVG writes the figure as scalable graphics.
func (h Heatmap) SVG(w io.Writer) error {
	width, height, err := h.size()
	if err != nil {
		return err
	}
	c := vgsvg.New(width, height)
	h.draw(draw.New(c))
	_, err = c.WriteTo(w)
	return err
}

func (h Heatmap) size() (width, height vg.Length, err error) {
	for _, p := range h.Panels {
		if len(p.Cells) == 0 {
			return 0, 0, fmt.Errorf("panel %q of the heat map has no cells", p.Title)
		}
		w, t := p.size()
		width += w
		height = max(height, t)
	}
	if width == 0 {
		return 0, 0, errors.New("the heat map has no panels")
	}
	// A single narrow panel still leaves room for the lines of text.
	width = max(width, 420)
	return width, height + heatHead + heatKey + heatNote*vg.Length(len(h.Notes)) + 6, nil
}

func (p HeatPanel) size() (width, height vg.Length) {
	return heatLeft + heatRight + heatCellWidth*vg.Length(len(p.contexts())),
		heatTop + heatBottom + heatCellHeight*vg.Length(len(p.batches()))
}

func (p HeatPanel) contexts() []int {
	return distinct(p.Cells, func(c HeatCell) int { return c.Context })
}

func (p HeatPanel) batches() []int {
	return distinct(p.Cells, func(c HeatCell) int { return c.Batch })
}

func distinct(cells []HeatCell, value func(HeatCell) int) []int {
	var all []int
	for _, c := range cells {
		all = append(all, value(c))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (h Heatmap) draw(c draw.Canvas) {
	c.FillPolygon(color.White, c.ClipPolygonXY([]vg.Point{
		{X: c.Min.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Max.Y}, {X: c.Min.X, Y: c.Max.Y},
	}))
	scale := h.scale()
	title := heatStyle(13, draw.XLeft, draw.YCenter)
	title.Font.Weight = weight.WeightBold
	c.FillText(title, vg.Point{X: c.Min.X + 10, Y: c.Max.Y - heatHead/2}, h.Title)

	top := c.Max.Y - heatHead
	x := c.Min.X
	bottom := top
	for _, p := range h.Panels {
		width, height := p.size()
		panel := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: x, Y: top - height}, Max: vg.Point{X: x + width, Y: top},
		}}
		p.draw(panel, scale)
		x += width
		bottom = min(bottom, top-height)
	}
	scale.draw(c, vg.Point{X: c.Min.X + heatLeft, Y: bottom - heatKey/2})
	note := heatStyle(8, draw.XLeft, draw.YCenter)
	for i, line := range h.Notes {
		c.FillText(note, vg.Point{X: c.Min.X + 10, Y: bottom - heatKey - heatNote*vg.Length(i) - heatNote/2}, line)
	}
}

// Duration writes ns with three significant digits.
func Duration(ns float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= 0.9995*u.size {
			return significant(ns/u.size) + " " + u.name
		}
	}
	return significant(ns) + " ns"
}

func significant(x float64) string {
	digits := 2
	switch {
	case x >= 99.95:
		digits = 0
	case x >= 9.995:
		digits = 1
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}

func heatFont(size vg.Length) font.Font {
	f := font.From(plot.DefaultFont, size)
	f.Variant = "Sans"
	return f
}

func heatStyle(size vg.Length, x draw.XAlignment, y draw.YAlignment) draw.TextStyle {
	return draw.TextStyle{
		Color: color.Black, Font: heatFont(size), XAlign: x, YAlign: y,
		Handler: plot.DefaultTextHandler,
	}
}
