package micro

import (
	"context"
	"fmt"

	"stepbench/engine"
)

// Player is an engine that executes scripts; engine.Engine in the product.
type Player interface {
	// Info describes the open engine.
	Info() engine.Info
	// Play executes script and hands records to sink as they arrive. Steps
	// carry the index of their Op, profiled Ops give one Profile each. Garbage
	// is collected before the first step and not during any.
	Play(ctx context.Context, script engine.Script, sink engine.Sink) error
}

// Stage is the part of a run that a step belongs to.
type Stage string

const (
	WarmUp      Stage = "warm-up"
	Timing      Stage = "timing"
	Attribution Stage = "attribution"
	Tracing     Stage = "trace"
)

// Reasons for which a step that was to be measured does not count. It is never
// discarded for being slow.
const (
	Mismatch   = "mismatch"   // the scheduler did not do what was planned
	Preemption = "preemption" // a request lost its KV cache
	Collection = "gc"         // Python's garbage collector ran meanwhile
	Throttling = "throttled"  // the control group was held back meanwhile
	MajorFault = "major-fault"
	Compiling  = "jit" // something was compiled meanwhile
)

// StepRecord is a step and what it was for.
type StepRecord struct {
	Cell  string
	Stage Stage
	// Round counts from 0; in the attribution stage it is the burst, of which
	// number 0 is discarded.
	Round   int
	Role    Role
	Planned Composition
	// Discard is why a step in RoleMeasure does not count, empty if it does.
	Discard string
	engine.Step

	cost    cost
	context span
}

// Composition is what the scheduler counts of a step; it must equal the plan.
type Composition struct {
	CtxReqs, CtxTokens, GenReqs int32
}

// Counts says that the step is one of its cell's.
func (s *StepRecord) Counts() bool { return s.Role == RoleMeasure && s.Discard == "" }

func compositionOf(s *engine.Step) Composition {
	return Composition{s.CtxReqs, s.CtxTokens, s.GenReqs}
}

// played is what came of a program.
type played struct {
	steps     []StepRecord
	requests  []engine.RequestResult
	profiles  map[int]engine.Profile // by Op
	elapsedNs int64
	cached    int64  // prompt tokens from the prefix cache
	refused   string // why the engine refused a request
	change    Conditions
}

// kept are the measured steps that count.
func (p *played) kept() []StepRecord {
	var out []StepRecord
	for _, s := range p.steps {
		if s.Counts() {
			out = append(out, s)
		}
	}
	return out
}

// play executes prog and compares every step with its plan. What arrived before
// an error is returned with it.
func (r *runner) play(ctx context.Context, c Cell, stage Stage, round int, prog program) (*played, error) {
	before, err := r.conditions(ctx)
	if err != nil {
		return nil, err
	}
	out := &played{profiles: map[int]engine.Profile{}}
	byOp := make([]int, len(prog.plan))
	err = r.player.Play(ctx, prog.script, func(b engine.Batch) error {
		for _, s := range b.Steps {
			if s.Op < 0 || int(s.Op) >= len(byOp) || byOp[s.Op] == len(prog.plan[s.Op].steps) {
				return fmt.Errorf("the engine ran a step of op %d that is not in the script of %d ops", s.Op, len(byOp))
			}
			op := prog.plan[s.Op]
			at := round
			if op.burst > 0 {
				at = op.burst - 1
			}
			out.steps = append(out.steps, verify(c, stage, at, op.steps[byOp[s.Op]], s))
			byOp[s.Op]++
		}
		for _, p := range b.Profiles {
			out.profiles[p.Op] = p
		}
		out.requests = append(out.requests, b.Requests...)
		for _, q := range b.Requests {
			out.cached += int64(q.CachedTokens)
			if q.Error != "" && out.refused == "" {
				out.refused = q.Error
			}
		}
		return nil
	})
	if n := len(out.steps); n > 0 {
		out.elapsedNs = out.steps[n-1].ExitNs - out.steps[0].EnterNs
	}
	if err != nil {
		return out, fmt.Errorf("cell %s: %w", c.Name(), err)
	}
	for i, n := range byOp {
		if n != len(prog.plan[i].steps) {
			return out, fmt.Errorf("cell %s: the engine ran %d steps of op %d, planned %d", c.Name(), n, i, len(prog.plan[i].steps))
		}
	}
	after, err := r.conditions(ctx)
	if err != nil {
		return out, err
	}
	out.change = after.since(before)
	if why := out.change.disturbance(); why != "" {
		for i := range out.steps {
			if s := &out.steps[i]; s.Counts() {
				s.Discard = why
			}
		}
	}
	return out, nil
}

func verify(c Cell, stage Stage, round int, plan planned, s engine.Step) StepRecord {
	rec := StepRecord{
		Cell: c.Name(), Stage: stage, Round: round, Role: plan.role, Planned: plan.Composition, Step: s,
		cost: plan.cost, context: plan.context,
	}
	if rec.Role != RoleMeasure {
		return rec
	}
	switch {
	case s.Preempted > 0:
		rec.Discard = Preemption
	case compositionOf(&s) != plan.Composition:
		rec.Discard = Mismatch
	}
	return rec
}
