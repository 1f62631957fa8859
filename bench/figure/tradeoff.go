package figure

import (
	"cmp"
	"image/color"
	"slices"
	"strconv"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// LoadPoint is one configuration: what was achieved and how long requests took.
type LoadPoint struct {
	Pattern      string // of arrivals; points of one pattern are joined
	OfferedPerS  float64
	AchievedPerS Value
	// End-to-end time in seconds, nil where requests are too few.
	P50, P99  *Value
	Saturated bool
}

// Loads is latency_vs_throughput: a panel each for p50 and p99, a line for each
// arrival pattern. limitS is the end-to-end limit of the SLO in seconds, 0: none.
func Loads(title string, points []LoadPoint, limitS float64, notes []string) *Figure {
	f := &Figure{Stem: "latency_vs_throughput", Title: title, notes: notes, columns: 2}
	var patterns []string
	hollow := false
	right := 0.0
	for _, p := range points {
		if !slices.Contains(patterns, p.Pattern) {
			patterns = append(patterns, p.Pattern)
		}
		hollow = hollow || p.Saturated
		right = max(right, p.AchievedPerS.top())
	}
	for i, name := range patterns {
		f.key = append(f.key, loadLines[i%len(loadLines)].key(name))
	}
	f.key = append(f.key, intervalKey)
	if hollow {
		f.key = append(f.key, saturatedKey)
	}
	if limitS > 0 {
		f.key = append(f.key, keyEntry{"limit of the SLO", func(c draw.Canvas, box vg.Rectangle) {
			limitLine(c, box.Min.X, box.Max.X, (box.Min.Y+box.Max.Y)/2)
		}})
	}
	for _, q := range []struct {
		name string
		of   func(LoadPoint) *Value
		need string
	}{
		{"p50", func(p LoadPoint) *Value { return p.P50 }, "p50 needs 6 requests"},
		{"p99", func(p LoadPoint) *Value { return p.P99 }, "p99 needs 368 requests"},
	} {
		f.panels = append(f.panels, panel{400, 280, func(c draw.Canvas) {
			loads{points, patterns, q.name, q.need, q.of, limitS, right}.draw(c)
		}})
	}
	return f
}

type loads struct {
	points     []LoadPoint
	patterns   []string
	name, need string
	of         func(LoadPoint) *Value
	limitS     float64
	right      float64
}

func (l loads) draw(c draw.Canvas) {
	plt := newPlot()
	plt.X.Label.Text, plt.Y.Label.Text = "achieved requests/s", "end-to-end time, "+l.name+" (s)"
	top, any := 0.0, false
	for _, p := range l.points {
		if v := l.of(p); v != nil {
			top, any = max(top, v.top()), true
		}
	}
	if any {
		top = max(top, l.limitS)
	}
	plt.X.Min, plt.X.Max, plt.Y.Min, plt.Y.Max = 0, 1.12*l.right, 0, 1.15*top
	if !any {
		plt.Y.Max = 1
	}
	if l.right <= 0 {
		plt.X.Max = 1
	}
	_, inside := drawPlot(plt, draw.Crop(c, 0, -sheetMargin-4, 4, -6))
	if !any {
		nothing(inside, noData+": "+l.need)
		return
	}
	x, y := plt.Transforms(&inside)
	tags := tagger{room: inside.Rectangle}
	if l.limitS > 0 {
		limitLine(inside, inside.Min.X, inside.Max.X, y(l.limitS))
		tags.blockLine(vg.Point{X: inside.Min.X, Y: y(l.limitS)}, vg.Point{X: inside.Max.X, Y: y(l.limitS)})
	}
	var labels []tag
	for i, pattern := range l.patterns {
		style := loadLines[i%len(loadLines)]
		var line []vg.Point
		for _, p := range byRate(l.points, pattern) {
			v := l.of(p)
			if v == nil {
				continue
			}
			at := vg.Point{X: x(p.AchievedPerS.V), Y: y(v.V)}
			line = append(line, at)
			if v.CI != nil {
				lo, hi := y(max(0, v.CI.Lo)), y(v.CI.Hi)
				whisker(inside, at.X, lo, hi)
				tags.blockLine(vg.Point{X: at.X, Y: lo}, vg.Point{X: at.X, Y: hi})
			}
			if p.OfferedPerS > 0 {
				labels = append(labels, tag{at, significant3(p.OfferedPerS) + "/s"})
			}
			tags.block(at, 4)
		}
		inside.StrokeLines(style.line(), line)
		for k := 1; k < len(line); k++ {
			tags.blockLine(line[k-1], line[k])
		}
	}
	// Marks lie above all lines.
	for i, pattern := range l.patterns {
		for _, p := range byRate(l.points, pattern) {
			if v := l.of(p); v != nil {
				loadLines[i%len(loadLines)].glyph(inside, vg.Point{X: x(p.AchievedPerS.V), Y: y(v.V)}, p.Saturated)
			}
		}
	}
	for _, t := range labels {
		tags.place(inside, t)
	}
}

func byRate(points []LoadPoint, pattern string) []LoadPoint {
	var out []LoadPoint
	for _, p := range points {
		if p.Pattern == pattern {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b LoadPoint) int { return cmp.Compare(a.OfferedPerS, b.OfferedPerS) })
	return out
}

// loadLine is the look of a pattern: tone, dash and shape all differ.
type loadLine struct {
	tone  tone
	dash  []vg.Length
	shape draw.GlyphDrawer
	open  draw.GlyphDrawer
}

var loadLines = []loadLine{
	{darkTone, nil, draw.CircleGlyph{}, draw.RingGlyph{}},
	{tone{shade: midTone.shade, edge: midTone.edge}, []vg.Length{6, 3}, draw.BoxGlyph{}, draw.SquareGlyph{}},
	{tone{shade: color.RGBA{0x4a, 0x4a, 0x4a, 0xff}, edge: color.RGBA{0x30, 0x30, 0x30, 0xff}}, []vg.Length{2, 2}, draw.PyramidGlyph{}, draw.TriangleGlyph{}},
	{tone{shade: color.RGBA{0x8a, 0xbb, 0xdd, 0xff}, edge: color.RGBA{0x2a, 0x6a, 0x9a, 0xff}}, []vg.Length{8, 2, 2, 2}, draw.CircleGlyph{}, draw.RingGlyph{}},
}

func (l loadLine) line() draw.LineStyle {
	return draw.LineStyle{Color: l.tone.edge, Width: 1.2, Dashes: l.dash}
}

func (l loadLine) glyph(c draw.Canvas, at vg.Point, hollow bool) {
	if !hollow {
		c.DrawGlyph(draw.GlyphStyle{Color: l.tone.shade, Radius: 3.6, Shape: l.shape}, at)
	} else {
		c.DrawGlyph(draw.GlyphStyle{Color: color.White, Radius: 3.6, Shape: l.shape}, at)
	}
	c.DrawGlyph(draw.GlyphStyle{Color: l.tone.edge, Radius: 3.6, Shape: l.open}, at)
}

// key explains a line by a piece of it with its mark.
func (l loadLine) key(name string) keyEntry {
	return keyEntry{shorten(clean(name), slantedChars), func(c draw.Canvas, box vg.Rectangle) {
		y := (box.Min.Y + box.Max.Y) / 2
		c.StrokeLine2(l.line(), box.Min.X, y, box.Max.X, y)
		l.glyph(c, vg.Point{X: (box.Min.X + box.Max.X) / 2, Y: y}, false)
	}}
}

func limitLine(c draw.Canvas, from, to, y vg.Length) {
	c.StrokeLine2(draw.LineStyle{Color: color.RGBA{0xb3, 0x26, 0x1e, 0xff}, Width: 1.2, Dashes: []vg.Length{7, 3}}, from, y, to, y)
}

// significant3 writes a rate without zeros that say nothing: 2, 0.25, 12.5.
func significant3(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }
