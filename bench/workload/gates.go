package workload

import (
	"fmt"
	"math"
	"slices"

	"stepbench/bench/stats"
	"stepbench/engine"
)

// Status is the outcome of a gate.
type Status string

const (
	Pass    Status = "pass"
	Fail    Status = "fail"
	Unknown Status = "unknown" // the records do not tell
)

// Gate is a condition under which a result means what it says.
type Gate struct {
	Name   string `json:"name"`
	Rule   string `json:"rule"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	// Voids: a failure makes the result invalid, rather than only flagged.
	Voids bool `json:"voids"`
}

func (v *view) gates() []Gate {
	gates := []Gate{v.lengthsGate(), v.orderGate(), v.stampsGate(), v.componentsGate(), v.preemptionGate()}
	if v.unscheduled {
		return gates
	}
	gates = append([]Gate{v.generatorGate()}, gates...)
	gates = append(gates, v.endedGate(), v.littleGate())
	if v.Spec.Profile != ProfileQuick {
		gates = append(gates, v.warmUpGate())
	}
	return gates
}

// generatorGate: a request waits for the step boundary after its arrival, so
// for at most one step. Where the p99 wait is longer, the load generator
// itself was late and the load was not the planned one.
func (v *view) generatorGate() Gate {
	g := Gate{Name: "generator on time", Voids: true, Status: Unknown,
		Rule:   "p99 of admission delay ≤ 1.1 × longest step + 1 ms",
		Detail: "no admissions or no steps recorded"}
	var delays []float64
	for i := range v.times {
		delays = append(delays, one(v.times[i].Admission)...)
	}
	if len(delays) == 0 || len(v.Steps) == 0 {
		return g
	}
	slices.Sort(delays)
	var longest int64
	for i := range v.Steps {
		longest = max(longest, v.Steps[i].WallNs())
	}
	p99, limit := stats.Percentile(delays, 0.99), 1.1*float64(longest)+1e6
	g.Status = passIf(p99 <= limit)
	g.Detail = fmt.Sprintf("p99 %.3g ms, limit %.3g ms", p99/1e6, limit/1e6)
	return g
}

// lengthsGate: throughput is only that of the planned work if each request did
// all of it.
func (v *view) lengthsGate() Gate {
	g := Gate{Name: "planned lengths", Voids: true, Rule: "completed requests have exactly the planned input and output tokens"}
	return v.overCompleted(g, "of another length", func(r *engine.RequestResult) bool {
		planned := v.Spec.Planned(r.ID)
		return int(r.PromptTokens) == planned.InputTokens && int(r.OutputTokens) == planned.OutputTokens
	})
}

// orderGate: stamps of one clock are in order. A violation means that clocks
// were mixed.
func (v *view) orderGate() Gate {
	g := Gate{Name: "stamps in order", Voids: true, Rule: "arrival ≤ first scheduled ≤ first token ≤ last token ≤ delivered"}
	return v.overCompleted(g, "out of order", func(r *engine.RequestResult) bool {
		var last int64
		for _, stamp := range []int64{r.ArrivalNs, r.ScheduledNs, r.FirstTokenNs, r.LastTokenNs, r.DeliveredNs} {
			if stamp == 0 {
				continue // counted by stampsGate
			}
			if stamp < last {
				return false
			}
			last = stamp
		}
		return true
	})
}

// stampsGate counts completed requests with a stamp vLLM never set; they are
// left out of the statistics that need it.
func (v *view) stampsGate() Gate {
	g := Gate{Name: "stamps complete", Rule: "completed requests have every time stamp"}
	return v.overCompleted(g, "with a missing stamp", func(r *engine.RequestResult) bool {
		return !slices.Contains([]int64{r.ArrivalNs, r.AdmitNs, r.QueuedNs, r.ScheduledNs, r.FirstTokenNs, r.LastTokenNs, r.DeliveredNs}, 0)
	})
}

// overCompleted passes g if all completed requests are good.
func (v *view) overCompleted(g Gate, wrong string, good func(*engine.RequestResult) bool) Gate {
	completed, bad := 0, 0
	for i := range v.requests {
		if !Completed(&v.requests[i]) {
			continue
		}
		completed++
		if !good(&v.requests[i]) {
			bad++
		}
	}
	g.Status, g.Detail = passIf(bad == 0), fmt.Sprintf("%d of %d %s", bad, completed, wrong)
	if completed == 0 {
		g.Status, g.Detail = Unknown, "no request completed"
	}
	return g
}

// unaccountedFrac is how much of the steps' wall time may lie in no component.
const unaccountedFrac = 0.01

func (v *view) componentsGate() Gate {
	g := Gate{Name: "steps accounted for", Rule: "components sum to the wall time within 1 %", Status: Unknown, Detail: "no measured steps"}
	var wall, rest int64
	for _, s := range v.measuredSteps() {
		wall += s.WallNs()
		rest += s.UnaccountedNs()
	}
	if wall == 0 {
		return g
	}
	frac := float64(rest) / float64(wall)
	g.Status = passIf(frac <= unaccountedFrac && frac >= -unaccountedFrac)
	g.Detail = fmt.Sprintf("%.2f %% of the wall time in no component", 100*frac)
	return g
}

func (v *view) preemptionGate() Gate {
	g := Gate{Name: "no preemption", Rule: "no request lost its KV cache", Status: Unknown, Detail: "no steps recorded"}
	if len(v.Steps) == 0 {
		return g
	}
	n := 0
	for i := range v.Steps {
		n += int(v.Steps[i].Preempted)
	}
	g.Status, g.Detail = passIf(n == 0), fmt.Sprintf("%d preemptions", n)
	return g
}

func passIf(ok bool) Status {
	if ok {
		return Pass
	}
	return Fail
}

// warmUpGate: what is measured must be a steady state, as far as the number in
// the system can tell.
func (v *view) warmUpGate() Gate {
	g := Gate{Name: "warmed up", Rule: "the number in the system settles (MSER-5) within the warm-up, or its mean moves by ≤ 1 %", Status: Unknown, Detail: "no measured window"}
	w := v.span.WarmUp
	if w == nil || w.TruncationS == nil {
		return g
	}
	g.Status = passIf(w.settled())
	g.Detail = fmt.Sprintf("after %.3g s of %.3g s, warm-up of %.3g s", *w.TruncationS, w.TotalS, w.PlayedS)
	if w.ShiftFrac > 0 {
		g.Detail += fmt.Sprintf(", mean moves by %.2g %%", 100*w.ShiftFrac)
	}
	switch {
	case w.NoSteadyState:
		g.Detail = "no-steady-state: " + g.Detail + ": the window is as planned"
	case w.ShorterS > 0:
		g.Detail += fmt.Sprintf(": the window begins there and is %.3g s shorter, %.3g s", w.ShorterS, v.window.seconds())
	case g.Status == Fail:
		g.Detail += ": the window is as planned, or requests that were cut off would not be measured"
	}
	return g
}

// endedGate: latencies of requests that were cut off are not known.
func (v *view) endedGate() Gate {
	g := Gate{Name: "measured requests ended", Rule: "none was cut off, as happens max(30 s, 3 × p99 E2E) after the window", Status: Unknown, Detail: "no request measured"}
	if len(v.measured) == 0 {
		return g
	}
	n := v.counts().Censored
	g.Status, g.Detail = passIf(n == 0), fmt.Sprintf("%d of %d cut off", n, len(v.measured))
	if n > 0 {
		g.Detail += " and censored: slower than every percentile, failed in goodput"
	}
	return g
}

// littleFrac is how far the two sides of Little's law may lie apart.
const littleFrac = 0.05

// littleGate: unless the system is saturated, the mean number in it is the rate
// of completions times the mean E2E; else requests or stamps were lost. At both
// ends of the window requests lie in it with a part of their time, which by
// chance differs by 2·sqrt(2·mean n) times the mean E2E at most: what is more
// than 5 %, but within that, decides nothing.
func (v *view) littleGate() Gate {
	g := Gate{Name: "Little's law", Status: Unknown, Detail: "not known to be unsaturated",
		Rule: "unsaturated: mean number in the system = achieved rate × mean E2E within 5 %"}
	s := v.saturation()
	switch {
	case s.Verdict != No:
		return g
	case v.counts().Interrupted > 0:
		g.Detail = "requests were cut off, and their E2E is not known"
		return g
	}
	var e2e []float64
	for i := range v.times {
		e2e = append(e2e, one(v.times[i].E2E)...)
	}
	meanS := stats.Mean(e2e) / 1e9 // the verdict needs one that completed
	law := v.windowThroughput().RequestsPerS * meanS
	off, chance := s.MeanInSystem-law, 2*math.Sqrt(2*s.MeanInSystem)*meanS/v.window.seconds()
	g.Detail = fmt.Sprintf("%.3g in the system, %.3g by the law", s.MeanInSystem, law)
	switch off = math.Abs(off); {
	case off <= littleFrac*s.MeanInSystem:
		g.Status = Pass
	case off <= chance:
		g.Detail += ", which may be chance in so short a window"
	default:
		g.Status = Fail
	}
	return g
}
