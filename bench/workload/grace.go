package workload

import (
	"context"
	"errors"
	"math"
	"slices"

	"stepbench/bench/stats"
	"stepbench/engine"
)

const (
	// graceFloorNs is the shortest grace. Profile quick has it too: where requests
	// take milliseconds, one hiccup is longer than three of them.
	graceFloorNs = 30e9
	graceE2Es    = 3 // p99s of E2E
)

// grace is how long after the window measured requests may take to end: 30 s or
// 3 × the p99 of E2E, whichever is longer, of the measured requests that ended.
// Profile quick waits without limit for the first of them: it is for slow
// machines as well, and each request has an end.
func (s Spec) grace(e2eNs []float64) float64 {
	switch {
	case len(e2eNs) > 0:
		slices.Sort(e2eNs)
		return max(graceFloorNs, graceE2Es*stats.Percentile(e2eNs, 0.99))
	case s.Profile == ProfileQuick:
		return math.Inf(1)
	}
	return graceFloorNs
}

// errOver ends a run in which nothing is left to wait for.
var errOver = errors.New("the measured requests have ended or their grace has")

// Run executes plan, which is that of s. The arrivals behind the window go on
// until every measured request has ended, so that the last ones do not meet an
// emptying batch. What has not ended within the grace after the window is
// aborted, as is the tail, and recorded with that: [Span.Role] tells them apart.
// Other errors are those of e.
func Run(ctx context.Context, e engine.Engine, s Spec, plan engine.Plan, sink engine.Sink) error {
	if s.Unscheduled() {
		return e.Run(ctx, plan, sink)
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	w := watch{spec: s, left: s.Arrivals.Requests - s.WarmUpRequests, lastNs: plan.Arrivals[s.Arrivals.Requests-1].OffsetNs}
	err := e.Run(ctx, plan, func(b engine.Batch) error {
		if w.over(b) {
			end(errOver)
		}
		b.Progress.Total = s.Arrivals.Requests
		return sink(b)
	})
	if err == errOver { // and nothing else, as of a worker that died meanwhile
		return nil
	}
	return err
}

// watch follows a run.
type watch struct {
	spec   Spec
	left   int       // measured requests that have not ended
	lastNs int64     // the last measured arrival, from the start
	e2eNs  []float64 // of measured requests that completed
}

// over says that there is nothing to wait for any more.
func (w *watch) over(b engine.Batch) bool {
	for i := range b.Requests {
		r := &b.Requests[i]
		if r.ID < int64(w.spec.WarmUpRequests) || r.ID >= int64(w.spec.Arrivals.Requests) {
			continue
		}
		w.left--
		if t := TimesOf(r, false); t.E2E != nil {
			w.e2eNs = append(w.e2eNs, float64(*t.E2E))
		}
	}
	late := float64(b.Progress.ElapsedNs - w.lastNs)
	return w.left == 0 && w.spec.TailRequests > 0 || late > graceFloorNs && late > w.spec.grace(w.e2eNs)
}
