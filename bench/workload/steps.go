package workload

import (
	"slices"

	"stepbench/bench/stats"
	"stepbench/engine"
)

// PhaseSteps describes the steps of one phase: prefill, decode, mixed or
// empty. Medians are taken each on its own, so those of the components need
// not add up to that of the wall.
type PhaseSteps struct {
	Phase string `json:"phase"`
	Steps int    `json:"steps"`
	// WallFrac is the phase's share of the wall time of all steps.
	WallFrac   float64     `json:"wall_frac"`
	WallNs     float64     `json:"wall_ns_p50"` // median of w, inside LLMEngine.step
	Components []Component `json:"components"`
	CtxTokens  float64     `json:"ctx_tokens_mean"`
	GenReqs    float64     `json:"gen_reqs_mean"`
	Preempted  int         `json:"preempted"`
}

// Component is the median of one part of a step. All but bridge, which is the
// way into vLLM and back, are inside w.
type Component struct {
	Name string  `json:"name"`
	Ns   float64 `json:"ns_p50"`
}

var components = []struct {
	name string
	ns   func(*engine.Step) int64
}{
	{"schedule", func(s *engine.Step) int64 { return s.ScheduleNs }},
	{"execute", func(s *engine.Step) int64 { return s.ExecuteNs }},
	{"sample", func(s *engine.Step) int64 { return s.SampleNs }},
	{"update", func(s *engine.Step) int64 { return s.UpdateNs }},
	{"output", func(s *engine.Step) int64 { return s.OutputNs }},
	{"stats", func(s *engine.Step) int64 { return s.StatsNs }},
	{"core", func(s *engine.Step) int64 { return s.CoreNs }},
	{"unaccounted", (*engine.Step).UnaccountedNs},
	{"bridge", func(s *engine.Step) int64 { return s.BridgeNs }},
}

// measuredSteps are those begun since the first measured request arrived.
func (v *view) measuredSteps() []engine.Step {
	if len(v.measured) == 0 {
		return nil
	}
	var out []engine.Step
	for _, s := range v.Steps {
		if s.EnterNs >= v.measured[0].ArrivalNs {
			out = append(out, s)
		}
	}
	return out
}

// stepTable groups the measured steps by phase, phases without steps left out,
// and gives the share of time spent inside step.
func (v *view) stepTable() (table []PhaseSteps, inStepFrac float64) {
	steps := v.measuredSteps()
	if len(steps) == 0 {
		return nil, 0
	}
	byPhase := map[string][]*engine.Step{}
	var wall int64
	for i := range steps {
		s := &steps[i]
		byPhase[s.Phase()] = append(byPhase[s.Phase()], s)
		wall += s.WallNs()
	}
	for _, phase := range []string{"prefill", "mixed", "decode", "empty"} {
		if group := byPhase[phase]; len(group) > 0 {
			table = append(table, phaseSteps(phase, group, wall))
		}
	}
	if elapsed := steps[len(steps)-1].ExitNs - steps[0].EnterNs; elapsed > 0 {
		inStepFrac = float64(wall) / float64(elapsed)
	}
	return table, inStepFrac
}

func phaseSteps(phase string, steps []*engine.Step, allWallNs int64) PhaseSteps {
	median := func(ns func(*engine.Step) int64) float64 {
		x := make([]float64, len(steps))
		for i, s := range steps {
			x[i] = float64(ns(s))
		}
		slices.Sort(x)
		return stats.Median(x)
	}
	p := PhaseSteps{Phase: phase, Steps: len(steps), WallNs: median((*engine.Step).WallNs)}
	var wall, ctxTokens, genReqs int64
	for _, s := range steps {
		wall += s.WallNs()
		ctxTokens += int64(s.CtxTokens)
		genReqs += int64(s.GenReqs)
		p.Preempted += int(s.Preempted)
	}
	p.CtxTokens, p.GenReqs = float64(ctxTokens)/float64(len(steps)), float64(genReqs)/float64(len(steps))
	if allWallNs > 0 {
		p.WallFrac = float64(wall) / float64(allWallNs)
	}
	for _, c := range components {
		p.Components = append(p.Components, Component{Name: c.name, Ns: median(c.ns)})
	}
	return p
}
