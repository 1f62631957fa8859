package figure

import (
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ScalingBar is one number of devices under a load. Ideal is the speed-up that
// each device added in full would give.
type ScalingBar struct {
	Name       string
	SpeedUp    *Value
	Ideal      float64
	Efficiency *Value // of 1
}

// Scaling is scaling_efficiency: speed-up over the smallest number of devices, and
// what share of the ideal that is.
func Scaling(title string, bars []ScalingBar, notes []string) *Figure {
	f := &Figure{Stem: "scaling_efficiency", Title: title, notes: notes, columns: 1}
	speedUp := slots{yLabel: "speed-up"}
	efficiency := slots{yLabel: "efficiency", xLabel: "configuration"}
	for _, b := range bars {
		// The names stand under the lower panel only.
		speedUp.names, efficiency.names = append(speedUp.names, ""), append(efficiency.names, b.Name)
		speedUp.yMax = max(speedUp.yMax, 1.15*b.SpeedUp.top(), 1.08*b.Ideal)
		efficiency.yMax = max(efficiency.yMax, 1.05, 1.15*b.Efficiency.top())
	}
	f.key = []keyEntry{darkTone.key("speed-up"), midTone.key("efficiency"), intervalKey, {"ideal", func(c draw.Canvas, box vg.Rectangle) {
		offeredTick(c, box.Min.X, box.Max.X, (box.Min.Y+box.Max.Y)/2)
	}}}
	width := slotsWidth(len(bars), 68)
	paint := func(s slots, t tone, value func(ScalingBar) *Value, ideal func(ScalingBar) float64) func(draw.Canvas) {
		return func(c draw.Canvas) {
			if len(bars) == 0 {
				nothing(c, noData)
				return
			}
			fr := s.draw(c)
			bar := min(46, 0.6*fr.slot)
			for i, b := range bars {
				x := fr.x(float64(i))
				fr.bar(x-bar/2, bar, value(b), t, false, "")
				half := bar/2 + 0.1*fr.slot
				offeredTick(fr.Canvas, x-half, x+half, fr.y(ideal(b)))
			}
		}
	}
	f.panels = []panel{
		{width, speedUp.height(width, 120), paint(speedUp, darkTone, func(b ScalingBar) *Value { return b.SpeedUp }, func(b ScalingBar) float64 { return b.Ideal })},
		{width, efficiency.height(width, 120), paint(efficiency, midTone, func(b ScalingBar) *Value { return b.Efficiency }, func(ScalingBar) float64 { return 1 })},
	}
	return f
}
