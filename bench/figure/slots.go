package figure

import (
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"stepbench/bench/stats"
)

// Value is a height with its 95 % interval, nil where there is none.
type Value struct {
	V  float64
	CI *stats.Interval
}

// top is the highest point of v.
func (v *Value) top() float64 {
	switch {
	case v == nil:
		return 0
	case v.CI != nil:
		return max(v.V, v.CI.Hi)
	}
	return v.V
}

// slots is a pair of axes with a place on x for each of several named things.
type slots struct {
	yLabel string
	yMax   float64 // 0: so that every value and whisker fits
	names  []string
	xLabel string
}

const (
	slotLeft     = 50 // room for the y axis
	labelLines   = 4
	labelHeight  = 10
	slantedChars = 34
	slant        = 40 * math.Pi / 180
)

// width is of a panel that has n slots of at least the given width.
func slotsWidth(n int, slot vg.Length) vg.Length {
	return max(minWidth, slotLeft+vg.Length(n)*slot+sheetMargin)
}

// frame is where the slots came to lie.
type frame struct {
	draw.Canvas // the inside of the axes
	x, y        func(float64) vg.Length
	slot        vg.Length
	yMax        float64
}

// labelling is how the names fit under the axis.
type labelling struct {
	lines   [][]string // of each name
	slanted bool
	height  vg.Length
}

func (s slots) labelling(width vg.Length) labelling {
	l := labelling{}
	style := labelStyle()
	room := (width-slotLeft-sheetMargin)/vg.Length(max(1, len(s.names))) - 4
	most := 0
	for _, name := range s.names {
		lines := wrap(style, name, room)
		for _, line := range lines {
			l.slanted = l.slanted || style.Width(line) > room
		}
		l.slanted = l.slanted || len(lines) > labelLines
		l.lines = append(l.lines, lines)
		most = max(most, len(lines))
	}
	l.height = labelHeight * vg.Length(most)
	if l.slanted {
		var longest vg.Length
		for i, name := range s.names {
			short := shorten(clean(name), slantedChars)
			l.lines[i] = []string{short}
			longest = max(longest, style.Width(short))
		}
		l.height = longest*vg.Length(math.Sin(slant)) + labelHeight
	}
	return l
}

// height of a panel whose axes enclose inside.
func (s slots) height(width, inside vg.Length) vg.Length {
	h := inside + s.labelling(width).height + 18
	if s.xLabel != "" {
		h += 14
	}
	return h
}

// draw paints the axes and names the slots.
func (s slots) draw(c draw.Canvas) frame {
	l := s.labelling(c.Max.X - c.Min.X)
	bottom := l.height
	if s.xLabel != "" {
		bottom += 14
	}
	plt := newPlot()
	plt.Y.Label.Text = s.yLabel
	plt.X.Tick.Marker = plot.ConstantTicks(nil)
	plt.X.Min, plt.X.Max = -0.5, float64(len(s.names))-0.5
	plt.Y.Min, plt.Y.Max = 0, s.yMax
	if s.yMax <= 0 {
		plt.Y.Max = 1
	}
	outer, inside := drawPlot(plt, draw.Crop(c, 0, -sheetMargin, bottom, -8))
	f := frame{Canvas: inside, yMax: plt.Y.Max}
	f.x, f.y = plt.Transforms(&f.Canvas)
	f.slot = f.x(1) - f.x(0)
	base := outer.Min.Y - 2
	for i, lines := range l.lines {
		at := vg.Point{X: f.x(float64(i)), Y: base}
		style := labelStyle()
		if l.slanted {
			style.XAlign, style.YAlign, style.Rotation = draw.XRight, draw.YCenter, slant
			name := lines[0]
			for n := len([]rune(name)); n > 4 && style.Width(name) > (at.X-c.Min.X)/vg.Length(math.Cos(slant)); n-- {
				name = shorten(lines[0], n) // the first ones have less room to their left
			}
			c.FillText(style, vg.Point{X: at.X + 3, Y: at.Y - 4}, name)
			continue
		}
		for k, line := range lines {
			c.FillText(style, vg.Point{X: at.X, Y: at.Y - labelHeight*vg.Length(k)}, line)
		}
	}
	if s.xLabel != "" {
		style := heatStyle(9, draw.XCenter, draw.YBottom)
		c.FillText(style, vg.Point{X: (inside.Min.X + inside.Max.X) / 2, Y: c.Min.Y + 3}, s.xLabel)
	}
	return f
}

func labelStyle() draw.TextStyle { return heatStyle(8, draw.XCenter, draw.YTop) }

// drawPlot paints the axes on c so that the inside begins slotLeft from the
// left, whatever the numbers on the y axis: panels above each other align.
func drawPlot(plt *plot.Plot, c draw.Canvas) (outer, inside draw.Canvas) {
	outer = draw.Crop(c, sheetMargin-2, 0, 0, 0)
	if left := c.Min.X + slotLeft - plt.DataCanvas(outer).Min.X; left > 0 {
		outer = draw.Crop(outer, left, 0, 0, 0)
	}
	plt.Draw(outer)
	return outer, plt.DataCanvas(outer)
}

// niceTicks are multiples of 1, 2, 2.5 or 5 times a power of ten.
type niceTicks struct{ most int }

// Ticks implements plot.Ticker.
func (t niceTicks) Ticks(lo, hi float64) []plot.Tick {
	if hi <= lo {
		return nil
	}
	base := math.Pow(10, math.Floor(math.Log10((hi-lo)/float64(t.most))))
	step := 10 * base
	for _, m := range []float64{1, 2, 2.5, 5} {
		if (hi-lo)/(m*base) <= float64(t.most) {
			step = m * base
			break
		}
	}
	var ticks []plot.Tick
	for i := math.Ceil(lo / step); i*step <= hi*(1+1e-9); i++ {
		// Six digits take the error of the product out, and no more.
		ticks = append(ticks, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step, 'g', 6, 64)})
	}
	return ticks
}

// newPlot has our fonts and light horizontal lines.
func newPlot() *plot.Plot {
	plt := plot.New()
	plt.BackgroundColor = nil
	for _, axis := range []*plot.Axis{&plt.X, &plt.Y} {
		axis.Label.TextStyle.Font = heatFont(9)
		axis.Tick.Label.Font = heatFont(8)
		axis.Tick.Length = 3
		axis.Padding = 0
		axis.Tick.Marker = niceTicks{6}
	}
	plt.Title.TextStyle = heatStyle(9, draw.XCenter, draw.YTop)
	plt.Title.Padding = 4
	grid := plotter.NewGrid()
	grid.Vertical.Color = nil
	grid.Horizontal = draw.LineStyle{Color: gridInk, Width: 0.5}
	plt.Add(grid)
	return plt
}

// box spans from x and width, in points, over values from and to.
func (f frame) box(x, width vg.Length, from, to float64) vg.Rectangle {
	return vg.Rectangle{Min: vg.Point{X: x, Y: f.y(from)}, Max: vg.Point{X: x + width, Y: f.y(min(to, f.yMax))}}
}

// bar draws v from 0 up, or says that there is nothing to draw.
func (f frame) bar(x, width vg.Length, v *Value, t tone, hollow bool, mark string) {
	if v == nil {
		f.mark(x+width/2, mark)
		return
	}
	box := f.box(x, width, 0, v.V)
	if hollow {
		t.hollow(f.Canvas, box)
	} else {
		t.area(f.Canvas, box)
	}
	if v.CI != nil {
		whisker(f.Canvas, x+width/2, f.y(max(0, v.CI.Lo)), f.y(min(f.yMax, v.CI.Hi)))
	}
}

// mark writes upwards from the foot of a slot why it is empty.
func (f frame) mark(x vg.Length, text string) {
	if text == "" {
		text = noData
	}
	style := heatStyle(8, draw.XLeft, draw.YCenter)
	style.Color, style.Rotation = faintInk, math.Pi/2
	f.FillText(style, vg.Point{X: x, Y: f.Min.Y + 5}, text)
}

const noData = "no data"

// nothing says in the middle of a panel that it has nothing to show.
func nothing(c draw.Canvas, text string) {
	style := heatStyle(10, draw.XCenter, draw.YCenter)
	style.Color = color.Color(faintInk)
	c.FillText(style, vg.Point{X: (c.Min.X + c.Max.X) / 2, Y: (c.Min.Y + c.Max.Y) / 2}, text)
}

// shorten cuts the middle out of a long name.
func shorten(name string, width int) string {
	r := []rune(name)
	if len(r) <= width {
		return name
	}
	head := width * 2 / 3
	return string(r[:head]) + "…" + string(r[len(r)-(width-head-1):])
}
