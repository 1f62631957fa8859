package workload

import (
	"cmp"
	"math"
	"slices"

	"stepbench/bench/stats"
	"stepbench/engine"
)

// Span says which requests of a run are measured, and over what time.
type Span struct {
	// Measured are the requests with FirstID ≤ ID < EndID. Before them is the
	// warm-up, behind them the tail.
	FirstID, EndID int64
	// The window (FromNs, ToNs], CLOCK_MONOTONIC, in which load was as planned:
	// from the last arrival of the warm-up, so that it holds as many gaps as
	// measured arrivals, to the last measured one. Both are 0 if there is none:
	// offline, and where no measured request arrived.
	FromNs, ToNs int64
	// WarmUp is nil where the warm-up is by count alone: profile quick, closed
	// loop and offline.
	WarmUp *WarmUp
}

// WarmUp says whether the warm-up that was played was long enough. Times count
// from the start of the plan.
type WarmUp struct {
	PlayedS float64 `json:"played_s"` // to the window as planned
	// TruncationS is d*, where the number of requests in the system n(t) settles
	// by MSER-5; nil if it cannot be told.
	TruncationS *float64 `json:"truncation_s,omitempty"`
	// ShiftFrac is by how much the mean of n(t) from d* on differs from that of the
	// window as planned, of the latter; 0 if d* is not after the warm-up. Up to 1 %
	// there is nothing to truncate: n(t) is as good as constant.
	ShiftFrac float64 `json:"shift_frac,omitempty"`
	// ShorterS is by how much the window is shorter than planned, because it
	// begins at d*. It does not where a request that was cut off would no longer
	// be measured.
	ShorterS float64 `json:"shorter_s,omitempty"`
	// NoSteadyState: d* is in the second half of warm-up and window. Nothing is
	// truncated then: what follows is no steadier.
	NoSteadyState bool `json:"no_steady_state,omitempty"`
	// TotalS is the length of warm-up and window together.
	TotalS float64 `json:"total_s"`
}

// settled: what was planned can stay.
func (w *WarmUp) settled() bool { return *w.TruncationS <= w.PlayedS || w.ShiftFrac <= shiftFrac }

// Has says whether request id is measured.
func (s Span) Has(id int64) bool { return id >= s.FirstID && id < s.EndID }

// Roles of a request in a run.
const (
	RoleWarmUp   = "warm-up"
	RoleMeasured = "measured"
	// RoleCensored is measured, and was cut off before its end: slower than every
	// percentile, and failed in goodput.
	RoleCensored = "censored"
	// RoleTail arrived after the window, so that the last measured requests ended
	// under the load that the first had.
	RoleTail = "tail"
)

// Role is what r is for.
func (s Span) Role(r *engine.RequestResult) string {
	switch {
	case r.ID < s.FirstID:
		return RoleWarmUp
	case r.ID >= s.EndID:
		return RoleTail
	case unfinished(r):
		return RoleCensored
	}
	return RoleMeasured
}

// warmUpBatches are those that n(t) is cut into over warm-up and window: a
// fiftieth of their time is the resolution of d*. Each stands for five
// observations, its mean being theirs.
const warmUpBatches = 50

// shiftFrac is the largest ShiftFrac without a consequence.
const shiftFrac = 0.01

// SpanOf finds the measured requests of a run of s that started at startNs, in
// any order.
func SpanOf(s Spec, startNs int64, requests []engine.RequestResult) Span {
	return spanOf(s, startNs, byID(requests))
}

// byID is requests in order of arrival: request i of a plan has ID i.
func byID(requests []engine.RequestResult) []engine.RequestResult {
	out := slices.Clone(requests)
	slices.SortFunc(out, func(a, b engine.RequestResult) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// spanOf wants requests in order of ID.
func spanOf(s Spec, startNs int64, requests []engine.RequestResult) Span {
	span := Span{FirstID: int64(s.WarmUpRequests), EndID: int64(s.Arrivals.Requests)}
	if s.Offline() || !span.opens(requests) || s.Unscheduled() || s.Profile == ProfileQuick || startNs == 0 {
		return span
	}
	w := &WarmUp{PlayedS: float64(span.FromNs-startNs) / 1e9, TotalS: float64(span.ToNs-startNs) / 1e9}
	span.WarmUp = w
	z := inSystem(requests, startNs, span.ToNs, warmUpBatches)
	d, ok := stats.MSER(z)
	if !ok {
		return span
	}
	truncation := w.TotalS * float64(d) / warmUpBatches
	w.TruncationS = &truncation
	if truncation <= w.PlayedS {
		return span
	}
	planned := stats.Mean(z[int(w.PlayedS/w.TotalS*warmUpBatches):])
	w.ShiftFrac = math.Abs(stats.Mean(z[d:])-planned) / planned
	w.NoSteadyState = 2*d > warmUpBatches && !w.settled()
	if w.settled() || w.NoSteadyState {
		return span
	}
	later, ok := span.from(requests, startNs+int64(math.Ceil(truncation*1e9)))
	if ok && !slices.ContainsFunc(requests, func(r engine.RequestResult) bool { return span.Has(r.ID) && !later.Has(r.ID) && unfinished(&r) }) {
		w.ShorterS = float64(later.FromNs-span.FromNs) / 1e9
		return later
	}
	return span
}

// opens sets the window as planned; false if there is none.
func (s *Span) opens(requests []engine.RequestResult) bool {
	var from, to int64
	for i := range requests {
		switch id := requests[i].ID; {
		case id < s.FirstID:
			from = requests[i].ArrivalNs
		case id < s.EndID:
			to = requests[i].ArrivalNs
		}
	}
	if from == 0 || to <= from {
		return false
	}
	s.FromNs, s.ToNs = from, to
	return true
}

// from is s with a window that opens with the first arrival at ns or later, and
// with all that arrive together with it in the warm-up; false if nothing is
// left to measure.
func (s Span) from(requests []engine.RequestResult, ns int64) (Span, bool) {
	opened := false
	for i := range requests {
		r := &requests[i]
		switch {
		case r.ID >= s.EndID:
			return s, false
		case !opened && r.ArrivalNs >= ns:
			s.FromNs, opened = r.ArrivalNs, true
		case opened && r.ArrivalNs > s.FromNs:
			s.FirstID = r.ID
			return s, true
		}
	}
	return s, false
}

// inSystem is the mean of n(t), the number of requests between arrival and end,
// over each of count equal parts of (fromNs, toNs]. Refused requests have no
// end and never count.
func inSystem(requests []engine.RequestResult, fromNs, toNs int64, count int) []float64 {
	means := make([]float64, count)
	width := float64(toNs-fromNs) / float64(count)
	for i := range requests {
		r := &requests[i]
		from := float64(r.ArrivalNs - fromNs)
		to := float64(endNs(r) - fromNs)
		if unfinished(r) {
			to = math.Inf(1) // cut off while still in the system
		}
		for b := range means {
			lo, hi := max(from, float64(b)*width), min(to, float64(b+1)*width)
			means[b] += max(0, hi-lo) / width
		}
	}
	return means
}
