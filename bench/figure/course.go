package figure

import (
	"cmp"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// CoursePanel is one quantity over time.
type CoursePanel struct {
	Label string // of the y axis, with its unit
	Lines []CourseLine
}

// CourseLine is the quantity of one thing. Lines of a name look alike in all
// panels.
type CourseLine struct {
	Name string
	X, Y []float64 // X ascending, from 0
}

// Courses is a figure of courses over one time, of which the part up to warmUp is
// marked off.
func Courses(stem, title, xLabel string, warmUp float64, panels []CoursePanel, notes []string) *Figure {
	f := &Figure{Stem: stem, Title: title, notes: notes, columns: 2}
	looks := map[string]loadLine{}
	right := 0.0
	for _, p := range panels {
		for _, l := range p.Lines {
			for _, x := range l.X {
				right = max(right, x)
			}
			if _, known := looks[l.Name]; !known {
				looks[l.Name] = loadLines[len(looks)%len(loadLines)]
				f.key = append(f.key, looks[l.Name].key(l.Name))
			}
		}
	}
	f.key = append(f.key, keyEntry{"end of warm-up", func(c draw.Canvas, box vg.Rectangle) {
		warmUpLine(c, (box.Min.X+box.Max.X)/2, box.Min.Y-1, box.Max.Y+1)
	}})
	for _, p := range panels {
		f.panels = append(f.panels, panel{400, 200, func(c draw.Canvas) { p.draw(c, looks, xLabel, right, warmUp) }})
	}
	return f
}

func (p CoursePanel) draw(c draw.Canvas, looks map[string]loadLine, xLabel string, right, warmUp float64) {
	low, high, points := 0.0, 0.0, 0
	for _, l := range p.Lines {
		points += len(l.X)
		for _, y := range l.Y {
			low, high = min(low, y), max(high, y)
		}
	}
	room := cmp.Or(high-low, 1)
	plt := newPlot()
	plt.X.Label.Text, plt.Y.Label.Text = xLabel, p.Label
	plt.X.Min, plt.X.Max = 0, cmp.Or(right, 1)
	plt.Y.Min, plt.Y.Max = low, high+0.12*room
	if low < 0 {
		plt.Y.Min -= 0.12 * room
	}
	_, inside := drawPlot(plt, draw.Crop(c, 0, -sheetMargin-4, 4, -6))
	if points == 0 {
		nothing(inside, noData)
		return
	}
	x, y := plt.Transforms(&inside)
	warmUpLine(inside, x(warmUp), inside.Min.Y, inside.Max.Y)
	for i, l := range p.Lines {
		look := looks[l.Name]
		line := make([]vg.Point, len(l.X))
		for k := range line {
			line[k] = vg.Point{X: x(l.X[k]), Y: y(l.Y[k])}
		}
		style := look.line()
		style.Width = 0.9
		inside.StrokeLines(style, line)
		// A line that jitters hides its dashes: marks tell it apart, each line's at
		// places of their own.
		every := max(1, len(line)/courseMarks)
		for k := (2*i + 1) * every / (2 * len(p.Lines)); k < len(line); k += every {
			look.glyph(inside, line[k], false)
		}
	}
}

// courseMarks are about as many marks as a line gets.
const courseMarks = 8

func warmUpLine(c draw.Canvas, x, from, to vg.Length) {
	c.StrokeLine2(draw.LineStyle{Color: faintInk, Width: 1, Dashes: []vg.Length{3, 2}}, x, from, x, to)
}
