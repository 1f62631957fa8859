package figure

import (
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// PhaseBar is the mean time that a request spends in each phase, in seconds.
type PhaseBar struct {
	Name                   string
	Queue, Prefill, Decode *Value
	// QueueMark says why there is no queue, "offline"; empty: no data.
	QueueMark string
	Saturated bool
}

// Phases is phase_comparison: bars in groups, one group a dataset.
func Phases(title string, groups []PhaseBar, notes []string) *Figure {
	f := &Figure{Stem: "phase_comparison", Title: title, notes: notes, columns: 1}
	f.key = []keyEntry{midTone.key("prefill"), darkTone.key("decode")}
	s := slots{yLabel: "mean time (s per request)", xLabel: "dataset"}
	queue, hollow := false, false
	for _, g := range groups {
		s.names = append(s.names, g.Name)
		s.yMax = max(s.yMax, 1.08*max(g.Queue.top(), g.Prefill.top(), g.Decode.top()))
		queue = queue || g.Queue != nil
		hollow = hollow || g.Saturated
	}
	series := 2
	if queue {
		series = 3
		f.key = append(f.key, lightTone.key("queue"))
	}
	f.key = append(f.key, intervalKey)
	if hollow {
		f.key = append(f.key, saturatedKey)
	}
	width := slotsWidth(len(groups), 68)
	f.panels = []panel{{width, s.height(width, 220), func(c draw.Canvas) {
		if len(groups) == 0 {
			nothing(c, noData)
			return
		}
		fr := s.draw(c)
		bar := min(34, 0.84*fr.slot/vg.Length(series))
		for i, g := range groups {
			x := fr.x(float64(i)) - bar*vg.Length(series)/2
			fr.bar(x, bar, g.Prefill, midTone, g.Saturated, "")
			fr.bar(x+bar, bar, g.Decode, darkTone, g.Saturated, "")
			if queue {
				fr.bar(x+2*bar, bar, g.Queue, lightTone, g.Saturated, g.QueueMark)
			}
		}
	}}}
	return f
}
