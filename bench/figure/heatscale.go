package figure

import (
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// heatScale maps step times to shades.
type heatScale struct {
	min, max float64 // ns
	idle     bool    // some cell has an idle share
}

func (h Heatmap) scale() heatScale {
	s := heatScale{min: math.Inf(1)}
	for _, p := range h.Panels {
		for _, c := range p.Cells {
			s.idle = s.idle || c.IdleFrac != nil
			if c.StepNs > 0 {
				s.min, s.max = min(s.min, c.StepNs), max(s.max, c.StepNs)
			}
		}
	}
	return s
}

// shades go from light to dark: brightness alone orders them.
var shades = []color.RGBA{
	{0xf2, 0xf6, 0xfc, 0xff}, {0xc4, 0xda, 0xee, 0xff}, {0x8a, 0xbb, 0xdd, 0xff},
	{0x45, 0x8f, 0xc4, 0xff}, {0x17, 0x5c, 0xa0, 0xff}, {0x0b, 0x2f, 0x66, 0xff},
}

func (s heatScale) shade(ns float64) color.Color {
	at := 0.0
	if s.max > s.min {
		at = math.Log(ns/s.min) / math.Log(s.max/s.min)
	}
	return shadeAt(at)
}

// shadeAt is the shade at a share of the scale.
func shadeAt(at float64) color.Color {
	at = min(1, max(0, at)) * float64(len(shades)-1)
	i := min(int(at), len(shades)-2)
	t := at - float64(i)
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + t*(float64(b)-float64(a)))) }
	a, b := shades[i], shades[i+1]
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 0xff}
}

// inkOn is black or white, whichever stands out on shade.
func inkOn(shade color.Color) color.Color {
	if y := color.GrayModel.Convert(shade).(color.Gray).Y; y < 0x90 {
		return color.White
	}
	return color.Black
}

// draw paints the key of the scale from at to the right, and what the bars mean.
func (s heatScale) draw(c draw.Canvas, at vg.Point) {
	const steps, width, height = 64, 110, 8
	if s.max == 0 {
		return
	}
	style := heatStyle(8, draw.XRight, draw.YCenter)
	for i := range steps {
		left := at.X + vg.Length(i)*width/steps
		// Each stripe reaches to the end, so that no seams show between them.
		fill(c, vg.Rectangle{Min: vg.Point{X: left, Y: at.Y - height/2}, Max: vg.Point{X: at.X + width, Y: at.Y + height/2}}, shadeAt((float64(i)+0.5)/steps))
	}
	box := vg.Rectangle{Min: vg.Point{X: at.X, Y: at.Y - height/2}, Max: vg.Point{X: at.X + width, Y: at.Y + height/2}}
	outline(c, box)
	c.FillText(style, vg.Point{X: at.X - 4, Y: at.Y}, Duration(s.min))
	style.XAlign = draw.XLeft
	c.FillText(style, vg.Point{X: at.X + width + 4, Y: at.Y}, Duration(s.max)+" a step (log scale)")
	if !s.idle {
		return
	}
	bar := vg.Rectangle{Min: vg.Point{X: at.X + width + 110, Y: at.Y - 7}, Max: vg.Point{X: at.X + width + 160, Y: at.Y}}
	busyBar(c, bar, 0.6, color.Black)
	c.FillText(style, vg.Point{X: bar.Max.X - 2, Y: at.Y}, "device busy, the rest idle")
}
