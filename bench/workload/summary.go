package workload

import (
	"slices"
	"sort"

	"stepbench/bench/stats"
	"stepbench/engine"
)

// Input is what a run left behind. StartNs is the plan's start on the clock of
// the stamps, 0 if it never started.
type Input struct {
	Spec     Spec
	StartNs  int64
	Requests []engine.RequestResult
	Steps    []engine.Step
}

// Summary is what a run shows. Everything but Counts, WholeRun and gates over
// all records is about the measured requests, those after the warm-up.
type Summary struct {
	Spec   Spec   `json:"spec"`
	Counts Counts `json:"counts"`
	// WarmUp is nil where the warm-up is by count alone, see [Span].
	WarmUp *WarmUp `json:"warm_up,omitempty"`
	// Window is nil offline and where no measured request arrived. In a closed
	// loop it ends with the last admission.
	Window     *Throughput    `json:"window,omitempty"`
	WholeRun   *Throughput    `json:"whole_run,omitempty"`
	Saturation Saturation     `json:"saturation"`
	Latencies  []Distribution `json:"latencies"`
	Shares     []Share        `json:"shares"`
	// Goodput is nil without an SLO.
	Goodput *Goodput     `json:"goodput,omitempty"`
	Steps   []PhaseSteps `json:"steps"`
	// InStepFrac is the share of the time from first to last step spent inside
	// LLMEngine.step, 0 without steps.
	InStepFrac float64 `json:"in_step_frac"`
	Gates      []Gate  `json:"gates"`
}

// Counts are numbers of requests, the tail's in Tail alone. Planned = Completed +
// Failed + Interrupted + NotRun.
type Counts struct {
	Planned     int `json:"planned"`
	Completed   int `json:"completed"`
	Failed      int `json:"failed"`      // refused or lost by the engine
	Interrupted int `json:"interrupted"` // aborted in flight
	NotRun      int `json:"not_run"`     // never reached the engine, or left no record
	WarmUp      int `json:"warm_up"`     // of those recorded
	Measured    int `json:"measured"`    // of those recorded
	Corrupted   int `json:"corrupted"`   // vLLM saw NaN in their logits
	Censored    int `json:"censored"`    // of the measured, those interrupted: never ended
	Tail        int `json:"tail"`        // arrived after the window, recorded and not measured
}

// Estimate is a value with its interval, nil where that does not exist.
type Estimate struct {
	Value float64         `json:"value"`
	CI    *stats.Interval `json:"ci,omitempty"`
}

// Summarize computes the summary of in. It never fails: what the records do
// not support is absent.
func Summarize(in Input) Summary {
	v := newView(in)
	s := Summary{
		Spec:     in.Spec,
		Counts:   v.counts(),
		WarmUp:   v.span.WarmUp,
		WholeRun: v.wholeRun(),
		Window:   v.windowThroughput(),
	}
	s.Saturation = v.saturation()
	s.Latencies = v.latencies()
	s.Shares = v.shares()
	s.Goodput = v.goodput()
	s.Steps, s.InStepFrac = v.stepTable()
	s.Gates = v.gates()
	return s
}

// Valid says that no gate voids the result.
func (s *Summary) Valid() bool {
	return !slices.ContainsFunc(s.Gates, func(g Gate) bool { return g.Voids && g.Status == Fail })
}

// view is the input in order of arrival, with what everything else needs.
type view struct {
	Input
	// unscheduled: offline or a closed loop, where no request has a time at
	// which it should arrive.
	unscheduled bool
	requests    []engine.RequestResult // all recorded, in order of arrival
	planned     []engine.RequestResult // those without the tail
	measured    []engine.RequestResult // those after the warm-up, without the tail
	times       []Times                // of measured
	span        Span
	window      *window // nil without measured requests
}

// window is the span (startNs, endNs] in which load was as planned.
type window struct{ startNs, endNs int64 }

func (w window) seconds() float64       { return float64(w.endNs-w.startNs) / 1e9 }
func (w window) holds(stamp int64) bool { return stamp > w.startNs && stamp <= w.endNs }

func newView(in Input) *view {
	v := &view{Input: in, unscheduled: in.Spec.Unscheduled(), requests: byID(in.Requests)}
	v.span = spanOf(in.Spec, in.StartNs, v.requests)
	first := sort.Search(len(v.requests), func(i int) bool { return v.requests[i].ID >= v.span.FirstID })
	end := sort.Search(len(v.requests), func(i int) bool { return v.requests[i].ID >= v.span.EndID })
	v.planned, v.measured = v.requests[:end], v.requests[min(first, end):end]
	for i := range v.measured {
		v.times = append(v.times, TimesOf(&v.measured[i], v.unscheduled))
	}
	if v.span.ToNs > v.span.FromNs {
		v.window = &window{v.span.FromNs, v.span.ToNs}
	}
	return v
}

func (v *view) counts() Counts {
	c := Counts{
		Planned: v.Spec.Arrivals.Requests, Measured: len(v.measured), WarmUp: len(v.planned) - len(v.measured),
		Tail: len(v.requests) - len(v.planned),
	}
	for i := range v.planned {
		r := &v.planned[i]
		if v.span.Role(r) == RoleCensored {
			c.Censored++
		}
		switch {
		case Completed(r):
			c.Completed++
		case r.Finish == engine.FinishAbort:
			c.Interrupted++
		default:
			c.Failed++
		}
		if r.Corrupted {
			c.Corrupted++
		}
	}
	c.NotRun = c.Planned - len(v.planned)
	return c
}

// endNs is the last moment a request is known to have been in the system, 0 if
// it never was.
func endNs(r *engine.RequestResult) int64 { return max(r.LastTokenNs, r.DeliveredNs) }
