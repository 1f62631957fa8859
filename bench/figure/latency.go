package figure

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// LatencySample is the end-to-end times of one dataset, in seconds. A
// percentile is nil where the requests are too few for it.
type LatencySample struct {
	Name          string
	Seconds       []float64
	P50, P90, P99 *float64
	Saturated     bool
}

// Latencies is latency_distribution: a histogram for each dataset, on one x.
func Latencies(title string, samples []LatencySample, notes []string) *Figure {
	f := &Figure{Stem: "latency_distribution", Title: title, notes: notes, columns: min(3, max(1, len(samples)))}
	longest, hollow := 0.0, false
	for _, s := range samples {
		for _, x := range s.Seconds {
			longest = max(longest, x)
		}
		hollow = hollow || s.Saturated
	}
	f.key = []keyEntry{histogramTone.key("requests")}
	for _, p := range percentileLines {
		f.key = append(f.key, keyEntry{p.name, func(c draw.Canvas, box vg.Rectangle) {
			x := (box.Min.X + box.Max.X) / 2
			c.StrokeLine2(p.style, x, box.Min.Y-1, x, box.Max.Y+1)
		}})
	}
	if hollow {
		f.key = append(f.key, saturatedKey)
	}
	width := vg.Length(minWidth)
	if f.columns > 1 {
		width = 250
	}
	for _, s := range samples {
		f.panels = append(f.panels, panel{width, 190, func(c draw.Canvas) { s.draw(c, longest) }})
	}
	if len(samples) == 0 {
		f.panels = []panel{{width, 190, func(c draw.Canvas) { nothing(c, noData) }}}
	}
	return f
}

var percentileLines = []struct {
	name  string
	of    func(LatencySample) *float64
	style draw.LineStyle
}{
	{"p50", func(s LatencySample) *float64 { return s.P50 }, draw.LineStyle{Color: color.Black, Width: 1.4}},
	{"p90", func(s LatencySample) *float64 { return s.P90 }, draw.LineStyle{Color: color.Black, Width: 1.4, Dashes: []vg.Length{5, 2.5}}},
	{"p99", func(s LatencySample) *float64 { return s.P99 }, draw.LineStyle{Color: color.Black, Width: 1.4, Dashes: []vg.Length{1.5, 1.8}}},
}

func (s LatencySample) draw(c draw.Canvas, longest float64) {
	plt := newPlot()
	plt.X.Label.Text, plt.Y.Label.Text = "end-to-end time (s)", "share of requests"
	plt.X.Min, plt.X.Max = 0, 1.04*longest
	if longest <= 0 {
		plt.X.Max = 1
	}
	edges, shares := histogram(s.Seconds)
	plt.Y.Min, plt.Y.Max = 0, 1
	if len(shares) > 0 {
		plt.Y.Max = 1.1 * slices.Max(shares)
	}
	head := heatStyle(9, draw.XLeft, draw.YTop)
	c.FillText(head, vg.Point{X: c.Min.X + sheetMargin, Y: c.Max.Y - 2}, shorten(clean(s.Name), int((c.Max.X-c.Min.X)/6)))
	c.FillText(noteStyleTop(), vg.Point{X: c.Min.X + sheetMargin, Y: c.Max.Y - 14}, s.caption())
	_, inside := drawPlot(plt, draw.Crop(c, 0, -sheetMargin-4, 4, -28))
	if len(s.Seconds) == 0 {
		nothing(inside, noData)
		return
	}
	x, y := plt.Transforms(&inside)
	for i, share := range shares {
		box := vg.Rectangle{Min: vg.Point{X: x(edges[i]), Y: y(0)}, Max: vg.Point{X: x(edges[i+1]), Y: y(share)}}
		if share == 0 {
			continue
		}
		if s.Saturated {
			darkTone.hollow(inside, box)
		} else {
			// Lines have to stand out on the bars, so these are the light ones.
			histogramTone.area(inside, box)
		}
	}
	for _, p := range percentileLines {
		if v := p.of(s); v != nil {
			inside.StrokeLine2(p.style, x(*v), inside.Min.Y, x(*v), inside.Max.Y)
		}
	}
}

// caption gives the numbers, so that no text has to stand at the lines.
func (s LatencySample) caption() string {
	text := fmt.Sprintf("n = %d", len(s.Seconds))
	for _, p := range percentileLines {
		if v := p.of(s); v != nil {
			text += ", " + p.name + " " + Duration(1e9**v)
		} else if len(s.Seconds) > 0 {
			text += ", " + p.name + " –"
		}
	}
	return text
}

var histogramTone = tone{shade: color.RGBA{0x8a, 0xbb, 0xdd, 0xff}, edge: color.RGBA{0x1f, 0x4e, 0x79, 0xff}}

func noteStyleTop() draw.TextStyle { return heatStyle(8, draw.XLeft, draw.YTop) }

// mostBins bounds a histogram: a single far outlier would make thousands.
const mostBins = 60

// histogram counts x in bins of the width 2·IQR/∛n of Freedman and Diaconis
// (1981), and gives the share in each. Where half of the values are equal, that
// width is 0 and ⌈√n⌉ bins serve instead.
func histogram(x []float64) (edges, shares []float64) {
	if len(x) == 0 {
		return nil, nil
	}
	sorted := slices.Sorted(slices.Values(x))
	lo, hi := sorted[0], sorted[len(sorted)-1]
	n := float64(len(x))
	bins := int(math.Ceil(math.Sqrt(n)))
	if width := 2 * (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / math.Cbrt(n); width > 0 {
		bins = int(math.Ceil((hi - lo) / width))
	}
	bins = min(mostBins, max(1, bins))
	if hi == lo { // one bar around the value
		lo, hi = 0.98*lo, 1.02*hi
	}
	shares = make([]float64, bins)
	for i := range bins + 1 {
		edges = append(edges, lo+(hi-lo)*float64(i)/float64(bins))
	}
	for _, v := range sorted {
		i := int(float64(bins) * (v - lo) / (hi - lo))
		shares[min(bins-1, max(0, i))] += 1 / n
	}
	return edges, shares
}

// quantile of sorted values, type 7.
func quantile(sorted []float64, p float64) float64 {
	h := float64(len(sorted)-1) * p
	i := int(h)
	if i+1 >= len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (h-float64(i))*(sorted[i+1]-sorted[i])
}
