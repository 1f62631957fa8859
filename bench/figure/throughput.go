package figure

import (
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ThroughputBar is one configuration. Offered is 0 where nothing is offered at
// a rate.
type ThroughputBar struct {
	Name         string
	RequestsPerS *Value
	TokensPerS   *Value // output
	OfferedPerS  float64
	Saturated    bool
}

// Throughputs is throughput_comparison: requests and output tokens per second.
func Throughputs(title string, bars []ThroughputBar, notes []string) *Figure {
	f := &Figure{Stem: "throughput_comparison", Title: title, notes: notes, columns: 1}
	requests := slots{yLabel: "requests/s"}
	tokens := slots{yLabel: "output tokens/s", xLabel: "configuration"}
	offered, hollow := false, false
	for _, b := range bars {
		// The names stand under the lower panel only.
		requests.names, tokens.names = append(requests.names, ""), append(tokens.names, b.Name)
		requests.yMax = max(requests.yMax, 1.15*b.RequestsPerS.top(), 1.08*b.OfferedPerS)
		tokens.yMax = max(tokens.yMax, 1.15*b.TokensPerS.top())
		offered = offered || b.OfferedPerS > 0
		hollow = hollow || b.Saturated
	}
	f.key = []keyEntry{darkTone.key("achieved"), midTone.key("output tokens"), intervalKey}
	if offered {
		f.key = append(f.key, keyEntry{"offered rate", func(c draw.Canvas, box vg.Rectangle) {
			offeredTick(c, box.Min.X, box.Max.X, (box.Min.Y+box.Max.Y)/2)
		}})
	}
	if hollow {
		f.key = append(f.key, saturatedKey)
	}
	width := slotsWidth(len(bars), 68)
	paint := func(s slots, t tone, value func(ThroughputBar) *Value, ticks bool) func(draw.Canvas) {
		return func(c draw.Canvas) {
			if len(bars) == 0 {
				nothing(c, noData)
				return
			}
			fr := s.draw(c)
			bar := min(46, 0.6*fr.slot)
			for i, b := range bars {
				x := fr.x(float64(i))
				v := value(b)
				fr.bar(x-bar/2, bar, v, t, b.Saturated, "")
				if ticks && b.OfferedPerS > 0 {
					half := bar/2 + 0.1*fr.slot
					offeredTick(fr.Canvas, x-half, x+half, fr.y(b.OfferedPerS))
				}
				if v != nil {
					above := fr.y(min(fr.yMax, v.top())) + 2
					if line := fr.y(b.OfferedPerS); ticks && b.OfferedPerS > 0 && line > above-3 && line < above+10 {
						above = line + 2
					}
					fr.FillText(heatStyle(8, draw.XCenter, draw.YBottom), vg.Point{X: x, Y: above}, significant(v.V))
				}
			}
		}
	}
	f.panels = []panel{
		{width, requests.height(width, 150), paint(requests, darkTone, func(b ThroughputBar) *Value { return b.RequestsPerS }, true)},
		{width, tokens.height(width, 150), paint(tokens, midTone, func(b ThroughputBar) *Value { return b.TokensPerS }, false)},
	}
	return f
}

func offeredTick(c draw.Canvas, from, to, y vg.Length) {
	c.StrokeLine2(draw.LineStyle{Color: color.Black, Width: 1.6, Dashes: []vg.Length{3, 2}}, from, y, to, y)
}
