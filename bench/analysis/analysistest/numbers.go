package analysistest

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"stepbench/bench/analysis"
	"stepbench/bench/bottleneck"
	"stepbench/bench/stats"
	"stepbench/bench/workload"
)

// fill makes up numbers that fit together: phases that add up to E2E, rates
// that fit the batch, a bottleneck by the rules.
func (c cell) fill(p *analysis.Point, e analysis.Engine) {
	achieved := c.rate
	queue := 0.02
	switch {
	case c.saturated:
		achieved, queue = c.rate*0.61, 0.72
		p.Saturation = workload.Yes
	case c.rate == 0:
		achieved, queue = float64(max(1, c.concurrency))/c.e2eS, 0
		p.Saturation = workload.NotApplicable
	}
	if c.rate > 0 {
		p.Offered = value(c.rate, 0)
	}
	half := 0.06 / math.Sqrt(float64(c.repeats))
	p.Achieved = value(achieved, half)
	p.OutputTokens = value(achieved*float64(c.out), half)
	p.TotalTokens = value(achieved*float64(c.out+c.in), half)
	if c.slo {
		p.Goodput = value(achieved*0.93, half)
	}
	prefill := (1 - queue) * float64(c.in) / float64(c.in+8*c.out)
	decode := 1 - queue - prefill
	p.Shares = map[string]analysis.Value{"prefill": *value(prefill, half), "decode": *value(decode, half)}
	if c.rate > 0 {
		p.Shares["queue"] = *value(queue, half)
	}
	ns := c.e2eS * 1e9
	p.Latency = map[string]analysis.Dist{
		"e2e":     c.dist(ns, half),
		"prefill": c.dist(ns*prefill, half),
		"decode":  c.dist(ns*decode, half),
		"tpot":    c.dist(ns*decode/float64(c.out-1), half),
		"itl":     c.dist(ns*decode/float64(c.out-1), half),
		"ttft":    c.dist(ns*(queue+prefill), half),
	}
	if c.rate > 0 {
		p.Latency["queue"], p.Latency["admission"] = c.dist(ns*queue, half), c.dist(ns*min(queue, 0.01), half)
	}
	busy := math.Min(0.93, 0.25+0.2*math.Log1p(c.batch))
	hostShare := (1 - busy) * 0.4
	p.Device = &analysis.DeviceTime{Busy: busy, Host: hostShare, BetweenSt: 0.01, Empty: 1 - busy - hostShare - 0.01}
	p.Utilisation = value(math.Min(0.99, busy*1.08), 0.02)
	c.fillGPM(p, e)
	idle := hostShare / (busy + hostShare)
	p.HostFrac = value((prefill+decode)*idle, half)
	p.CPU = &analysis.CPUUse{
		WorkerCores: 1.1 + 0.05*float64(p.Devices), ParentCores: 0.04, Threads: 48 + 8*p.Devices, SwitchesPerS: 3.2, SamplerFrac: 0.003,
		ByComponent: map[string]float64{"schedule": 180, "execute": 3900, "sample": 260, "update": 60, "output": 85, "stats": 22, "core": 35, "bridge": 31},
	}
	p.Steps = c.steps(ns * decode / float64(c.out-1))
	evidence := bottleneck.Evidence{
		WindowS: float64(c.n) / achieved, Requests: c.n, OnCPU: e.Info.Platform == "cpu",
		FullGraphs: strings.HasPrefix(e.Info.GraphMode, "FULL"), AsyncScheduling: e.Info.AsyncScheduling,
		Device:    &bottleneck.Budget{Busy: busy, Host: hostShare, Between: 0.01, Empty: p.Device.Empty, Coarse: p.Device.Coarse},
		QueueFrac: queue, PrefillFrac: prefill, DecodeFrac: decode, InterferenceFrac: 0.04, PrefillIdleFrac: &idle, DecodeIdleFrac: &idle,
		OpenLoop: c.rate > 0, OfferedPerS: c.rate, AchievedPerS: achieved, Saturated: c.saturated, KVUsageP95: math.Min(1, c.batch/80),
		MeanBatch: c.batch, MaxSeqs: e.Info.MaxNumSeqs, MaxTokens: e.Info.MaxNumBatchedTokens,
	}
	cv := 0.35
	evidence.LatencyCV = &cv
	if c.saturated {
		evidence.Waiting = &bottleneck.Waiting{Seqs: 0.94, Compute: 0.06}
	}
	report := bottleneck.Classify(evidence)
	p.Bottleneck = &report
	if c.repeats == 1 {
		p.Flags = []string{"quick"}
	}
}

// fillGPM: one configuration ran before Hopper, one had an error midway, one
// device does not tell its memory traffic, and the others tell all.
func (c cell) fillGPM(p *analysis.Point, e analysis.Engine) {
	if e.Info.Platform == "cpu" {
		return
	}
	if p.Pattern == "constant" {
		p.GPMProblem = "GPM: not offered by this device/driver: ERROR_NOT_SUPPORTED"
		return
	}
	used := p.Utilisation.V
	p.GPM = map[string]analysis.Value{
		"sm_util": *value(0.8*used, 0.02), "sm_occupancy": *value(0.2*used, 0.02),
		"tensor_util": *value(0.1*used, 0.02), "dram_bandwidth_util": *value(0.4*used, 0.02),
	}
	switch {
	case p.Pattern == "burst":
		p.GPMProblem = "GPM: sample: ERROR_TIMEOUT"
	case p.Devices == 2:
		delete(p.GPM, "dram_bandwidth_util")
	}
}

func (c cell) dist(mean, half float64) analysis.Dist {
	d := analysis.Dist{N: c.n * c.repeats, Mean: value(mean, half)}
	for _, q := range []struct {
		p     float64
		to    **analysis.Value
		times float64
	}{{0.5, &d.P50, 0.96}, {0.9, &d.P90, 1.41}, {0.99, &d.P99, 1.82}} {
		if d.N >= stats.MinSamples(q.p, stats.Level) {
			*q.to = value(mean*q.times, 1.5*half)
		}
	}
	return d
}

func (c cell) steps(tpotNs float64) []workload.PhaseSteps {
	parts := func(wall float64) []workload.Component {
		var out []workload.Component
		for _, part := range []struct {
			name string
			frac float64
		}{{"schedule", 0.04}, {"execute", 0.82}, {"sample", 0.06}, {"update", 0.02}, {"output", 0.03}, {"stats", 0.01}, {"core", 0.01}, {"unaccounted", 0.01}, {"bridge", 0.01}} {
			out = append(out, workload.Component{Name: part.name, Ns: wall * part.frac})
		}
		return out
	}
	return []workload.PhaseSteps{
		{Phase: "prefill", Steps: c.n / 3, WallFrac: 0.1, WallNs: 3 * tpotNs, Components: parts(3 * tpotNs), CtxTokens: float64(c.in)},
		{Phase: "mixed", Steps: c.n, WallFrac: 0.2, WallNs: 2 * tpotNs, Components: parts(2 * tpotNs), CtxTokens: float64(c.in), GenReqs: c.batch},
		{Phase: "decode", Steps: c.n * c.out / 4, WallFrac: 0.7, WallNs: tpotNs, Components: parts(tpotNs), GenReqs: c.batch},
	}
}

func scaling(points []analysis.Point) []analysis.Scaling {
	var out []analysis.Scaling
	var base float64
	for _, p := range points {
		if p.Axis != "parallelism" {
			continue
		}
		x := p.OutputTokens.V
		if base == 0 {
			base = x
		}
		n := float64(p.Devices)
		s := analysis.Scaling{
			Label: p.Model + " " + p.Dataset + ", 32 at once, tensor parallel", Devices: p.Devices, Throughput: *p.OutputTokens,
			SpeedUp: *value(x/base, 0.04), Efficiency: *value(x/base/n, 0.04), Amdahl: value(0.25, 0.1),
		}
		if p.Devices > 1 {
			s.KarpFlatt = value((base/x-1/n)/(1-1/n), 0.1)
		}
		out = append(out, s)
	}
	return out
}

func roadmap(points []analysis.Point) []analysis.RoadmapItem {
	items := map[bottleneck.Class]*analysis.RoadmapItem{}
	for i, p := range points {
		if p.Bottleneck == nil {
			continue
		}
		for _, f := range p.Bottleneck.Classes {
			if !f.Present {
				continue
			}
			item := items[f.Class]
			if item == nil {
				item = &analysis.RoadmapItem{Class: string(f.Class), Advice: f.Advice}
				items[f.Class] = item
			}
			item.Bound = max(item.Bound, f.Bound)
			item.Points = append(item.Points, i)
		}
	}
	var out []analysis.RoadmapItem
	for _, item := range items {
		out = append(out, *item)
	}
	slices.SortFunc(out, func(a, b analysis.RoadmapItem) int {
		return cmp.Or(-cmp.Compare(a.Bound, b.Bound), cmp.Compare(a.Class, b.Class))
	})
	return out
}
