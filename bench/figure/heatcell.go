package figure

import (
	"fmt"
	"image/color"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// draw plots the panel with its axes.
func (p HeatPanel) draw(c draw.Canvas, scale heatScale) {
	plt := plot.New()
	plt.BackgroundColor = nil
	plt.Title.Text = p.Title
	plt.Title.TextStyle = heatStyle(11, draw.XCenter, draw.YTop)
	plt.Title.Padding = 4
	for _, axis := range []*plot.Axis{&plt.X, &plt.Y} {
		axis.Label.TextStyle.Font = heatFont(9)
		axis.Tick.Label.Font = heatFont(9)
		axis.Tick.Length = 0
		axis.Padding = 0
	}
	plt.X.Label.Text, plt.Y.Label.Text = "context (tokens)", "batch (requests)"
	plt.NominalX(numbers(p.contexts())...)
	plt.NominalY(numbers(p.batches())...)
	plt.X.Tick.Width, plt.Y.Tick.Width = 0, 0
	plt.X.LineStyle.Width, plt.Y.LineStyle.Width = 0, 0
	plt.Add(heatPlotter{p, scale})
	plt.Draw(draw.Crop(c, 8, -8, 2, -4))
}

func numbers(values []int) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strconv.Itoa(v)
	}
	return out
}

// heatPlotter draws the cells in a plot whose axes count rows and columns.
type heatPlotter struct {
	HeatPanel
	scale heatScale
}

// DataRange implements plot.DataRanger.
func (p heatPlotter) DataRange() (xmin, xmax, ymin, ymax float64) {
	return -0.5, float64(len(p.contexts())) - 0.5, -0.5, float64(len(p.batches())) - 0.5
}

// Plot implements plot.Plotter.
func (p heatPlotter) Plot(c draw.Canvas, plt *plot.Plot) {
	x, y := plt.Transforms(&c)
	contexts, batches := p.contexts(), p.batches()
	found := map[[2]int]HeatCell{}
	for _, cell := range p.Cells {
		found[[2]int{cell.Context, cell.Batch}] = cell
	}
	for i, context := range contexts {
		for k, batch := range batches {
			box := vg.Rectangle{
				Min: vg.Point{X: x(float64(i) - 0.5), Y: y(float64(k) - 0.5)},
				Max: vg.Point{X: x(float64(i) + 0.5), Y: y(float64(k) + 0.5)},
			}
			cell, ok := found[[2]int{context, batch}]
			if !ok {
				cell.Mark = "no data"
			}
			cell.draw(c, box, p.scale)
		}
	}
}

// draw paints one cell.
func (cell HeatCell) draw(c draw.Canvas, box vg.Rectangle, scale heatScale) {
	shade := color.Color(color.White)
	if cell.StepNs > 0 {
		shade = scale.shade(cell.StepNs)
	}
	fill(c, box, shade)
	outline(c, box)
	ink := inkOn(shade)
	middle := vg.Point{X: (box.Min.X + box.Max.X) / 2, Y: (box.Min.Y + box.Max.Y) / 2}
	big, small := heatStyle(11, draw.XCenter, draw.YCenter), heatStyle(8, draw.XCenter, draw.YCenter)
	big.Color, small.Color = ink, ink
	if cell.StepNs <= 0 {
		small.Color = color.Gray{0x50}
		c.FillText(small, middle, cell.Mark)
		return
	}
	c.FillText(big, vg.Point{X: middle.X, Y: middle.Y + 9}, Duration(cell.StepNs))
	second := cell.Mark
	if cell.IdleFrac != nil {
		idle := fmt.Sprintf("idle %.0f %%", 100**cell.IdleFrac)
		if second != "" {
			second = idle + ", " + second
		} else {
			second = idle
		}
		busyBar(c, box, 1-*cell.IdleFrac, ink)
	}
	c.FillText(small, vg.Point{X: middle.X, Y: middle.Y - 5}, second)
}

// busyBar is a frame at the foot of the box, filled as far as the device was
// busy.
func busyBar(c draw.Canvas, box vg.Rectangle, busy float64, ink color.Color) {
	frame := vg.Rectangle{
		Min: vg.Point{X: box.Min.X + 8, Y: box.Min.Y + 5}, Max: vg.Point{X: box.Max.X - 8, Y: box.Min.Y + 9},
	}
	filled := frame
	filled.Max.X = frame.Min.X + (frame.Max.X-frame.Min.X)*vg.Length(min(1, max(0, busy)))
	fill(c, filled, ink)
	c.StrokeLines(draw.LineStyle{Color: ink, Width: 0.5}, closed(frame))
}

func fill(c draw.Canvas, box vg.Rectangle, shade color.Color) {
	line := closed(box)
	c.FillPolygon(shade, line[:4])
}

func outline(c draw.Canvas, box vg.Rectangle) {
	c.StrokeLines(draw.LineStyle{Color: color.Gray{0x60}, Width: 0.5}, closed(box))
}

func closed(box vg.Rectangle) []vg.Point {
	return []vg.Point{
		box.Min, {X: box.Max.X, Y: box.Min.Y}, box.Max, {X: box.Min.X, Y: box.Max.Y}, box.Min,
	}
}
