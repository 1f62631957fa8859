package analysis

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"stepbench/bench/stats"
	"stepbench/bench/workload"
)

// scaling compares numbers of devices under the same load: closed or offline,
// or where arrivals are scheduled, by the highest rate that did not saturate.
// That rate is one's limit only if a higher one saturated: otherwise a load that
// every number of devices can carry would show none of them to be faster.
func (l *loader) scaling() []Scaling {
	var out []Scaling
	for _, load := range l.loads() {
		out = append(out, load.rows()...)
	}
	return out
}

// load is what several numbers of devices were given.
type load struct {
	label string
	at    []throughput // by rising number of devices
}

// throughput is X(n) in output tokens/s.
type throughput struct {
	devices int
	value   Value
	repeats []float64
}

func (l *loader) loads() []load {
	type key struct {
		model, dataset, load, ways string
		open                       bool
	}
	var keys []key
	points := map[key]map[int][]int{} // by number of devices, indices of points
	for i := range l.a.Points {
		p := &l.a.Points[i]
		if p.OutputTokens == nil {
			continue
		}
		k := key{model: p.Model, dataset: p.Dataset, load: p.Pattern}
		if p.Concurrency > 0 {
			k.load = fmt.Sprintf("%d at once", p.Concurrency)
		} else if k.open = p.Pattern != "offline"; k.open {
			k.load = "highest rate without saturation, " + p.Pattern
		}
		for _, k.ways = range ways(p) {
			if points[k] == nil {
				points[k] = map[int][]int{}
				keys = append(keys, k)
			}
			points[k][p.Devices] = append(points[k][p.Devices], i)
		}
	}
	var out []load
	for _, k := range keys {
		byDevices := points[k]
		if len(byDevices) < 2 {
			continue
		}
		g := load{label: fmt.Sprintf("%s %s, %s, %s", k.model, k.dataset, k.load, k.ways)}
		for _, devices := range slices.Sorted(maps.Keys(byDevices)) {
			i, why := l.capacity(k.open, byDevices[devices])
			if why != "" {
				l.warn("scaling of %s %s leaves out %d devices: %s", k.model, k.dataset, devices, why)
				continue
			}
			t := throughput{devices: devices, value: *l.a.Points[i].OutputTokens}
			for _, r := range l.runs[i] {
				t.repeats = append(t.repeats, r.values["output_tokens_per_s"].Value)
			}
			g.at = append(g.at, t)
		}
		if len(g.at) >= 2 {
			out = append(out, g)
		}
	}
	return out
}

// ways are the kinds of parallelism whose scaling a point belongs to: one device
// is the start of each.
func ways(p *Point) []string {
	switch {
	case p.Devices == 1:
		return []string{"tensor parallel", "pipeline parallel", "tensor and pipeline parallel"}
	case p.PP <= 1:
		return []string{"tensor parallel"}
	case p.TP <= 1:
		return []string{"pipeline parallel"}
	default:
		return []string{"tensor and pipeline parallel"}
	}
}

// capacity picks the point that shows what a number of devices can do.
func (l *loader) capacity(open bool, indices []int) (best int, why string) {
	best = -1
	saturated := false
	for _, i := range indices {
		p := &l.a.Points[i]
		if open && p.Saturation == workload.Yes {
			saturated = true
		}
		if open && p.Saturation != workload.No {
			continue
		}
		if best < 0 || p.OutputTokens.V > l.a.Points[best].OutputTokens.V {
			best = i
		}
	}
	switch {
	case best < 0:
		return best, "no rate is known not to saturate"
	case open && !saturated:
		return best, "no rate saturated, so its limit is not known"
	}
	return best, ""
}

// rows computes speed-up, efficiency and serial shares against the smallest
// number of devices n0, with m = n/n0:
//
//	Sp = X(n)/X(n0)   E = Sp/m   e = (1/Sp - 1/m)/(1 - 1/m)   (Karp and Flatt 1990)
//	f = Σxy/Σx² with x = 1-1/m, y = 1/Sp-1/m   (Amdahl's law through the origin)
//
// Intervals are Student's over repeats, paired in order; with one repeat each,
// speed-up and efficiency get the relative widths of both throughputs, added as
// independent.
func (g load) rows() []Scaling {
	base := g.at[0]
	out := make([]Scaling, len(g.at))
	for i, t := range g.at {
		m := float64(t.devices) / float64(base.devices)
		s := Scaling{Label: g.label, Devices: t.devices, Throughput: t.value, Indicative: len(g.at) < 3}
		speedUp := t.value.V / base.value.V
		ratios := t.ratios(base)
		s.SpeedUp = withInterval(speedUp, ratios, func(sp float64) float64 { return sp })
		s.Efficiency = withInterval(speedUp, ratios, func(sp float64) float64 { return sp / m })
		if ratios == nil && i > 0 {
			s.SpeedUp.CI = quotient(t.value, base.value)
			if ci := s.SpeedUp.CI; ci != nil {
				s.Efficiency.CI = &stats.Interval{Lo: ci.Lo / m, Hi: ci.Hi / m}
			}
		}
		if m > 1 {
			e := withInterval(speedUp, ratios, func(sp float64) float64 { return karpFlatt(sp, m) })
			s.KarpFlatt = &e
		}
		out[i] = s
	}
	f := g.amdahl()
	for i := range out {
		out[i].Amdahl = f
	}
	return out
}

func karpFlatt(speedUp, m float64) float64 { return (1/speedUp - 1/m) / (1 - 1/m) }

// ratios are the speed-ups of the repeats, nil unless both have as many, two or
// more.
func (t throughput) ratios(base throughput) []float64 {
	if len(t.repeats) != len(base.repeats) || len(t.repeats) < 2 {
		return nil
	}
	out := make([]float64, len(t.repeats))
	for k := range out {
		out[k] = t.repeats[k] / base.repeats[k]
	}
	return out
}

// withInterval is of(x) with Student's interval of the same over repeats.
func withInterval(x float64, repeats []float64, of func(float64) float64) Value {
	v := Value{V: of(x)}
	values := make([]float64, len(repeats))
	for i, r := range repeats {
		values[i] = of(r)
	}
	if ci, ok := stats.TInterval(values, stats.Level); ok {
		v.CI = &ci
	}
	return v
}

// quotient is the interval of a/b, nil unless both have one.
func quotient(a, b Value) *stats.Interval {
	if a.CI == nil || b.CI == nil {
		return nil
	}
	half := math.Hypot((a.CI.Hi-a.CI.Lo)/2/a.V, (b.CI.Hi-b.CI.Lo)/2/b.V)
	q := a.V / b.V
	return &stats.Interval{Lo: q * (1 - half), Hi: q * (1 + half)}
}

// amdahl fits the serial share f, whose 1/f is the largest speed-up.
func (g load) amdahl() *Value {
	fit := func(x func(throughput) float64) float64 {
		var xy, xx float64
		for _, t := range g.at[1:] {
			m := float64(t.devices) / float64(g.at[0].devices)
			free := 1 - 1/m
			xy += free * (x(g.at[0])/x(t) - 1/m)
			xx += free * free
		}
		return xy / xx
	}
	v := &Value{V: fit(func(t throughput) float64 { return t.value.V })}
	n := len(g.at[0].repeats)
	for _, t := range g.at {
		if len(t.repeats) != n {
			return v
		}
	}
	fits := make([]float64, n)
	for k := range fits {
		fits[k] = fit(func(t throughput) float64 { return t.repeats[k] })
	}
	if ci, ok := stats.TInterval(fits, stats.Level); ok {
		v.CI = &ci
	}
	return v
}
