package figure

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// UseBar is how one configuration spent its window, in fractions that sum to 1.
type UseBar struct {
	Name string
	// Parts is nil where the steps cannot be split.
	Parts *UseParts
	// Counter is the device's own utilisation, or the process's share of the CPUs.
	Counter   *Value
	Saturated bool
}

// UseParts are the shares of a window.
type UseParts struct{ Busy, Host, Between, Empty float64 }

// UseWords name what a device is.
type UseWords struct{ Title, Busy, Counter string }

// Words of the two kinds of machine.
var (
	GPUWords = UseWords{"GPU utilisation", "kernels running", "NVML utilisation, mean"}
	CPUWords = UseWords{"CPU use of the process (no GPU in this run)", "ops running", "process CPU, of all CPUs"}
)

// Use is gpu_utilization: stacked shares of the window with the counter's mean
// as a mark. The band from 80 to 90 % is where a server that must not queue is
// usually kept.
func Use(title string, words UseWords, bars []UseBar, notes []string) *Figure {
	f := &Figure{Stem: "gpu_utilization", Title: title, notes: notes, columns: 1}
	host, between := midTone.with(rising), lightTone
	f.key = []keyEntry{
		darkTone.key(words.Busy), host.key("in a step, device idle"), between.key("between steps"),
		emptyTone.key("no request"), {words.Counter, func(c draw.Canvas, box vg.Rectangle) {
			diamond(c, vg.Point{X: (box.Min.X + box.Max.X) / 2, Y: (box.Min.Y + box.Max.Y) / 2})
		}},
		{"80–90 %", targetBand},
	}
	s := slots{yLabel: "share of the window (%)", xLabel: "configuration", yMax: 103}
	s.names = starred(f, len(bars), func(i int) (string, bool) { return bars[i].Name, bars[i].Saturated })
	width := slotsWidth(len(bars), 68)
	f.panels = []panel{{width, s.height(width, 220), func(c draw.Canvas) {
		if len(bars) == 0 {
			nothing(c, noData)
			return
		}
		fr := s.draw(c)
		bar := min(46, 0.6*fr.slot)
		for i, b := range bars {
			x := fr.x(float64(i))
			if p := b.Parts; p != nil {
				fr.stack(x-bar/2, bar, []float64{p.Busy, p.Host, p.Between, p.Empty}, []tone{darkTone, host, between, emptyTone})
				fr.share(x, 0, p.Busy, color.White)
			} else if b.Counter != nil {
				fr.mark(x, "steps not split")
			} else {
				fr.mark(x, noData)
			}
		}
		targetBand(fr.Canvas, vg.Rectangle{Min: vg.Point{X: fr.Min.X, Y: fr.y(80)}, Max: vg.Point{X: fr.Max.X, Y: fr.y(90)}})
		for i, b := range bars {
			if v := b.Counter; v != nil {
				x := fr.x(float64(i))
				if v.CI != nil {
					whisker(fr.Canvas, x, fr.y(100*max(0, v.CI.Lo)), fr.y(min(fr.yMax, 100*v.CI.Hi)))
				}
				diamond(fr.Canvas, vg.Point{X: x, Y: fr.y(min(fr.yMax, 100*v.V))})
			}
		}
	}}}
	return f
}

// targetBand is two lines, so that it hides no bar.
func targetBand(c draw.Canvas, box vg.Rectangle) {
	style := draw.LineStyle{Color: color.RGBA{0x2e, 0x7d, 0x32, 0xff}, Width: 0.9, Dashes: []vg.Length{4, 2}}
	c.StrokeLine2(style, box.Min.X, box.Min.Y, box.Max.X, box.Min.Y)
	c.StrokeLine2(style, box.Min.X, box.Max.Y, box.Max.X, box.Max.Y)
}

func diamond(c draw.Canvas, at vg.Point) {
	const r = 4
	points := []vg.Point{{X: at.X, Y: at.Y + r}, {X: at.X + r, Y: at.Y}, {X: at.X, Y: at.Y - r}, {X: at.X - r, Y: at.Y}}
	c.FillPolygon(color.White, points)
	c.StrokeLines(draw.LineStyle{Color: color.Black, Width: 1.2}, append(points, points[0]))
}

// BreakdownBar is where the requests' time went, in fractions that sum to 1.
type BreakdownBar struct {
	Name                   string
	Queue, Prefill, Decode *Value // nil where nothing is known
	Host                   *Value // in service with the device idle
	Saturated              bool
}

// Breakdown is phase_breakdown: stacked shares of E2E. The host's share lies
// inside prefill and decode, so it is a hatched strip beside them, not a part
// of the stack.
func Breakdown(title string, bars []BreakdownBar, notes []string) *Figure {
	f := &Figure{Stem: "phase_breakdown", Title: title, notes: notes, columns: 1}
	host := emptyTone.with(falling)
	host.edge = color.RGBA{0x30, 0x30, 0x30, 0xff}
	f.key = []keyEntry{
		midTone.key("prefill"), darkTone.key("decode"), lightTone.key("queue"),
		host.key("host: in service, device idle (part of the others)"),
	}
	s := slots{yLabel: "share of end-to-end time (%)", xLabel: "configuration", yMax: 103}
	s.names = starred(f, len(bars), func(i int) (string, bool) { return bars[i].Name, bars[i].Saturated })
	width := slotsWidth(len(bars), 68)
	f.panels = []panel{{width, s.height(width, 220), func(c draw.Canvas) {
		if len(bars) == 0 {
			nothing(c, noData)
			return
		}
		fr := s.draw(c)
		bar := min(40, 0.5*fr.slot)
		strip := min(22, 0.32*fr.slot)
		for i, b := range bars {
			x := fr.x(float64(i)) - (bar+strip)/2
			if b.Prefill == nil || b.Decode == nil {
				fr.mark(x+bar/2, "")
				continue
			}
			parts := []float64{b.Prefill.V, b.Decode.V, 0}
			if b.Queue != nil {
				parts[2] = b.Queue.V
			}
			fr.stack(x, bar, parts, []tone{midTone, darkTone, lightTone})
			middle := x + bar/2
			fr.share(middle, 0, parts[0], color.Black)
			fr.share(middle, parts[0], parts[1], color.White)
			fr.share(middle, parts[0]+parts[1], parts[2], color.Black)
			if b.Host != nil {
				host.area(fr.Canvas, fr.box(x+bar, strip, 0, 100*b.Host.V))
				style := heatStyle(7.5, draw.XCenter, draw.YBottom)
				fr.FillText(style, vg.Point{X: x + bar + strip/2 + 1, Y: fr.y(100*b.Host.V) + 1.5}, fmt.Sprintf("%.0f %%", 100*b.Host.V))
			} else {
				fr.mark(x+bar+strip/2, "")
			}
		}
	}}}
	return f
}

// stack draws fractions on top of each other.
func (f frame) stack(x, width vg.Length, parts []float64, tones []tone) {
	at := 0.0
	for i, p := range parts {
		if p > 0 {
			tones[i].area(f.Canvas, f.box(x, width, 100*at, 100*(at+p)))
		}
		at += p
	}
}

// share writes a fraction into its part of a stack, if that is high enough.
func (f frame) share(x vg.Length, from, part float64, ink color.Color) {
	if f.y(100*part)-f.y(0) < 11 {
		return
	}
	style := heatStyle(7.5, draw.XCenter, draw.YCenter)
	style.Color = ink
	f.FillText(style, vg.Point{X: x, Y: f.y(100 * (from + part/2))}, fmt.Sprintf("%.0f %%", 100*part))
}

// starred names n slots, with a star at saturated ones: a stack cannot be
// hollow.
func starred(f *Figure, n int, slot func(int) (name string, saturated bool)) []string {
	var names []string
	stars := false
	for i := range n {
		name, saturated := slot(i)
		if saturated {
			name += " *"
			stars = true
		}
		names = append(names, name)
	}
	if stars {
		f.key = append(f.key, keyEntry{"saturated", func(c draw.Canvas, box vg.Rectangle) {
			c.FillText(heatStyle(11, draw.XCenter, draw.YCenter), vg.Point{X: (box.Min.X + box.Max.X) / 2, Y: (box.Min.Y+box.Max.Y)/2 - 1}, "*")
		}})
	}
	return names
}
