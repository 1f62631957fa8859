package micro

import (
	"context"
	"math"
	"slices"
	"time"

	"stepbench/bench/stats"
)

const (
	windowNs      = 1e9  // of measured time, in one steadiness window
	steadyWindows = 3    // successive windows that must agree
	steadyCapNs   = 30e9 // after that, go on and say so
	steadyWall    = 0.005
	steadyClock   = 0.01
	steadyDegrees = 0.2 // a second
)

// warmUp runs every shape, and then one shape until the device is steady.
func (r *runner) warmUp(ctx context.Context) error {
	warm := map[*measured]bool{}
	for i, m := range r.cells {
		if warm[m] {
			continue
		}
		warm[m] = true
		at := Progress{Stage: WarmUp, Left: len(r.cells) - i}
		twin := r.twin(m)
		if twin == nil {
			if err := r.warm(ctx, m, at, r.writer.timing(m.cell, 1)); err != nil {
				return err
			}
		} else {
			warm[twin] = true
			if err := r.warmPair(ctx, m, twin, at); err != nil {
				return err
			}
		}
		// A step longer than a round says enough.
		if m.warmNs <= float64(r.opt.Rules.RoundNs) && r.opt.Rules.WarmSteps > 1 && m.failed == "" {
			if err := r.warm(ctx, m, at, r.writer.timing(m.cell, r.opt.Rules.WarmSteps-1)); err != nil {
				return err
			}
		}
	}
	if !r.opt.Rules.Steady {
		return nil
	}
	return r.settle(ctx)
}

// warm plays a program of m and notes how long its last step took, since the
// first may have compiled something.
func (r *runner) warm(ctx context.Context, m *measured, at Progress, prog program) error {
	out, err := r.script(ctx, m, at, prog)
	if err != nil {
		return err
	}
	if kept := out.kept(); len(kept) > 0 {
		m.warmNs = float64(kept[len(kept)-1].WallNs())
	}
	return nil
}

// warmPair runs the shapes of a prefill cell and its decode twin together.
func (r *runner) warmPair(ctx context.Context, m, twin *measured, at Progress) error {
	out, err := r.script(ctx, twin, at, r.writer.warmUp(twin.cell, r.opt.Rules.WarmSteps))
	if err != nil {
		return err
	}
	if kept := out.kept(); len(kept) > 0 {
		twin.warmNs = float64(kept[len(kept)-1].WallNs())
	}
	m.warmNs = float64(out.steps[0].WallNs())
	return nil
}

// twin is the decode cell of the same batch and context as the prefill cell m,
// nil if there is none or the two cannot be run together.
func (r *runner) twin(m *measured) *measured {
	c := m.cell
	if c.Phase() != Prefill || len(c.Batch) != 1 || c.Batch[0].kind() != prefill || c.Chunk > 0 {
		return nil
	}
	g := c.Batch[0]
	if limit := r.writer.limits.Positions; limit > 0 && g.Total+r.opt.Rules.WarmSteps+1 >= limit {
		return nil
	}
	name := Cell{Batch: Batch{{g.Count, 1, g.Total}}}.Name()
	for _, other := range r.cells {
		if g.Total > 1 && other.cell.Name() == name {
			return other
		}
	}
	return nil
}

// window is one second of steps of one shape.
type window struct {
	wallNs float64 // median
	at     Conditions
	endNs  int64
}

// settle repeats the shape that loads the device most, of those with enough
// steps in a second, until the last windows agree. A cell that runs alone is
// not colder than one of a grid: the device is shared, so it is tested once.
func (r *runner) settle(ctx context.Context) error {
	m := r.heaviest()
	if m == nil {
		return nil
	}
	steps := max(1, int(math.Ceil(windowNs/m.warmNs)))
	var all []window
	var spentNs int64
	for spentNs < steadyCapNs {
		at := Progress{Stage: WarmUp, Round: len(all), Left: 1}
		out, err := r.script(ctx, m, at, r.writer.timing(m.cell, steps))
		if err != nil {
			return err
		}
		spentNs += out.elapsedNs
		walls := wallsOf(out.kept())
		if len(walls) == 0 {
			break
		}
		now, err := r.conditions(ctx)
		if err != nil {
			return err
		}
		all = append(all, window{wallNs: stats.Median(walls), at: now, endNs: out.steps[len(out.steps)-1].ExitNs})
		if n := len(all); n >= steadyWindows && steady(all[n-steadyWindows:]) {
			return nil
		}
	}
	r.steady = false
	return nil
}

// heaviest is the cell with the longest step of at most a tenth of a window,
// or else the shortest one.
func (r *runner) heaviest() *measured {
	var heavy, light *measured
	for _, m := range r.cells {
		switch {
		case m.warmNs == 0:
		case m.warmNs <= windowNs/10:
			if heavy == nil || m.warmNs > heavy.warmNs {
				heavy = m
			}
		case light == nil || m.warmNs < light.warmNs:
			light = m
		}
	}
	if heavy != nil {
		return heavy
	}
	return light
}

// steady says that windows agree in wall time, clock and temperature. What is
// not known is not tested.
func steady(windows []window) bool {
	lo, hi := windows[0], windows[0]
	for _, w := range windows {
		lo.wallNs, hi.wallNs = min(lo.wallNs, w.wallNs), max(hi.wallNs, w.wallNs)
		lo.at.SMClockMHz, hi.at.SMClockMHz = min(lo.at.SMClockMHz, w.at.SMClockMHz), max(hi.at.SMClockMHz, w.at.SMClockMHz)
	}
	first, last := windows[0], windows[len(windows)-1]
	seconds := time.Duration(last.endNs - first.endNs).Seconds()
	slope := (last.at.TemperatureC - first.at.TemperatureC) / seconds
	return hi.wallNs <= lo.wallNs*(1+steadyWall) &&
		hi.at.SMClockMHz <= lo.at.SMClockMHz*(1+steadyClock) &&
		math.Abs(slope) < steadyDegrees
}

// wallsOf are the wall times of steps, ascending.
func wallsOf(steps []StepRecord) []float64 {
	walls := make([]float64, len(steps))
	for i := range steps {
		walls[i] = float64(steps[i].WallNs())
	}
	slices.Sort(walls)
	return walls
}
