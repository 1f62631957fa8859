package encode

import (
	"fmt"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
)

const (
	seriesHeight = 190.0
	seriesTop    = 8.0
	seriesFoot   = 154.0 // of the plotted area
	seriesLeft   = 46.0
	launchGap    = 6.0
)

// seriesPlot is the difference of every quad, launch by launch.
type seriesPlot struct {
	Caption               string
	Class                 string
	Width, Height         place
	Left, Right, Span     place
	Top, Foot, Tall       place
	Launches              []launchPlot
	Ticks                 []tick
	Zero                  place
	Margin, CI            *stretch
	Dropped, Void         bool // there are such
	DroppedY, LabelY, Mid place
}

type launchPlot struct {
	Label         string
	Left, Width   place
	Middle        place
	Shaded        bool
	Centre        *place
	Points, Drops []point
	Void          bool
}

type point struct {
	X, Y  place
	Title string
}

func newSeriesPlot(launches []abtest.LaunchSeries, r *estimate.Result) (p seriesPlot, ok bool) {
	values := []float64{estimate.Percent(-r.MarginLog), estimate.Percent(r.MarginLog)}
	most, kept := 1, 0
	for _, l := range launches {
		most = max(most, len(l.Quads))
		for _, q := range l.Quads {
			if q.DLog != nil {
				kept++
				values = append(values, estimate.Percent(*q.DLog))
			}
		}
	}
	if r.Bounds != nil {
		values = append(values, estimate.Percent(r.Bounds.CI.Lo), estimate.Percent(r.Bounds.CI.Hi))
	}
	a := newAxis(seriesFoot, seriesTop, values...)
	right := figureWidth - 8
	p = seriesPlot{
		Width: figureWidth, Height: seriesHeight, Left: seriesLeft, Right: place(right), Span: place(right - seriesLeft),
		Top: seriesTop, Foot: seriesFoot, Tall: seriesFoot - seriesTop,
		Zero: place(a.at(0)), Ticks: a.labels(), Margin: a.over(margin(r)),
		DroppedY: seriesFoot + 6, LabelY: seriesFoot + 20, Mid: place((seriesLeft + right) / 2),
	}
	if r.Bounds != nil {
		p.CI = a.over(r.Bounds.CI)
	}
	width := (right - seriesLeft) / float64(max(1, len(launches)))
	for i, l := range launches {
		left := seriesLeft + float64(i)*width
		lp := launchPlot{
			Label: fmt.Sprint(l.Launch), Left: place(left), Width: place(width), Middle: place(left + width/2),
			Shaded: i%2 == 1, Void: !l.Counts,
		}
		p.Void = p.Void || lp.Void
		if l.CentreLog != nil {
			y := place(a.at(estimate.Percent(*l.CentreLog)))
			lp.Centre = &y
		}
		room := width - min(launchGap, width/4)
		for k, q := range l.Quads {
			pt := point{X: place(left + (width-room)/2 + room*(float64(k)+0.5)/float64(most))}
			where := fmt.Sprintf("launch %d, quad %d, %s: ", l.Launch, q.Quad, q.Order)
			if q.DLog == nil {
				p.Dropped = true
				pt.Y, pt.Title = p.DroppedY, where+"dropped, "+q.Drop
				lp.Drops = append(lp.Drops, pt)
				continue
			}
			pt.Y, pt.Title = place(a.at(estimate.Percent(*q.DLog))), where+percent(*q.DLog)
			lp.Points = append(lp.Points, pt)
		}
		p.Launches = append(p.Launches, lp)
	}
	return p, kept > 0
}
