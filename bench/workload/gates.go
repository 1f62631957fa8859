package workload

import (
	"fmt"
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
	if !v.unscheduled {
		gates = append([]Gate{v.generatorGate()}, gates...)
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
