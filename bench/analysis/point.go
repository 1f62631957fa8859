package analysis

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"stepbench/bench/bottleneck"
	"stepbench/bench/record"
	"stepbench/bench/stats"
	"stepbench/bench/suite"
	"stepbench/bench/workload"
)

// read is a repeat as it was read.
type read struct {
	repeat Repeat
	run    *run
	doubts []string
}

// readAll reads every repeat of every point, as many at a time as there are
// CPUs: most of the time goes into resampling.
func (l *loader) readAll(m *suite.Manifest) [][]read {
	out := make([][]read, len(m.Points))
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wait sync.WaitGroup
	for i := range m.Points {
		p := &m.Points[i]
		engine := engineOf(m, p)
		out[i] = make([]read, len(p.Repeats))
		if engine < 0 {
			continue
		}
		for k := range p.Repeats {
			room <- struct{}{}
			wait.Go(func() {
				r := &out[i][k]
				r.repeat, r.run, r.doubts = l.repeat(engine, &p.Repeats[k])
				<-room
			})
		}
	}
	wait.Wait()
	return out
}

// engineOf is an index into m.Engines, -1 if it has no such engine.
func engineOf(m *suite.Manifest, p *suite.Point) int {
	return slices.IndexFunc(m.Engines, func(e suite.Engine) bool { return e.Name == p.Engine })
}

// point analyses one point over its repeats.
func (l *loader) point(m *suite.Manifest, from *suite.Point, repeats []read) {
	engine := engineOf(m, from)
	if engine < 0 {
		l.warn("point %s: there is no engine %q: left out", from.ID, from.Engine)
		return
	}
	p := Point{
		ID: from.ID, Label: from.Label, Axis: from.Axis, Engine: engine, Model: from.Model,
		Dataset: from.Dataset, Stand: from.StandIn, Pattern: from.Pattern, RatePerS: from.RatePerS, Concurrency: from.Concurrency,
		TP: from.TP, PP: from.PP, Devices: from.Devices, Latency: map[string]Dist{}, Saturation: workload.Undecided,
	}
	var valid, cut []*run
	for _, r := range repeats {
		p.Repeats = append(p.Repeats, r.repeat)
		switch {
		case r.repeat.Valid:
			valid = append(valid, r.run)
		case r.run != nil && r.run.sum.Valid():
			cut = append(cut, r.run)
		}
		for _, doubt := range r.doubts {
			if doubt = p.ID + ": " + doubt; !slices.Contains(l.a.Warnings, doubt) {
				l.a.Warnings = append(l.a.Warnings, doubt)
			}
		}
	}
	runs := valid
	if len(runs) == 0 && len(cut) > 0 {
		runs = cut
		p.Flags = append(p.Flags, "cut off: what was measured until then")
	}
	l.runs = append(l.runs, runs)
	if len(runs) == 0 {
		l.failed(&p)
	} else {
		p.fill(runs)
		l.a.Engines[engine].see(runs)
		if l.a.Profile == workload.ProfileQuick {
			p.Flags = append(p.Flags, workload.ProfileQuick)
		}
	}
	l.a.Points = append(l.a.Points, p)
}

// failed says why a point has no values.
func (l *loader) failed(p *Point) {
	var why []string
	for _, r := range p.Repeats {
		problem := r.Problem
		if problem == "" {
			problem = "state " + string(r.State)
		}
		if !slices.Contains(why, problem) {
			why = append(why, problem)
		}
		if outOfMemory(r.Problem) {
			report := bottleneck.Classify(bottleneck.Evidence{OutOfMemory: true})
			p.Bottleneck = &report
		}
	}
	p.Problem = "no valid repeat: " + strings.Join(why, "; ")
	if len(p.Repeats) == 0 {
		p.Problem = "no repeats"
	}
	if !slices.ContainsFunc(l.a.NotRun, func(n NotRun) bool { return n.What == p.ID }) {
		l.a.NotRun = append(l.a.NotRun, NotRun{What: p.ID, Why: p.Problem})
	}
}

// fill computes everything that is over repeats.
func (p *Point) fill(runs []*run) {
	p.WithinRun = len(runs) == 1
	p.Offered = over(runs, "offered_per_s")
	p.Achieved = over(runs, "achieved_per_s")
	p.OutputTokens = over(runs, "output_tokens_per_s")
	p.TotalTokens = over(runs, "total_tokens_per_s")
	p.Goodput = over(runs, "goodput_per_s")
	p.HostFrac = over(runs, "host_frac")
	p.Utilisation = over(runs, "utilisation_frac")
	p.fillGPM(runs)
	for _, phase := range []string{"queue", "prefill", "decode"} {
		if v := over(runs, phase+"_frac"); v != nil {
			if p.Shares == nil {
				p.Shares = map[string]Value{}
			}
			p.Shares[phase] = *v
		}
	}
	for _, r := range runs {
		p.Requests += r.sum.Counts.Measured
		for _, d := range r.sum.Latencies {
			name := strings.ToLower(d.Metric)
			if _, known := p.Latency[name]; !known {
				p.Latency[name] = dist(runs, name)
			}
		}
	}
	p.Steps = runs[0].sum.Steps
	p.CPU = cpuUse(runs)
	p.Ranks = rankUse(runs)
	p.Saturation = saturation(runs)
	if p.Saturation == workload.Yes {
		p.Flags = append(p.Flags, "saturated")
	}
	p.judge(runs)
	p.Flags = append(p.Flags, doubts(runs)...)
}

// over is a statistic over repeats: the mean of those of each with Student's
// interval, or that of the only one with its interval from within the run; nil
// unless every repeat has it.
func over(runs []*run, name string) *Value {
	var x []float64
	for _, r := range runs {
		v, ok := r.values[name]
		if !ok {
			return nil
		}
		if len(runs) == 1 {
			return &Value{V: v.Value, CI: v.CI}
		}
		x = append(x, v.Value)
	}
	v := &Value{V: stats.Mean(x)}
	if ci, ok := stats.TInterval(x, stats.Level); ok {
		v.CI = &ci
	}
	return v
}

// dist puts together one latency. A percentile exists if each repeat has
// requests enough for it.
func dist(runs []*run, name string) Dist {
	d := Dist{
		Mean: over(runs, name+"_mean_ns"),
		P50:  over(runs, name+"_p50_ns"), P90: over(runs, name+"_p90_ns"), P99: over(runs, name+"_p99_ns"),
	}
	for _, r := range runs {
		for _, l := range r.sum.Latencies {
			if strings.EqualFold(l.Metric, name) {
				d.N += l.N
			}
		}
	}
	return d
}

// saturation is yes if most repeats are saturated, and no only if each is
// known not to be.
func saturation(runs []*run) workload.Verdict {
	count := map[workload.Verdict]int{}
	for _, r := range runs {
		count[r.sum.Saturation.Verdict]++
	}
	for verdict, n := range count {
		if n == len(runs) {
			return verdict
		}
	}
	if 2*count[workload.Yes] > len(runs) {
		return workload.Yes
	}
	return workload.Undecided
}

// judge classifies the bottleneck over the repeats that have requests.
func (p *Point) judge(runs []*run) {
	var evidence []bottleneck.Evidence
	for _, r := range runs {
		if r.evidence.Requests > 0 {
			evidence = append(evidence, r.evidence)
		}
	}
	if len(evidence) == 0 {
		evidence = append(evidence, runs[0].evidence)
	}
	e := bottleneck.Mean(evidence)
	report := bottleneck.Classify(e)
	p.Bottleneck = &report
	if d := e.Device; d != nil {
		p.Device = &DeviceTime{Busy: d.Busy, Host: d.Host, BetweenSt: d.Between, Empty: d.Empty, Coarse: d.Coarse}
	}
}

// doubts are the gates that failed without voiding the result.
func doubts(runs []*run) []string {
	var out []string
	add := func(flag string) {
		if !slices.Contains(out, flag) {
			out = append(out, flag)
		}
	}
	for i, r := range runs {
		if r.wholeRun && !r.rec.Manifest.Workload.Offline() {
			add(fmt.Sprintf("rates are over the whole run, its start and end included: arrivals took less than %d service times", settledServices))
		}
		for _, g := range r.sum.Gates {
			if g.Status == workload.Fail && !g.Voids {
				add(fmt.Sprintf("%s: %s in repeat %d", g.Name, g.Detail, i+1))
			}
		}
		if n := r.sum.Counts.Failed; n > 0 {
			add(fmt.Sprintf("%d requests failed in repeat %d", n, i+1))
		}
		if r.rec.Source == record.FromJournal {
			add("read from the journal of an unfinished run")
		}
	}
	return out
}
