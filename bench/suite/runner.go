package suite

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"

	"stepbench/bench/micro"
	"stepbench/bench/record"
	"stepbench/bench/telemetry"
	"stepbench/engine"
)

// Worker is an open engine in a process of its own. One with a method PID has
// its process watched.
type Worker interface {
	engine.Engine
	micro.Player
}

// Deps is what a runner uses of the world outside.
type Deps struct {
	Open func(ctx context.Context, cfg engine.Config) (Worker, error)
	// Devices opens those that an engine runs on; nil for none. They are closed
	// with the engine.
	Devices func(ctx context.Context, info engine.Info, count int) []*telemetry.Device
	// Manifest begins that of each run.
	Manifest func() record.Manifest
	Progress Progress
	// NoAttribution leaves out the profiled bursts after an engine's points.
	NoAttribution bool
}

// Progress is told how far a suite has come.
type Progress interface {
	Stage(format string, args ...any)
	Update(p engine.Progress)
}

// runner executes a manifest.
type runner struct {
	Deps
	dir  string
	m    *Manifest
	plan map[string][]task // by engine

	done, total int
	measured    bool  // something, in this call or an earlier one
	firstErr    error // of an engine that could not be used
}

// task is one repeat of a point.
type task struct {
	point  *Point
	repeat *Repeat
}

// Run measures what of the manifest is not measured yet, into dir: a new
// directory, or one that Run left unfinished with the same suite. m is changed
// as it goes and always left on disk as far as it came. A point that fails is
// marked and does not stop the others. Errors: ErrOccupied, ctx's, those of the
// disk, and that of the first engine if none could be used.
func Run(ctx context.Context, dir string, m *Manifest, deps Deps) error {
	if err := resume(dir, m); err != nil {
		return err
	}
	r := &runner{Deps: deps, dir: dir, m: m, plan: map[string][]task{}}
	r.lay()
	cause := r.save()
	for i := range m.Engines {
		if cause != nil {
			break
		}
		cause = r.engine(ctx, &m.Engines[i])
	}
	if cause == nil && !r.measured {
		cause = r.firstErr
	}
	m.EndUTC = time.Now().UTC()
	switch {
	case cause == nil:
		m.State = record.Complete
	case ctx.Err() != nil:
		m.State, m.Error = record.Interrupted, cause.Error()
	default:
		m.State, m.Error = record.Failed, cause.Error()
	}
	return errors.Join(cause, r.save())
}

func (r *runner) save() error { return r.m.save(r.dir) }

// lay orders the repeats of each engine: repeat by repeat, the points of each in
// an order drawn from its seed.
func (r *runner) lay() {
	for i := range r.m.Engines {
		name := r.m.Engines[i].Name
		var points []*Point
		repeats := 0
		for k := range r.m.Points {
			if p := &r.m.Points[k]; p.Engine == name {
				points, repeats = append(points, p), max(repeats, len(p.Repeats))
			}
		}
		for n := range repeats {
			seed := points[0].Repeats[min(n, len(points[0].Repeats)-1)].Flags.Seed
			for _, k := range order(name, seed, len(points)) {
				if n < len(points[k].Repeats) {
					r.plan[name] = append(r.plan[name], task{points[k], &points[k].Repeats[n]})
				}
			}
		}
		r.total += len(r.plan[name])
	}
}

// order is a random order of n, the same in every run of a suite.
func order(engine string, seed uint64, n int) []int {
	h := fnv.New64a()
	fmt.Fprintf(h, "stepbench/suite/order/1/%s", engine)
	return rand.New(rand.NewPCG(h.Sum64(), seed)).Perm(n)
}

// engine measures the points of one engine configuration in as few workers as
// it can: one, and another after each that died.
func (r *runner) engine(ctx context.Context, e *Engine) error {
	var pending []task
	for _, t := range r.plan[e.Name] {
		if t.repeat.State == record.Complete {
			r.done++
			r.measured = true
		} else {
			pending = append(pending, t)
		}
	}
	attribution := !r.NoAttribution && e.Attribution == ""
	if len(pending) == 0 && !attribution {
		return nil
	}
	s := &session{runner: r, e: e}
	defer s.close()
	for _, t := range pending {
		if err := s.measure(ctx, t); err != nil {
			return err
		}
		if e.Problem != "" { // it does not open
			for _, left := range pending {
				if left.repeat.State == "" {
					left.repeat.Problem = e.Problem
				}
			}
			return r.save()
		}
	}
	if attribution {
		if err := s.attribute(ctx); err != nil {
			return err
		}
	}
	return r.save()
}

// reason is why something failed, in a line: for a worker that died, the line of
// its output that says so.
func reason(err error) string {
	var died *engine.WorkerError
	if errors.As(err, &died) {
		for i := len(died.LogTail) - 1; i >= 0; i-- {
			line := strings.TrimSpace(died.LogTail[i])
			if memory(line) {
				return "out of memory: " + line
			}
		}
	}
	text := strings.TrimSpace(err.Error())
	first, _, _ := strings.Cut(text, "\n")
	for line := range strings.Lines(text) {
		if memory(line) {
			return "out of memory: " + strings.TrimSpace(line)
		}
	}
	if died != nil && len(died.LogTail) > 0 {
		first += " " + strings.TrimSpace(died.LogTail[len(died.LogTail)-1])
	}
	return first
}

// memory says that a line of vLLM or torch is about too little memory.
func memory(line string) bool {
	line = strings.ToLower(line)
	for _, words := range []string{"out of memory", "no available memory", "less than desired gpu memory", "kv cache is needed, which is larger", "cannot allocate memory", "not enough memory"} {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}
