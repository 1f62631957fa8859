// Package workloadtest makes records of runs that never happened: a simulation
// of a batching engine with exact, round times, for tests of what is computed
// from records. The product never imports it.
package workloadtest

import "stepbench/engine"

// Engine is the simulated engine. A step takes BaseNs plus CtxTokenNs for each
// prompt token and GenReqNs for each decoding request.
type Engine struct {
	StartNs    int64 // the plan's start, CLOCK_MONOTONIC
	BaseNs     int64
	CtxTokenNs int64
	GenReqNs   int64
	MaxSeqs    int
	// StallNs is added once, to step StallStep.
	StallStep int
	StallNs   int64
	// AbortNs > 0 ends the run that long after its start.
	AbortNs int64
}

// Default is an engine with 4 ms decode steps and 20 ms prefills of 128 tokens.
func Default() Engine {
	return Engine{StartNs: 1_000e9, BaseNs: 4e6, CtxTokenNs: 125e3, GenReqNs: 50e3, MaxSeqs: 8}
}

// Gaps inside a step: into vLLM, and from vLLM's stamps back into Go.
const (
	enterNs = 20e3
	exitNs  = 10e3
)

// Run executes plan.
func (e Engine) Run(plan engine.Plan) (requests []engine.RequestResult, steps []engine.Step) {
	var waiting, running []*engine.RequestResult
	want := map[int64]int{}
	now, next := e.StartNs, 0
	for {
		if e.AbortNs > 0 && now >= e.StartNs+e.AbortNs {
			for _, r := range append(running, waiting...) {
				r.Finish = engine.FinishAbort
				requests = append(requests, *r)
			}
			return requests, steps
		}
		for next < len(plan.Arrivals) && e.StartNs+plan.Arrivals[next].OffsetNs <= now {
			a := plan.Arrivals[next]
			next++
			want[a.ID] = a.Sampling.MaxTokens
			waiting = append(waiting, &engine.RequestResult{
				ID: a.ID, PromptTokens: int32(len(a.Prompt)),
				ArrivalNs: e.StartNs + a.OffsetNs, AdmitNs: now, AnchorNs: now, AnchorUnixNs: unix(now),
				EngineUnixNs: unix(e.StartNs + a.OffsetNs), QueuedNs: now + 5e3,
			})
		}
		if len(waiting)+len(running) == 0 {
			if next == len(plan.Arrivals) {
				return requests, steps
			}
			now = e.StartNs + plan.Arrivals[next].OffsetNs
			continue
		}
		s := engine.Step{Index: int64(len(steps)), EnterNs: now, GILNs: now + enterNs/2, CallNs: now + enterNs, GenReqs: int32(len(running))}
		s.GenTokens = s.GenReqs
		for len(waiting) > 0 && len(running) < e.MaxSeqs {
			r := waiting[0]
			waiting = waiting[1:]
			r.ScheduledNs = s.CallNs + 100e3
			s.CtxReqs, s.CtxTokens = s.CtxReqs+1, s.CtxTokens+r.PromptTokens
			running = append(running, r)
		}
		wall := e.BaseNs + e.CtxTokenNs*int64(s.CtxTokens) + e.GenReqNs*int64(s.GenReqs)
		if e.StallNs > 0 && e.StallStep == len(steps) {
			wall += e.StallNs
		}
		s.ReturnNs = s.CallNs + wall
		s.ExitNs = s.ReturnNs + exitNs
		now = s.ExitNs
		s.ScheduleNs, s.SampleNs, s.UpdateNs, s.OutputNs, s.StatsNs = 200e3, 300e3, 60e3, 80e3, 20e3
		s.ExecuteNs = wall - 680e3 // leaves 20 us unaccounted
		s.BridgeNs = 30e3
		s.Outputs, s.NewTokens = int32(len(running)), int32(len(running))
		s.TokenBudget, s.SeqBudget = 2048, int32(e.MaxSeqs)
		s.KVUsageFrac = float64(len(running)) / 64
		var still []*engine.RequestResult
		for _, r := range running {
			if r.FirstTokenNs == 0 {
				r.FirstTokenNs = s.ReturnNs - 50e3
				r.EngineTTFTNs = r.FirstTokenNs - r.ArrivalNs
			}
			r.LastTokenNs = s.ReturnNs - 50e3
			r.TokenNs = append(r.TokenNs, s.ExitNs)
			r.OutputTokens++
			r.EngineOutputs++
			if int(r.OutputTokens) < want[r.ID] {
				still = append(still, r)
				continue
			}
			r.Finish, r.DeliveredNs = engine.FinishLength, s.ExitNs
			requests = append(requests, *r)
		}
		running = still
		s.Running, s.Waiting = int32(len(running)), int32(len(waiting))
		steps = append(steps, s)
	}
}

// unix is the wall clock at a monotonic time: 2026-01-02 03:04:05 UTC at 1000 s.
func unix(ns int64) int64 { return 1_767_323_045e9 + ns - 1_000e9 }
