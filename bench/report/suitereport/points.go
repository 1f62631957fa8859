package suitereport

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stepbench/bench/analysis"
	"stepbench/bench/workload"
)

// Units of the values, which are in ns.
const (
	msNs = 1e6
	sNs  = 1e9
)

// axes are the points that vary one of the named axes, with the base that they
// vary from; all points if that leaves none.
func (v view) axes(names ...string) []*analysis.Point {
	var out []*analysis.Point
	varied := false
	for i := range v.Points {
		p := &v.Points[i]
		if own := slices.Contains(names, p.Axis); own || p.Axis == "base" {
			varied = varied || own
			out = append(out, p)
		}
	}
	if !varied && len(out) == 0 {
		return v.all()
	}
	return out
}

func (v view) all() []*analysis.Point {
	var out []*analysis.Point
	for i := range v.Points {
		out = append(out, &v.Points[i])
	}
	return out
}

func (v view) engine(p *analysis.Point) *analysis.Engine {
	if p.Engine < 0 || p.Engine >= len(v.Engines) {
		return &analysis.Engine{}
	}
	return &v.Engines[p.Engine]
}

// onCPU says that no engine had a GPU.
func (v view) onCPU() bool {
	for _, e := range v.Engines {
		if e.Info.Platform != "" && e.Info.Platform != "cpu" {
			return false
		}
	}
	return true
}

// name is how a point is called in tables. A stand-in is labelled wherever its
// dataset is named.
func name(p *analysis.Point) string {
	if p.Stand && !strings.Contains(p.Label, standIn) {
		return p.Label + " (" + standIn + ")"
	}
	return p.Label
}

const standIn = "stand-in"

// dataset names the prompts.
func dataset(p *analysis.Point) string {
	if p.Stand {
		return p.Dataset + " (" + standIn + ": random tokens of its lengths)"
	}
	return p.Dataset
}

// why is the reason for a value that p lacks.
func why(p *analysis.Point, else_ string) string {
	return cmp.Or(p.Problem, else_)
}

// load says how requests arrive.
func load(p *analysis.Point) string {
	switch {
	case p.Concurrency > 0:
		return fmt.Sprintf("closed loop, %d at a time", p.Concurrency)
	case p.RatePerS > 0:
		return fmt.Sprintf("%s, %g/s", p.Pattern, p.RatePerS)
	}
	return p.Pattern
}

func saturated(p *analysis.Point) bool { return p.Saturation == workload.Yes }

// mean, and the percentiles, are of one latency in ms.
func mean(p *analysis.Point, metric string) cell {
	d, ok := p.Latency[metric]
	if !ok || d.Mean == nil {
		return missing(why(p, "no request gave one"+noQueue(p, metric)))
	}
	return value(d.Mean, msNs, "")
}

// noQueue explains what only arrivals on a schedule have.
func noQueue(p *analysis.Point, metric string) string {
	if (metric == "queue" || metric == "admission") && p.RatePerS == 0 {
		return ", since requests of a closed loop or an offline run do not arrive on a schedule"
	}
	return ""
}

// need is the fewest requests of which a percentile has a 95 % interval.
var need = map[string]int{"p50": 6, "p90": 36, "p99": 368}

func percentile(p *analysis.Point, metric, q string) cell {
	d := p.Latency[metric]
	of := map[string]*analysis.Value{"p50": d.P50, "p90": d.P90, "p99": d.P99}[q]
	if of == nil && p.Problem == "" && d.N >= need[q] {
		return missing("no interval exists for it")
	}
	return value(of, msNs, why(p, fmt.Sprintf("%s needs %d requests", q, need[q])))
}

func offered(p *analysis.Point) cell {
	if p.Offered == nil && p.RatePerS == 0 {
		return missing("a closed loop or an offline run offers no rate")
	}
	return value(p.Offered, 1, why(p, "no measured window"))
}

func rate(v *analysis.Value, p *analysis.Point) cell {
	return value(v, 1, why(p, "no measured window"))
}

func shareOf(p *analysis.Point, phase string) cell {
	if s, ok := p.Shares[phase]; ok {
		return percent(&s, "")
	}
	return missing(why(p, "no request gave one"+noQueue(p, phase)))
}

func (v view) goodput(p *analysis.Point) cell {
	if v.SLO == nil {
		return missing("the suite has no SLO (--slo ttft=…,tpot=…)")
	}
	return value(p.Goodput, 1, why(p, "no measured window"))
}

func verdict(s workload.Verdict) cell { return orMissing(string(s), "not judged") }
