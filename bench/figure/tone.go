package figure

import (
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// tone is how an area is filled. Tones that stand side by side differ in
// brightness, so that they are told apart without colour.
type tone struct {
	shade color.RGBA
	edge  color.RGBA // outline, and what is left of a hollow area
	hatch hatch
}

type hatch int

const (
	plain hatch = iota
	rising
	falling
)

var (
	darkTone  = tone{shade: color.RGBA{0x1f, 0x4e, 0x79, 0xff}, edge: color.RGBA{0x12, 0x30, 0x4d, 0xff}}
	midTone   = tone{shade: color.RGBA{0xe8, 0x96, 0x3c, 0xff}, edge: color.RGBA{0x9a, 0x54, 0x08, 0xff}}
	lightTone = tone{shade: color.RGBA{0xd9, 0xe2, 0xec, 0xff}, edge: color.RGBA{0x55, 0x66, 0x77, 0xff}}
	emptyTone = tone{shade: color.RGBA{0xff, 0xff, 0xff, 0xff}, edge: color.RGBA{0x80, 0x80, 0x80, 0xff}}

	faintInk = color.RGBA{0x60, 0x60, 0x60, 0xff}
	gridInk  = color.RGBA{0xdd, 0xdd, 0xdd, 0xff}
)

func (t tone) with(h hatch) tone {
	t.hatch = h
	return t
}

// area fills box.
func (t tone) area(c draw.Canvas, box vg.Rectangle) {
	fill(c, box, t.shade)
	hatched(c, box, t.hatch, t.edge)
	c.StrokeLines(draw.LineStyle{Color: t.edge, Width: 0.6}, closed(box))
}

// hollow draws the outline of box only.
func (t tone) hollow(c draw.Canvas, box vg.Rectangle) {
	fill(c, box, color.White)
	inner := vg.Rectangle{
		Min: vg.Point{X: box.Min.X + 0.7, Y: box.Min.Y}, Max: vg.Point{X: box.Max.X - 0.7, Y: box.Max.Y},
	}
	c.StrokeLines(draw.LineStyle{Color: t.edge, Width: 1.4}, closed(inner))
}

func (t tone) key(text string) keyEntry { return keyEntry{text, t.area} }

// hatched draws parallel lines at 45 degrees over box, from its lower left
// corner on.
func hatched(c draw.Canvas, box vg.Rectangle, h hatch, ink color.Color) {
	if h == plain {
		return
	}
	const gap = 4
	style := draw.LineStyle{Color: ink, Width: 0.7}
	width, height := box.Max.X-box.Min.X, box.Max.Y-box.Min.Y
	// A rising line is x - y = d in the box's own coordinates.
	for d := -height + gap/2; d < width; d += gap {
		x0, x1 := max(0, d), min(width, d+height)
		if x1 <= x0 {
			continue
		}
		from := vg.Point{X: box.Min.X + x0, Y: box.Min.Y + x0 - d}
		to := vg.Point{X: box.Min.X + x1, Y: box.Min.Y + x1 - d}
		if h == falling {
			from.Y, to.Y = box.Max.Y-(x0-d), box.Max.Y-(x1-d)
		}
		c.StrokeLine2(style, from.X, from.Y, to.X, to.Y)
	}
}

// saturatedKey explains what is hollow.
var saturatedKey = keyEntry{"hollow: saturated", darkTone.hollow}

// intervalKey explains a whisker.
var intervalKey = keyEntry{"95 % interval", func(c draw.Canvas, box vg.Rectangle) {
	middle := (box.Min.X + box.Max.X) / 2
	whisker(c, middle, box.Min.Y, box.Max.Y)
}}

// whisker is a vertical line with caps.
func whisker(c draw.Canvas, x, from, to vg.Length) {
	line := draw.LineStyle{Color: color.Black, Width: 1}
	c.StrokeLine2(line, x, from, x, to)
	c.StrokeLine2(line, x-3, from, x+3, from)
	c.StrokeLine2(line, x-3, to, x+3, to)
}
