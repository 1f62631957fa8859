package figure

import (
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// tag is a short text that belongs to a point.
type tag struct {
	at   vg.Point
	text string
}

// tagger sets tags beside their points so that none covers another, nor a point.
type tagger struct {
	room  vg.Rectangle
	taken []vg.Rectangle
}

// block keeps tags off a point.
func (t *tagger) block(at vg.Point, radius vg.Length) {
	t.taken = append(t.taken, vg.Rectangle{
		Min: vg.Point{X: at.X - radius, Y: at.Y - radius}, Max: vg.Point{X: at.X + radius, Y: at.Y + radius},
	})
}

// blockLine keeps tags off a straight line.
func (t *tagger) blockLine(from, to vg.Point) {
	const every = 3
	dx, dy := float64(to.X-from.X), float64(to.Y-from.Y)
	n := int(math.Hypot(dx, dy)/every) + 1
	for i := range n + 1 {
		at := vg.Length(i) / vg.Length(n)
		t.block(vg.Point{X: from.X + at*(to.X-from.X), Y: from.Y + at*(to.Y-from.Y)}, 1)
	}
}

// directions in which a tag may stand, the best first.
var directions = []vg.Point{{X: 0, Y: 1}, {X: 1, Y: 0.7}, {X: -1, Y: 0.7}, {X: 1, Y: 0}, {X: -1, Y: 0}, {X: 0, Y: -1}, {X: 1, Y: -0.7}, {X: -1, Y: -0.7}}

// place writes tag g at the nearest free place, with a thin line to its point
// where that is not next to it. Where nothing is free it stays unwritten: the
// tables have its value.
func (t *tagger) place(c draw.Canvas, g tag) {
	style := heatStyle(8, draw.XCenter, draw.YCenter)
	halfWidth, halfHeight := style.Width(g.text)/2, vg.Length(4.5)
	for _, distance := range []vg.Length{6, 13, 22, 33, 46, 60, 76} {
		for _, d := range directions {
			middle := vg.Point{X: g.at.X + d.X*(distance+halfWidth), Y: g.at.Y + d.Y*(distance+halfHeight)}
			box := vg.Rectangle{
				Min: vg.Point{X: middle.X - halfWidth, Y: middle.Y - halfHeight},
				Max: vg.Point{X: middle.X + halfWidth, Y: middle.Y + halfHeight},
			}
			if !t.free(box) {
				continue
			}
			if distance > 6 {
				near := vg.Point{X: g.at.X + d.X*5, Y: g.at.Y + d.Y*5}
				far := vg.Point{X: g.at.X + d.X*(distance-1), Y: g.at.Y + d.Y*(distance-1)}
				c.StrokeLine2(draw.LineStyle{Color: faintInk, Width: 0.4}, near.X, near.Y, far.X, far.Y)
			}
			c.FillText(style, middle, g.text)
			t.taken = append(t.taken, box)
			return
		}
	}
}

func (t *tagger) free(box vg.Rectangle) bool {
	if box.Min.X < t.room.Min.X || box.Max.X > t.room.Max.X || box.Min.Y < t.room.Min.Y || box.Max.Y > t.room.Max.Y {
		return false
	}
	for _, o := range t.taken {
		if box.Min.X < o.Max.X && o.Min.X < box.Max.X && box.Min.Y < o.Max.Y && o.Min.Y < box.Max.Y {
			return false
		}
	}
	return true
}
