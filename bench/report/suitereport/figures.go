package suitereport

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stepbench/bench/analysis"
	"stepbench/bench/figure"
)

// Figures draws the six figures of a, and a seventh where numbers of devices were
// compared.
func Figures(a *analysis.Analysis) []*figure.Figure {
	v := view{a}
	notes := v.notes()
	out := []*figure.Figure{
		v.phaseComparison(notes), v.throughputComparison(notes), v.latencyDistribution(notes),
		v.latencyAgainstThroughput(notes), v.utilisation(notes), v.phaseBreakdown(notes),
	}
	if f := v.scalingFigure(notes); f != nil {
		out = append(out, f)
	}
	return out
}

// notes say what every figure has to: model, device, n, R and window.
func (v view) notes() []string {
	out := []string{v.setups()}
	var n, r []int
	var window []float64
	within := false
	for _, p := range v.all() {
		if p.Requests == 0 {
			continue
		}
		n, r = append(n, p.Requests), append(r, len(valid(p)))
		within = within || p.WithinRun
		if b := p.Bottleneck; b != nil && b.Evidence.WindowS > 0 {
			window = append(window, b.Evidence.WindowS)
		}
	}
	line := "no valid measurement"
	if len(n) > 0 {
		line = fmt.Sprintf("n = %s requests a bar, R = %s", span(n, "%d"), span(r, "%d"))
		if len(window) > 0 {
			line += fmt.Sprintf(", window %s s", span(window, "%.3g"))
		}
		line += "; intervals are over repeats"
		if within {
			line += ", or within the run (bootstrap) where R is under 3"
		}
	}
	out = append(out, line)
	if slices.ContainsFunc(v.Points, func(p analysis.Point) bool { return p.Stand }) {
		out = append(out, "stand-in: random tokens of the dataset's length distribution, not its text")
	}
	return out
}

// setups names the models on each device.
func (v view) setups() string {
	var order []string
	models := map[string][]string{}
	for _, e := range v.Engines {
		on := fmt.Sprintf("%s, %s, vLLM %s", deviceName(v.Analysis, e), cmp.Or(e.Info.DType, "no dtype"), cmp.Or(e.Info.VLLMVersion, absent))
		if models[on] == nil {
			order = append(order, on)
		}
		name := e.Name
		if e.Config.Model.Synthetic {
			name += " (random weights)"
		}
		models[on] = append(models[on], name)
	}
	var out []string
	for _, on := range order {
		out = append(out, strings.Join(models[on], ", ")+" on "+on)
	}
	return cmp.Or(strings.Join(out, "; "), "no engine was opened")
}

func span[T cmp.Ordered](x []T, format string) string {
	lo, hi := fmt.Sprintf(format, slices.Min(x)), fmt.Sprintf(format, slices.Max(x))
	if lo == hi {
		return lo
	}
	return lo + "–" + hi
}

func deviceName(a *analysis.Analysis, e analysis.Engine) string {
	if e.Info.Platform == "cpu" && a.Host.CPUModel != "" {
		return a.Host.CPUModel
	}
	return cmp.Or(e.Info.Device, "unknown device")
}

func valid(p *analysis.Point) []analysis.Repeat {
	return slices.DeleteFunc(slices.Clone(p.Repeats), func(r analysis.Repeat) bool { return !r.Valid })
}

func bar(v *analysis.Value, unit float64) *figure.Value {
	if v == nil {
		return nil
	}
	out := &figure.Value{V: v.V / unit}
	if v.CI != nil {
		ci := *v.CI
		ci.Lo, ci.Hi = ci.Lo/unit, ci.Hi/unit
		out.CI = &ci
	}
	return out
}

func share(p *analysis.Point, phase string) *figure.Value {
	if s, ok := p.Shares[phase]; ok {
		return bar(&s, 1)
	}
	return nil
}

func (v view) phaseComparison(notes []string) *figure.Figure {
	var groups []figure.PhaseBar
	for _, p := range v.axes("dataset") {
		g := figure.PhaseBar{
			Name: shortDataset(p), Queue: bar(p.Latency["queue"].Mean, sNs), Saturated: saturated(p),
			Prefill: bar(p.Latency["prefill"].Mean, sNs), Decode: bar(p.Latency["decode"].Mean, sNs),
		}
		if p.RatePerS == 0 {
			g.QueueMark = "no schedule"
		}
		groups = append(groups, g)
	}
	return figure.Phases("Mean time of a request by phase and dataset", groups, notes)
}

func shortDataset(p *analysis.Point) string {
	if p.Stand {
		return p.Dataset + " (" + standIn + ")"
	}
	return p.Dataset
}

func (v view) throughputComparison(notes []string) *figure.Figure {
	var bars []figure.ThroughputBar
	for _, p := range v.all() {
		b := figure.ThroughputBar{Name: name(p), RequestsPerS: bar(p.Achieved, 1), TokensPerS: bar(p.OutputTokens, 1), Saturated: saturated(p)}
		if p.Offered != nil {
			b.OfferedPerS = p.Offered.V
		}
		bars = append(bars, b)
	}
	return figure.Throughputs("Throughput by configuration", bars, notes)
}

func (v view) latencyDistribution(notes []string) *figure.Figure {
	var samples []figure.LatencySample
	for _, p := range v.axes("dataset") {
		s := figure.LatencySample{Name: shortDataset(p), Saturated: saturated(p)}
		for _, r := range valid(p) {
			for _, ns := range r.E2ENs {
				s.Seconds = append(s.Seconds, ns/sNs)
			}
		}
		d := p.Latency["e2e"]
		s.P50, s.P90, s.P99 = seconds(d.P50), seconds(d.P90), seconds(d.P99)
		samples = append(samples, s)
	}
	return figure.Latencies("End-to-end time by dataset", samples, notes)
}

func seconds(v *analysis.Value) *float64 {
	if v == nil {
		return nil
	}
	s := v.V / sNs
	return &s
}

func (v view) latencyAgainstThroughput(notes []string) *figure.Figure {
	var points []figure.LoadPoint
	for _, p := range v.axes("rate", "pattern", "concurrency") {
		if p.Achieved == nil {
			continue
		}
		d := p.Latency["e2e"]
		l := figure.LoadPoint{Pattern: p.Pattern, AchievedPerS: *bar(p.Achieved, 1), P50: bar(d.P50, sNs), P99: bar(d.P99, sNs), Saturated: saturated(p)}
		if p.Offered != nil {
			l.OfferedPerS = p.Offered.V
		}
		points = append(points, l)
	}
	limit := 0.0
	if v.SLO != nil {
		limit = v.SLO.E2ENs / sNs
	}
	return figure.Loads("Latency against throughput", points, limit, notes)
}

func (v view) utilisation(notes []string) *figure.Figure {
	words := figure.GPUWords
	if v.onCPU() {
		words = figure.CPUWords
	}
	var bars []figure.UseBar
	coarse := false
	for _, p := range v.all() {
		b := figure.UseBar{Name: name(p), Counter: bar(p.Utilisation, 1), Saturated: saturated(p)}
		if d := p.Device; d != nil {
			b.Parts = &figure.UseParts{Busy: d.Busy, Host: d.Host, Between: d.BetweenSt, Empty: d.Empty}
			coarse = coarse || d.Coarse
		}
		bars = append(bars, b)
	}
	if coarse {
		notes = append(slices.Clone(notes), "some shares are coarse: no profiled burst of like shape, so the busy share is the counter's or that of the steps' execute part")
	}
	return figure.Use(words.Title, words, bars, notes)
}

func (v view) phaseBreakdown(notes []string) *figure.Figure {
	var bars []figure.BreakdownBar
	for _, p := range v.all() {
		bars = append(bars, figure.BreakdownBar{
			Name: name(p), Queue: share(p, "queue"), Prefill: share(p, "prefill"), Decode: share(p, "decode"),
			Host: bar(p.HostFrac, 1), Saturated: saturated(p),
		})
	}
	return figure.Breakdown("Where the requests' time went", bars, notes)
}
