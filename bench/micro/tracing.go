package micro

import (
	"context"
	"maps"
	"slices"

	"stepbench/engine"
)

// A trace shows up to traceSteps steps of a cell without profiler, as many as fit
// into traceNs but at least one, and as many with.
const (
	traceSteps = 4
	traceNs    = 300e6
)

// Traced is a few steps of a cell for a trace, set-up included: some without
// profiler, then, where cells are attributed, some under it with all that ran.
type Traced struct {
	Steps    []StepRecord
	Profiled map[int32]bool // by Op of a step
	Requests []engine.RequestResult
	Events   []engine.ProfileEvent
	Unit     string       // of the events: kernel or op
	At       []Conditions // before and after
}

// trace plays every cell once more.
func (r *runner) trace(ctx context.Context) error {
	for i, m := range r.cells {
		if m.failed != "" {
			continue
		}
		before, err := r.conditions(ctx)
		if err != nil {
			return err
		}
		at := Progress{Stage: Tracing, Left: len(r.cells) - i}
		prog := r.writer.traced(m.cell, m.stepNs(), r.opt.Attribution)
		out, err := r.script(ctx, m, at, prog)
		if err != nil {
			return err
		}
		after, err := r.conditions(ctx)
		if err != nil {
			return err
		}
		t := Traced{Steps: out.steps, Profiled: map[int32]bool{}, Requests: out.requests, At: []Conditions{before, after}}
		for _, op := range slices.Sorted(maps.Keys(out.profiles)) {
			p := out.profiles[op]
			t.Profiled[int32(op)], t.Unit = true, p.Unit
			t.Events = append(t.Events, p.Events...)
		}
		r.traced = append(r.traced, t)
	}
	return nil
}

// traced is a program for a trace of c, whose steps take about stepNs. The
// profiled ones come last, next to those without where one episode holds both.
func (w *writer) traced(c Cell, stepNs float64, profile bool) program {
	b := w.builder()
	n := traceSteps
	if stepNs > 0 {
		n = max(1, min(n, int(traceNs/stepNs)))
	}
	bursts := []burst{{steps: n}}
	if profile {
		bursts = append(bursts, burst{steps: n, profile: true})
	}
	if room := w.room(c); len(bursts)*n <= room {
		w.episode(b, c, bursts)
	} else {
		for _, u := range bursts {
			u.steps = min(n, room)
			w.episode(b, c, []burst{u})
		}
	}
	for i := range b.script.Ops {
		b.script.Ops[i].Events = b.script.Ops[i].Profile
	}
	return b.program
}
