package micro

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"stepbench/bench/stats"
	"stepbench/engine"
)

const (
	invalidFrac     = 0.10 // of measured steps discarded
	unaccountedFrac = 0.01 // of the wall time
	hostLimitedFrac = 0.10 // idle share of a step
	profilerRatio   = 1.25 // beyond, busy and wall time are hardly of the same steps
	outlierMADs     = 10
	scaledMAD       = 1.4826
)

func (r *runner) results(info engine.Info, interrupted bool) *Results {
	out := &Results{
		Rules: r.opt.Rules, Seed: r.opt.Seed, Model: r.opt.Model, Info: info,
		Ceilings: r.opt.Ceilings, Interrupted: interrupted, Steps: r.steps, Traced: r.traced,
	}
	for _, m := range r.cells {
		out.Cells = append(out.Cells, r.summarize(m, info))
	}
	return out
}

func (r *runner) summarize(m *measured, info engine.Info) CellResult {
	c := CellResult{Cell: m.cell, Settled: m.settled, Discarded: m.discarded}
	rounds := m.keptRounds()
	values := medians(rounds)
	c.Dropped = unsteadyRounds(values)
	for _, v := range rounds[:c.Dropped] {
		c.DroppedSteps += len(v.steps)
	}
	rounds, values = rounds[c.Dropped:], values[c.Dropped:]
	var steps []StepRecord
	for _, v := range rounds {
		steps = append(steps, v.steps...)
		c.Rounds = append(c.Rounds, v.summarize())
	}
	c.Steps = len(steps)
	if c.Steps > 0 {
		c.Wall = wall(values, steps)
		c.Parts = parts(rounds, c.Wall.MedianNs)
		c.BridgeNs = medianOf(steps, func(s *StepRecord) float64 { return float64(s.BridgeNs) })
		total := cost{}
		contexts := span{}
		for _, s := range steps {
			total.plus(s.cost)
			contexts.add(s.context.min)
			contexts.add(s.context.max)
		}
		c.ContextMin, c.ContextMax = contexts.min, contexts.max
		c.TokensPerS = float64(total.tokens) / float64(c.Steps) / c.Wall.MedianNs * 1e9
		c.GraphMode, c.PaddedTokens, c.GraphMisses = graphs(steps, info)
		if c.Device = m.device(c.Wall.MedianNs); c.Device != nil {
			c.Device.Idle = m.idleCheck(values)
			c.Roofline = roofline(total, c.Steps, c.Device.BusyNs, r.opt, info)
		}
	}
	c.Valid = c.Steps > 0 && m.failed == "" && m.discardedFrac(c.Steps) <= invalidFrac
	c.Flags = r.flags(m, &c)
	return c
}

// flags lists the doubts about c, the gravest first.
func (r *runner) flags(m *measured, c *CellResult) []string {
	var flags []string
	add := func(ok bool, text string) {
		if ok {
			flags = append(flags, text)
		}
	}
	add(!c.Valid, FlagInvalid)
	add(m.failed != "", FlagFailed+": "+m.failed)
	for _, why := range slices.Sorted(maps.Keys(m.discarded)) {
		add(true, fmt.Sprintf("%s=%s:%d", FlagDiscarded, why, m.discarded[why]))
	}
	flags = append(flags, m.flags...)
	add(c.Dropped > 0, fmt.Sprintf("%s=%d", FlagDropped, c.Dropped))
	add(c.GraphMisses > 0, fmt.Sprintf("%s=%d", FlagGraphMiss, c.GraphMisses))
	add(!r.steady, FlagNotSteady)
	add(c.Steps > 0 && math.Abs(c.Parts.UnaccountedNs) > unaccountedFrac*c.Wall.MedianNs, FlagUnaccounted)
	if d := c.Device; d != nil {
		add(d.BubbleFrac >= hostLimitedFrac, FlagHostLimited)
		add(math.Abs(math.Log(d.ProfilerRatio)) > math.Log(profilerRatio), fmt.Sprintf("%s=%.2f", FlagProfiler, d.ProfilerRatio))
		add(d.Idle.off(c.Wall.MedianNs), fmt.Sprintf("%s=%s", FlagIdleGap, d.Idle))
	} else {
		add(r.opt.Attribution && c.Steps > 0, FlagUnprofiled)
	}
	add(r.opt.Rules.Name == FlagQuick, FlagQuick)
	return flags
}

func (m *measured) discardedFrac(kept int) float64 {
	n := 0
	for _, k := range m.discarded {
		n += k
	}
	return float64(n) / float64(max(1, n+kept))
}

// keptRounds are the rounds in which steps count.
func (m *measured) keptRounds() []*round {
	var out []*round
	for _, v := range m.rounds {
		if len(v.steps) > 0 {
			out = append(out, v)
		}
	}
	return out
}

// stepNs is what a step of m takes, as far as known.
func (m *measured) stepNs() float64 {
	if rounds := m.keptRounds(); len(rounds) > 0 {
		return stats.Median(wallsOf(rounds[len(rounds)-1].steps))
	}
	return m.warmNs
}

// steadyValues are the medians of the rounds that count, without those at the
// start that came before a change of level.
func (m *measured) steadyValues() []float64 {
	values := medians(m.keptRounds())
	return values[unsteadyRounds(values):]
}

// precise says that the interval of values is narrow enough.
func (m *measured) precise(values []float64, halfWidth float64) bool {
	sorted := slices.Sorted(slices.Values(values))
	ci, method := interval(sorted)
	return method != "" && (ci.Hi-ci.Lo)/2 <= halfWidth*stats.Median(sorted)
}

func medians(rounds []*round) []float64 {
	values := make([]float64, len(rounds))
	for i, v := range rounds {
		values[i] = stats.Median(wallsOf(v.steps))
	}
	return values
}

// interval is the 95 % interval of the median of ascending round values. For
// fewer than six the order statistics have none; Student's on the logarithms
// stands in, which takes their errors for normal and relative.
func interval(sorted []float64) (ci stats.Interval, method string) {
	if ci, ok := stats.PercentileInterval(sorted, 0.5, stats.Level); ok {
		return ci, IntervalOrder
	}
	logs := make([]float64, len(sorted))
	for i, v := range sorted {
		logs[i] = math.Log(v)
	}
	if ci, ok := stats.TInterval(logs, stats.Level); ok {
		return stats.Interval{Lo: math.Exp(ci.Lo), Hi: math.Exp(ci.Hi)}, IntervalStudent
	}
	return stats.Interval{}, ""
}

func wall(values []float64, steps []StepRecord) Wall {
	sorted := slices.Sorted(slices.Values(values))
	walls := wallsOf(steps)
	w := Wall{
		MedianNs: stats.Median(sorted),
		P10Ns:    stats.Percentile(walls, 0.10), P90Ns: stats.Percentile(walls, 0.90),
		MADNs: scaledMAD * stats.MAD(walls),
	}
	w.CI, w.CIMethod = interval(sorted)
	if len(walls) >= stats.MinSamples(0.99, stats.Level) {
		p99 := stats.Percentile(walls, 0.99)
		w.P99Ns = &p99
	}
	middle := stats.Median(walls)
	for _, v := range walls {
		if math.Abs(v-middle) > outlierMADs*w.MADNs {
			w.Outliers++
		}
	}
	return w
}

func (v *round) summarize() Round {
	median := stats.Median(wallsOf(v.steps))
	return Round{
		Index: v.index, Steps: len(v.steps), MedianNs: median, Parts: parts([]*round{v}, median),
		BridgeNs: medianOf(v.steps, func(s *StepRecord) float64 { return float64(s.BridgeNs) }),
	}
}

// parts splits wallNs by the shares of the parts in the middle half of each
// round's steps.
func parts(rounds []*round, wallNs float64) Parts {
	var p Parts
	var sum float64
	for _, v := range rounds {
		walls := wallsOf(v.steps)
		lo, hi := stats.Percentile(walls, 0.25), stats.Percentile(walls, 0.75)
		if len(walls) < 4 { // the middle half of two steps is empty
			lo, hi = walls[0], walls[len(walls)-1]
		}
		for i := range v.steps {
			s := &v.steps[i]
			if w := float64(s.WallNs()); w < lo || w > hi {
				continue
			}
			sum += float64(s.WallNs())
			p.ScheduleNs += float64(s.ScheduleNs)
			p.ExecuteNs += float64(s.ExecuteNs)
			p.SampleNs += float64(s.SampleNs)
			p.UpdateNs += float64(s.UpdateNs)
			p.OutputNs += float64(s.OutputNs)
			p.StatsNs += float64(s.StatsNs)
			p.CoreNs += float64(s.CoreNs)
			p.UnaccountedNs += float64(s.UnaccountedNs())
		}
	}
	if sum == 0 {
		return p
	}
	for _, ns := range []*float64{&p.ScheduleNs, &p.ExecuteNs, &p.SampleNs, &p.UpdateNs, &p.OutputNs, &p.StatsNs, &p.CoreNs, &p.UnaccountedNs} {
		*ns *= wallNs / sum
	}
	return p
}

func medianOf(steps []StepRecord, value func(*StepRecord) float64) float64 {
	x := make([]float64, len(steps))
	for i := range steps {
		x[i] = value(&steps[i])
	}
	slices.Sort(x)
	return stats.Median(x)
}

// roofline is nil where sizes are missing. total is the cost of n steps.
func roofline(total cost, n int, busyNs float64, opt Options, info engine.Info) *Roofline {
	shape := opt.Model.Shape
	element, ok := engine.ElementBytes(strings.ToLower(info.DType))
	if shape == nil || !ok || busyNs <= 0 {
		return nil
	}
	r := &Roofline{
		Bytes: weightBytes(shape, element) + total.kvBytes(shape, element)/float64(n),
		FLOP:  total.flop(shape) / float64(n),
	}
	r.BytesPerS, r.FLOPPerS = r.Bytes/busyNs*1e9, r.FLOP/busyNs*1e9
	if c := opt.Ceilings.CopyBytesPerS; c > 0 {
		frac := r.BytesPerS / c
		r.CopyFrac = &frac
	}
	if c := opt.Ceilings.MatmulFLOPPerS; c > 0 {
		frac := r.FLOPPerS / c
		r.MatmulFrac = &frac
	}
	return r
}
