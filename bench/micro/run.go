package micro

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"

	"stepbench/engine"
)

// Options of a run.
type Options struct {
	Rules Rules
	Seed  uint64 // of prompts and of the order of cells
	Model engine.Model
	// Attribution profiles each cell after all timing.
	Attribution bool
	// Trace plays a few further steps of each cell for a trace.
	Trace bool
	// Conditions, if not nil, is asked before and after every script.
	Conditions func(context.Context) (Conditions, error)
	// Progress, if not nil, is told of every script before it runs.
	Progress func(Progress)
	// Ceilings of the device; zero values are not known.
	Ceilings Ceilings
}

// Progress is where a run is.
type Progress struct {
	Stage Stage
	Cell  string
	Round int // in stage timing, from 0
	Left  int // cells not finished in this stage, this one included
}

// runner measures cells on one engine.
type runner struct {
	player Player
	opt    Options
	writer writer
	cells  []*measured
	steady bool
	steps  []StepRecord
	traced []Traced
}

// measured is a cell and what is known of it so far.
type measured struct {
	cell      Cell
	warmNs    float64 // a step at the end of the warm-up, 0 if none counted
	rounds    []*round
	bursts    []*burstResult
	elapsedNs int64 // timing, set-up included
	settled   int   // steps discarded as planned
	discarded map[string]int
	flags     []string
	failed    string // why the cell cannot go on
	done      bool
}

// round is the kept steps of one visit.
type round struct {
	index int
	steps []StepRecord
}

func (m *measured) flag(text string) {
	if !slices.Contains(m.flags, text) {
		m.flags = append(m.flags, text)
	}
}

// Run measures cells on an open engine and returns what it has, complete or
// not: after an error the cells measured before it stay valid. Cells that the
// engine cannot run are refused by [Check], which must have been asked with its
// [InfoLimits]; here they are an error.
//
// The engine must not schedule asynchronously, since a step would then return
// an earlier batch.
func Run(ctx context.Context, p Player, cells []Cell, opt Options) (*Results, error) {
	r, err := newRunner(p, opt)
	if err != nil {
		return nil, err
	}
	info := p.Info()
	if _, refused := Check(cells, InfoLimits(info)); len(refused) > 0 {
		return nil, refused[0]
	}
	for _, c := range cells {
		r.cells = append(r.cells, &measured{cell: c, discarded: map[string]int{}})
	}
	err = r.run(ctx)
	return r.results(info, err != nil), err
}

func (r *runner) run(ctx context.Context) error {
	if err := r.warmUp(ctx); err != nil {
		return err
	}
	if err := r.timing(ctx); err != nil {
		return err
	}
	if r.opt.Attribution {
		if err := r.attribution(ctx); err != nil {
			return err
		}
	}
	if r.opt.Trace {
		return r.trace(ctx)
	}
	return nil
}

// script plays a program of m, and takes note of what it says about the cell.
func (r *runner) script(ctx context.Context, m *measured, at Progress, prog program) (*played, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	at.Cell = m.cell.Name()
	if r.opt.Progress != nil {
		r.opt.Progress(at)
	}
	out, err := r.play(ctx, m.cell, at.Stage, at.Round, prog)
	if out == nil {
		return nil, err
	}
	r.steps = append(r.steps, out.steps...)
	if out.cached > 0 {
		m.flag(FlagPrefixCache)
	}
	if out.refused != "" && m.failed == "" {
		m.failed = out.refused
	}
	return out, err
}

// timing visits the cells in rounds, in fresh random order each.
func (r *runner) timing(ctx context.Context) error {
	order := r.rng("order")
	for index := 0; ; index++ {
		var active []*measured
		for _, m := range r.cells {
			if !m.done && m.failed == "" {
				active = append(active, m)
			}
		}
		if len(active) == 0 {
			return nil
		}
		order.Shuffle(len(active), func(i, k int) { active[i], active[k] = active[k], active[i] })
		for i, m := range active {
			at := Progress{Stage: Timing, Round: index, Left: len(active) - i}
			if err := r.visit(ctx, m, at); err != nil {
				return err
			}
			m.decide(r.opt.Rules)
		}
	}
}

// rng is a random stream of its own for each purpose.
func (r *runner) rng(purpose string) *rand.Rand {
	key := fmt.Sprintf("stepbench steps\nseed %d\n%s\n", r.opt.Seed, purpose)
	return rand.New(rand.NewChaCha8(sha256.Sum256([]byte(key))))
}

// visits bounds the scripts of one round: steps may count less often than
// planned, or run faster than before.
const visits = 4

// visit measures one round of m.
func (r *runner) visit(ctx context.Context, m *measured, at Progress) error {
	rules := r.opt.Rules
	now := &round{index: at.Round}
	m.rounds = append(m.rounds, now)
	var ns int64
	for range visits {
		n := rules.roundSteps(m.stepNs(), len(now.steps), ns)
		out, err := r.script(ctx, m, at, r.writer.timing(m.cell, n))
		if out != nil {
			m.elapsedNs += out.elapsedNs
			for _, s := range out.steps {
				switch {
				case s.Role == RoleSettle:
					m.settled++
				case s.Discard != "":
					m.discarded[s.Discard]++
				}
			}
			for _, s := range out.kept() {
				now.steps = append(now.steps, s)
				ns += s.WallNs()
			}
		}
		if err != nil {
			return err
		}
		// Where nothing counted the next round may fare better.
		if m.failed != "" || len(now.steps) == 0 || !rules.short(len(now.steps), ns) {
			return nil
		}
	}
	return nil
}

// decide says whether m has enough rounds.
func (m *measured) decide(rules Rules) {
	n, values := len(m.rounds), m.steadyValues()
	if len(values) < rules.MinRounds {
		// Where nothing counts there is no point in going on for long.
		m.done = n >= 2*rules.MinRounds
		return
	}
	precise := m.precise(values, rules.HalfWidth)
	spent := rules.MaxRounds > 0 && len(values) >= rules.MaxRounds || m.elapsedNs+m.elapsedNs/int64(n) > rules.CapNs
	m.done = precise || spent
	if m.done && !precise {
		m.flag(FlagUnstable)
	}
}
