// Package microtest has a player for tests of step measurements: the scripted
// engine of enginetest, which schedules as vLLM does, with step times that are
// written down, noisy or drifting, in virtual time. The product never imports
// it.
package microtest

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// Player executes scripts on a fake engine. Its zero value is not usable: see
// New.
type Player struct {
	*enginetest.Fake
	// Alter, if not nil, changes what a step reports before anyone sees it.
	Alter func(op engine.Op, s *engine.Step)
	// PlayErr, if not nil, fails a script by its error, after its steps.
	PlayErr func(script int) error
	// BusyFrac is the share of a profiled step in which kernels run, and
	// Slowdown how much longer the step is than without profiler.
	BusyFrac, Slowdown float64
	// GapScale times the idle time is what the gaps between kernels add up to.
	GapScale float64
	// Rows, if not nil, replaces the rows of a profile.
	Rows func(p engine.Profile) []engine.ProfileRow
	// Corrupt, if not nil, changes the output tokens of a request.
	Corrupt func(tokens []int32)
	// Leak is the share of kernel time outside the steps.
	Leak float64
	// Scripts counts the scripts played.
	Scripts int
	// Contexts are those of the decoding requests of every step of the last
	// script: prompt and outputs before the step.
	Contexts [][]int

	clock *enginetest.Clock
	slow  bool
	noise *rand.Rand
}

// Cost is the time of a step by its composition.
type Cost struct {
	Base, CtxToken, GenReq time.Duration
	// Noise is the relative deviation of a step, Drift its relative change per
	// second of virtual time.
	Noise, Drift float64
}

// DefaultCost makes decode steps of 2 to 3 ms.
func DefaultCost() Cost {
	return Cost{Base: 2 * time.Millisecond, CtxToken: 20 * time.Microsecond, GenReq: 100 * time.Microsecond}
}

// New makes a player whose steps take what cost says, its noise drawn by seed.
func New(cost Cost, seed uint64) *Player {
	p := &Player{
		clock: &enginetest.Clock{}, noise: rand.New(rand.NewPCG(seed, 1)),
		BusyFrac: 0.8, Slowdown: 1.05, GapScale: 1,
	}
	p.Fake = &enginetest.Fake{
		Clock: p.clock, MaxTokens: 2048, MaxSeqs: 64,
		About: engine.Info{
			Device: "fake", DType: "bfloat16", GraphMode: "NONE", MaxModelLen: 1024,
			KVBlocks: 1025, KVBlockSize: 16,
		},
	}
	p.StepTime = func(s engine.Step) time.Duration { return p.stepTime(cost, s) }
	return p
}

func (p *Player) stepTime(c Cost, s engine.Step) time.Duration {
	if s.CtxReqs+s.GenReqs == 0 {
		return 50 * time.Microsecond // only cleans up
	}
	d := c.Base + time.Duration(s.CtxTokens)*c.CtxToken + time.Duration(s.GenReqs)*c.GenReq
	elapsed := time.Duration(p.clock.NowNs() - enginetest.StartNs).Seconds()
	factor := (1 + c.Drift*elapsed) * math.Exp(c.Noise*p.noise.NormFloat64())
	if p.slow {
		factor *= p.Slowdown
	}
	return time.Duration(float64(d) * factor)
}

// Play implements micro.Player.
func (p *Player) Play(ctx context.Context, script engine.Script, sink engine.Sink) error {
	p.Scripts++
	p.Contexts = nil
	live := map[int64]int{} // tokens by request
	tokens := map[int64][]int32{}
	ended := func(id int64, finish engine.FinishReason) engine.RequestResult {
		r := engine.RequestResult{ID: id, Finish: finish}
		if script.KeepTokens {
			if r.Tokens = tokens[id]; p.Corrupt != nil {
				p.Corrupt(r.Tokens)
			}
		}
		return r
	}
	prompt := map[int64]int{}
	var index int64
	for i, op := range script.Ops {
		var b engine.Batch
		arrivals := make([]int64, len(op.Submit))
		refused, err := p.Submit(op.Submit, arrivals)
		if err != nil {
			return err
		}
		for k, r := range op.Submit {
			if why := refused[k]; why != nil {
				b.Requests = append(b.Requests, engine.RequestResult{ID: r.ID, Finish: engine.FinishError, Error: why.Error()})
				continue
			}
			live[r.ID], prompt[r.ID] = len(r.Prompt), len(r.Prompt)
		}
		p.slow = op.Profile
		for range op.Steps {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			r, err := p.Step(op.Limits)
			if err != nil {
				return err
			}
			r.Index, r.Op = index, int32(i)
			index++
			if p.Alter != nil {
				p.Alter(op, &r.Step)
			}
			b.Steps = append(b.Steps, r.Step)
			var contexts []int
			for _, o := range r.Outputs {
				if n := live[o.ID]; n > prompt[o.ID] {
					contexts = append(contexts, n)
				}
				live[o.ID] += int(o.TokenLen)
				tokens[o.ID] = append(tokens[o.ID], r.Tokens[o.TokenOff:o.TokenOff+o.TokenLen]...)
				if o.Finish != engine.Unfinished {
					delete(live, o.ID)
					b.Requests = append(b.Requests, ended(o.ID, o.Finish))
				}
			}
			p.Contexts = append(p.Contexts, contexts)
		}
		p.slow = false
		if op.Profile {
			b.Profiles = append(b.Profiles, p.profile(i, op.Events, b.Steps))
		}
		if op.Abort {
			var ids []int64
			for id := range live {
				ids = append(ids, id)
				b.Requests = append(b.Requests, ended(id, engine.FinishAbort))
			}
			if _, err := p.Abort(ids); err != nil {
				return err
			}
			clear(live)
		}
		if err := sink(b); err != nil {
			return err
		}
	}
	if p.PlayErr != nil {
		return p.PlayErr(p.Scripts)
	}
	return nil
}

// profile shares the busy time out to two kernels and a copy.
func (p *Player) profile(op int, events bool, steps []engine.Step) engine.Profile {
	out := engine.Profile{Op: op, Steps: len(steps), Unit: "kernel"}
	for i := range steps {
		wall := steps[i].WallNs()
		busy := int64(p.BusyFrac * float64(wall))
		out.BusyNs += busy
		out.GapNs += int64(p.GapScale * float64(wall-busy))
		if events {
			at := steps[i].CallNs
			for _, k := range []struct {
				name  string
				share int64
			}{{"gemm", 7}, {"attention", 2}, {"Memcpy DtoH", 1}} {
				out.Events = append(out.Events, engine.ProfileEvent{Name: k.name, Track: "GPU 0 stream 7", StartNs: at, DurationNs: busy * k.share / 10})
				at += busy * k.share / 10
			}
		}
	}
	n := int64(len(steps))
	out.Rows = []engine.ProfileRow{
		{Name: "gemm", Calls: 4 * n, SelfNs: out.BusyNs * 7 / 10},
		{Name: "attention", Calls: 2 * n, SelfNs: out.BusyNs * 2 / 10},
		{Name: "Memcpy DtoH", Calls: n, SelfNs: out.BusyNs / 10, Copy: true},
	}
	if p.Rows != nil {
		out.Rows = p.Rows(out)
	}
	for i := range out.Rows {
		r := &out.Rows[i]
		r.MedianNs = r.SelfNs / max(1, r.Calls)
		r.TypicalNs = r.SelfNs / max(1, n)
		if !r.Copy {
			out.SumNs += r.SelfNs
		}
	}
	out.UnassignedNs = int64(p.Leak * float64(out.SumNs))
	return out
}
