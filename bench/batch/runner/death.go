package runner

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"stepbench/engine"
)

// A row that kills its engine is found by bisection: what was in flight is
// struck and run again in ever smaller groups, with nothing else in the engine.
const (
	// fanOut parts make few restarts of a large group: 256 rows are down to one
	// after three more deaths.
	fanOut    = 8
	firstWait = time.Second
	mostWait  = time.Minute
	// strikesOut is how many deaths a row may have been in flight at, the last one alone.
	strikesOut = 2
)

// group are suspects that run together.
type group struct {
	tasks []*task
	fan   int // parts to make of it when it dies
}

// suspect keeps tasks to be run apart from others.
func (r *run) suspect(tasks []*task) {
	if len(tasks) == 0 {
		return
	}
	// Wide enough that a single row is found by the third division.
	r.divide(group{tasks, max(fanOut, int(math.Ceil(math.Cbrt(float64(len(tasks))))))})
}

func (r *run) divide(g group) {
	size := (len(g.tasks) + g.fan - 1) / g.fan
	for part := range slices.Chunk(g.tasks, size) {
		// Behind the groups that wait: those without a killer show meanwhile that
		// it is not the engine's own fault.
		r.suspects = append(r.suspects, group{part, g.fan})
	}
}

// died draws the consequences of a feed that an engine ended. Its error is that
// the run must end.
func (r *run) died(cause error, seqs int) error {
	parts := r.outstanding()
	// An engine runs requests in the order in which they were handed out, but some
	// kill as they come in: half of them are suspect, and all at a second death.
	running := len(parts)
	if !r.apart && r.deathsInARow() == 0 {
		running = min(running, max(seqs, (running+1)/2))
	}
	suspects := tasksOf(parts[:running])
	rows := make([]int64, len(suspects))
	for i, t := range suspects {
		t.strikes++
		rows[i] = t.row.Index
	}
	if err := r.Store.Strike(rows); err != nil {
		return err
	}
	var rest []part
	for _, p := range parts[running:] {
		if !slices.Contains(suspects, p.task) {
			rest = append(rest, p)
		}
	}
	r.waiting = append(rest, r.waiting...)
	if len(suspects) == 1 && len(tasksOf(parts)) == 1 && suspects[0].strikes >= strikesOut {
		t := suspects[0]
		t.fail(codeQuarantined, "the engine died %d times with this row in flight, the last time with it alone: %s", t.strikes, lastWords(cause))
		r.perhaps = append(r.perhaps, t)
	} else {
		r.suspect(suspects)
	}
	r.Log(fmt.Sprintf("%s: %d rows were in flight", firstLine(cause), len(tasksOf(parts))))
	return r.countDeath(cause)
}

// countDeath ends the run after too many in a row.
func (r *run) countDeath(cause error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deaths++; r.deaths >= r.Deaths {
		return fmt.Errorf("%w: %d times in a row without a finished row, the last time: %w", ErrHopeless, r.deaths, cause)
	}
	return nil
}

func (r *run) deathsInARow() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deaths
}

// pause grows from death to death.
func (r *run) pause() time.Duration {
	return min(firstWait<<min(max(0, r.deathsInARow()-1), 10), mostWait)
}

// condemn gives the rows that killed their engine alone their results. Until
// another row was finished, it might have been the engine's fault.
func (r *run) condemn() {
	r.mu.Lock()
	sure := r.perhaps
	r.perhaps = nil
	r.mu.Unlock()
	if len(sure) > 0 {
		r.ended <- sure
	}
}

func tasksOf(parts []part) (tasks []*task) {
	seen := map[*task]bool{}
	for _, p := range parts {
		if !seen[p.task] {
			seen[p.task] = true
			tasks = append(tasks, p.task)
		}
	}
	return tasks
}

// lastWords are what a dead worker wrote last, in one row's result.
func lastWords(err error) string {
	const most = 2000
	text := err.Error()
	return text[:min(len(text), most)]
}

// firstLine is enough for a log.
func firstLine(err error) string {
	var w *engine.WorkerError
	if errors.As(err, &w) {
		return fmt.Sprintf("worker %s during %s", w.What, w.During)
	}
	text := err.Error()
	if i := slices.Index([]byte(text), '\n'); i >= 0 {
		text = text[:i]
	}
	return cmp.Or(text, "the engine died")
}
