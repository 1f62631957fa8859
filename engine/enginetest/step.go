package enginetest

import (
	"fmt"
	"time"

	"stepbench/engine"
)

// Constant makes every step take d.
func Constant(d time.Duration) func(engine.Step) time.Duration {
	return func(engine.Step) time.Duration { return d }
}

// Durations makes step k take list[k], and the steps after the list its last
// value.
func Durations(list ...time.Duration) func(engine.Step) time.Duration {
	return func(s engine.Step) time.Duration { return list[min(int(s.Index), len(list)-1)] }
}

// Stall makes step k take d longer than base has it.
func Stall(k int64, d time.Duration, base func(engine.Step) time.Duration) func(engine.Step) time.Duration {
	return func(s engine.Step) time.Duration {
		if s.Index == k {
			return base(s) + d
		}
		return base(s)
	}
}

// Step implements engine.Stepper.
func (f *Fake) Step(limits engine.Limits) (engine.StepResult, error) {
	index := f.steps
	f.steps++
	if f.StepErr != nil {
		if err := f.StepErr(index); err != nil {
			return engine.StepResult{}, fmt.Errorf("step %d: %w", index, err)
		}
	}
	r := &f.results[index&1]
	r.Step, r.Outputs, r.Tokens = engine.Step{Index: index}, r.Outputs[:0], r.Tokens[:0]
	work := f.schedule(limits, &r.Step)
	f.MostRunning = max(f.MostRunning, len(f.running)+len(f.waiting))
	tokenNs := f.spend(&r.Step)
	f.update(work, r, tokenNs)
	r.Running, r.Waiting = int32(len(f.running)), int32(len(f.waiting))
	r.Step.Outputs, r.NewTokens = int32(len(r.Outputs)), int32(len(r.Tokens))
	return *r, nil
}

// share is a sequence's part of a step, in tokens.
type share struct {
	*sequence
	tokens int
}

// schedule shares the budget out and counts the composition into s.
func (f *Fake) schedule(limits engine.Limits, s *engine.Step) []share {
	const unlimited = 1 << 30
	tokens := or(limits.Tokens, or(f.MaxTokens, unlimited))
	seqs := or(limits.Seqs, or(f.MaxSeqs, unlimited))
	s.TokenBudget, s.SeqBudget = int32(tokens), int32(seqs)
	var work []share
	add := func(q *sequence) {
		n, isPrompt := 1, q.outputs == 0
		if isPrompt {
			n = min(len(q.Prompt)-q.computed, tokens)
		}
		tokens -= n
		work = append(work, share{q, n})
		if isPrompt {
			s.CtxReqs, s.CtxTokens = s.CtxReqs+1, s.CtxTokens+int32(n)
		} else {
			s.GenReqs, s.GenTokens = s.GenReqs+1, s.GenTokens+1
		}
	}
	for _, q := range f.running {
		if tokens > 0 {
			add(q)
		}
	}
	for len(f.waiting) > 0 && tokens > 0 && len(f.running) < seqs {
		q := f.waiting[0]
		f.waiting, f.running = f.waiting[1:], append(f.running, q)
		add(q)
	}
	return work
}

// spend passes the step's time, stamps it and says when its tokens exist.
func (f *Fake) spend(s *engine.Step) (tokenNs int64) {
	now := f.Clock.NowNs()
	s.EnterNs, s.GILNs, s.CallNs, s.ReturnNs, s.ExitNs = now, now, now, now, now
	if f.StepTime == nil {
		return now
	}
	wall := f.StepTime(*s).Nanoseconds()
	s.ScheduleNs, s.ExecuteNs, s.UpdateNs, s.OutputNs, s.StatsNs = wall/20, wall/2, wall/20, wall/20, wall/20
	s.CoreNs = wall / 40
	s.SampleNs = wall - s.ScheduleNs - s.ExecuteNs - s.UpdateNs - s.OutputNs - s.StatsNs - s.CoreNs
	s.BridgeNs = gilNs + callNs + exitNs
	s.GILNs = s.EnterNs + gilNs
	s.CallNs = s.GILNs + callNs
	s.ReturnNs = s.CallNs + wall
	s.ExitNs = s.ReturnNs + exitNs
	f.Clock.Sleep(time.Duration(s.ExitNs - s.EnterNs))
	return s.ReturnNs - s.OutputNs - s.StatsNs
}

// update gives every sequence whose prompt is complete its next token.
func (f *Fake) update(work []share, r *engine.StepResult, tokenNs int64) {
	for _, w := range work {
		q := w.sequence
		if q.stats.ScheduledS == 0 {
			q.stats.ScheduledS = seconds(r.CallNs)
		}
		if q.outputs == 0 {
			if q.computed += w.tokens; q.computed < len(q.Prompt) {
				continue // a chunk of the prompt
			}
			q.stats.FirstTokenS = seconds(tokenNs)
			q.stats.FirstTokenLatencyS = seconds(tokenNs+UnixOffsetNs) - q.stats.ArrivalS
		}
		q.outputs++
		q.stats.LastTokenS, q.stats.GenerationTokens = seconds(tokenNs), int32(q.outputs)
		ends, from := q.outputs == q.Sampling.MaxTokens, q.outputs-1
		if q.finalOnly() {
			if !ends {
				continue
			}
			from = 0
		}
		out := engine.Output{ID: q.ID, TokenOff: int32(len(r.Tokens)), TokenLen: int32(q.outputs - from)}
		for k := from; k < q.outputs; k++ {
			r.Tokens = append(r.Tokens, Token(q.Prompt, k))
		}
		if ends {
			out.Finish, out.Stats = engine.FinishLength, q.stats
			f.keepLogprobs(q)
		}
		r.Outputs = append(r.Outputs, out)
	}
	rest := f.running[:0]
	for _, q := range f.running {
		if q.outputs < q.Sampling.MaxTokens {
			rest = append(rest, q)
		}
	}
	clear(f.running[len(rest):])
	f.running = rest
}
