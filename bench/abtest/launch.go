package abtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"stepbench/bench/micro"
)

const (
	// A burst has burstSteps steps, or as many as take burstNs, but at least
	// fewestSteps; a step that is longer still makes a burst of one.
	burstSteps  = 32
	fewestSteps = 4
	burstNs     = 200e6
	longestNs   = 4e9
	warmBursts  = 2 // of each arm and cell before anything is looked at
)

// launch is a launch being measured.
type launch struct {
	Launch
	collector *collector
	arms      [2]Arm
	residents []int
	drivers   [2]*micro.Driver
	watch     Watch
}

func (l *launch) measure(ctx context.Context) error {
	if err := l.prepare(); err != nil {
		return err
	}
	if err := l.readCode(ctx); err != nil {
		return err
	}
	job := &l.collector.job
	if job.Watch != nil {
		l.watch = job.Watch(l.arms, l.Info, l.residents)
		defer func() { l.Gates = l.watch.End() }()
	}
	if err := l.warmUp(ctx); err != nil {
		return err
	}
	if err := l.ask(ctx); err != nil {
		return err
	}
	if l.Number == 1 && job.Check != nil {
		l.progress("outputs", "", 0, 0)
		report, err := job.Check(ctx, l.arms)
		if err != nil {
			return l.blame(err)
		}
		l.collector.evidence.Outputs = report
	}
	order := rng(job.Seed, fmt.Sprintf("launch %d", l.Number))
	cells := slices.Clone(job.Cells)
	if job.Apart {
		return l.apart(ctx, cells, order)
	}
	for _, kind := range []Kind{Timing, Attribution} {
		order.Shuffle(len(cells), func(i, k int) { cells[i], cells[k] = cells[k], cells[i] })
		for _, cell := range cells {
			if kind == Attribution { // the first pays for the profiler's own start
				for _, w := range []Which{ArmA, ArmB} {
					if err := l.uncounted(ctx, cell, kind, w); err != nil {
						return err
					}
				}
			}
			if err := l.quads(ctx, cell, kind, func() bool { return order.IntN(2) == 0 }); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare makes sure that the arms differ in nothing but their kernels.
func (l *launch) prepare() error {
	job := &l.collector.job
	for i, arm := range l.arms {
		l.Info[i] = arm.Info()
		driver, err := micro.NewDriver(arm, job.Seed, micro.AskConditions(arm.Call))
		if err != nil {
			return err
		}
		if refused := driver.Check(job.Cells); len(refused) > 0 {
			return refused[0]
		}
		l.drivers[i] = driver
	}
	if differ := differences(&l.Info[ArmA], &l.Info[ArmB], l.collector.evidence.hostsDiffer()); len(differ) > 0 {
		return &Failure{Launch: l.Number, During: "opening", Reason: "the arms differ in more than their kernels: " + list(differ)}
	}
	for i, side := range l.collector.evidence.Sides {
		why := notLoaded(side.Variant, l.Info[i].Variant)
		for _, r := range l.Info[i].Ranks {
			if not := notLoaded(side.Variant, r.Variant); not != "" {
				why = fmt.Sprintf("rank %d %s", r.Rank, not)
			}
		}
		if why != "" {
			w := Which(i)
			return &Failure{Launch: l.Number, Arm: &w, Side: side.Name, During: "opening", Reason: why}
		}
	}
	return nil
}

// readCode asks which kernels are under test, once.
func (l *launch) readCode(ctx context.Context) error {
	job := &l.collector.job
	if l.Number > 1 || job.Code == nil {
		return nil
	}
	code, err := job.Code(ctx, l.Info)
	l.collector.evidence.Code = code
	return err
}

// warmUp runs every cell in both arms, decides in the first launch how long
// bursts are, and repeats until the time for warming up is over.
func (l *launch) warmUp(ctx context.Context) error {
	job := &l.collector.job
	start := time.Now()
	for _, cell := range job.Cells {
		room := l.drivers[ArmA].Room(cell)
		var stepNs float64
		for range warmBursts {
			stepNs = 0
			for _, w := range []Which{ArmA, ArmB} {
				b, err := l.burst(ctx, Burst{Cell: cell.Name(), Kind: Timing, Arm: w}, cell, min(fewestSteps, room))
				if err != nil {
					return err
				}
				stepNs = max(stepNs, b.WallNs)
			}
		}
		if _, decided := l.collector.evidence.BurstSteps[cell.Name()]; !decided {
			l.collector.evidence.BurstSteps[cell.Name()] = stepsOf(stepNs, room)
		}
	}
	for time.Since(start) < job.WarmUp {
		for _, cell := range job.Cells {
			for _, w := range []Which{ArmA, ArmB} {
				if err := l.uncounted(ctx, cell, Timing, w); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// stepsOf is the length of a burst of steps of about stepNs.
func stepsOf(stepNs float64, room int) int {
	n := burstSteps
	if stepNs > 0 {
		n = min(n, max(fewestSteps, int(burstNs/stepNs)))
		n = min(n, max(1, int(longestNs/stepNs)))
	}
	return max(1, min(n, room))
}

func (l *launch) steps(cell micro.Cell) int { return l.collector.evidence.BurstSteps[cell.Name()] }

// ask has the arms count what they called, and time their interpreters.
func (l *launch) ask(ctx context.Context) error {
	for i, arm := range l.arms {
		if err := arm.Call(ctx, "variant_calls", nil, &l.Calls[i]); err != nil {
			return l.fail(Which(i), "warm-up", err)
		}
		if err := arm.Call(ctx, "host_loop", nil, &l.HostLoopNs[i]); err != nil {
			return l.fail(Which(i), "warm-up", err)
		}
	}
	for i, side := range l.collector.evidence.Sides {
		if side.Variant != nil && neverCalled(l.Calls[i]) {
			w := Which(i)
			return &Failure{
				Launch: l.Number, Arm: &w, Side: side.Name, During: "warm-up",
				Reason: neverExecuted(sortedKeys(l.Calls[i]), l.Info[i].Platform),
			}
		}
	}
	return nil
}

// quads runs quads of a cell until the plan's number count, or so many that
// replacing dropped ones has no prospect.
func (l *launch) quads(ctx context.Context, cell micro.Cell, kind Kind, coin func() bool) error {
	want := l.collector.job.Plan.TimingQuads
	if kind == Attribution {
		want = l.collector.job.Plan.AttributionQuads
	}
	for n, counted := 1, 0; counted < want && n <= extension*want; n++ {
		if l.collector.timeUp() {
			return errTimeUp
		}
		l.progress(string(kind), cell.Name(), n, want)
		order := [4]Which{ArmA, ArmB, ArmB, ArmA}
		if coin() {
			order = [4]Which{ArmB, ArmA, ArmA, ArmB}
		}
		first := len(l.Bursts)
		for i, w := range order {
			if _, err := l.burst(ctx, Burst{Cell: cell.Name(), Kind: kind, Quad: n, Position: i + 1, Arm: w}, cell, l.steps(cell)); err != nil {
				return err
			}
		}
		q := quadOf(l.Bursts[first:])
		if q.drop() == "" {
			counted++
		}
	}
	return nil
}

// apart runs the quads' bursts of one arm, then those of the other: AABB or BBAA, with
// all quads between the two halves of each. A quad that drops out is not replaced.
func (l *launch) apart(ctx context.Context, cells []micro.Cell, order *rand.Rand) error {
	plan := l.collector.job.Plan
	order.Shuffle(len(cells), func(i, k int) { cells[i], cells[k] = cells[k], cells[i] })
	first := Which((l.Number + 1) % 2)
	for half, w := range []Which{first, 1 - first} {
		for _, kind := range []Kind{Timing, Attribution} {
			quads := plan.TimingQuads
			if kind == Attribution {
				quads = plan.AttributionQuads
			}
			for _, cell := range cells {
				if err := l.uncounted(ctx, cell, kind, w); err != nil {
					return err
				}
				for n := 1; n <= quads; n++ {
					if l.collector.timeUp() {
						return errTimeUp
					}
					l.progress(fmt.Sprintf("%s %s", w, kind), cell.Name(), n, quads)
					for i := 1; i <= 2; i++ {
						b := Burst{Cell: cell.Name(), Kind: kind, Quad: n, Position: 2*half + i, Arm: w}
						if _, err := l.burst(ctx, b, cell, l.steps(cell)); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

// uncounted plays a burst of full length that no quad has.
func (l *launch) uncounted(ctx context.Context, cell micro.Cell, kind Kind, w Which) error {
	_, err := l.burst(ctx, Burst{Cell: cell.Name(), Kind: kind, Arm: w}, cell, l.steps(cell))
	return err
}

// burst plays one burst and keeps it. The four of a quad get the same prompts.
func (l *launch) burst(ctx context.Context, b Burst, cell micro.Cell, steps int) (*Burst, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	key := fmt.Sprintf("launch %d %s %s quad %d", l.Number, b.Cell, b.Kind, b.Quad)
	played, err := l.drivers[b.Arm].Play(ctx, micro.BurstSpec{Cell: cell, Steps: steps, Profile: b.Kind == Attribution, Key: key})
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		during := string(b.Kind)
		if b.Quad == 0 {
			during = "warm-up"
		}
		return nil, l.fail(b.Arm, during, err)
	}
	b.Burst = played
	if l.watch != nil {
		l.watch.Burst(&b)
	}
	l.Bursts = append(l.Bursts, b)
	if record := l.collector.job.Record; record != nil {
		if err := record(l.Number, b); err != nil {
			return nil, err
		}
	}
	return &l.Bursts[len(l.Bursts)-1], nil
}

func (l *launch) progress(stage, cell string, quad, quads int) {
	l.collector.progress(Progress{Launch: l.Number, Stage: stage, Cell: cell, Quad: quad, Quads: quads})
}

// quadOf puts four bursts in their places.
func quadOf(bursts []Burst) *quad {
	l := Launch{Bursts: bursts}
	return l.quads(bursts[0].Cell, bursts[0].Kind)[0]
}
