package workload

import (
	"fmt"
	"math"

	"stepbench/bench/stats"
)

// Verdict answers a question that the data may leave open.
type Verdict string

const (
	Yes           Verdict = "yes"
	No            Verdict = "no"
	Undecided     Verdict = "undecided"
	NotApplicable Verdict = "not applicable"
)

// Saturation says whether the engine fell behind the offered load. Latencies
// of a saturated run grow with its length and are not comparable.
type Saturation struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
	// MeanInSystem is the mean number of requests between arrival and end over
	// the window.
	MeanInSystem float64 `json:"mean_in_system,omitempty"`
}

const (
	inSystemBatches = 10   // batch means of the number in system
	keepsUpFrac     = 0.95 // departures per arrival
	// A window shorter than this many mean service times (first scheduled to
	// last token) sees the system fill, not what it settles at. Time in queue
	// does not count: it is what grows without bound in a saturated system.
	settledServices = 5
)

// saturation is Yes if departures fall under 95 % of arrivals over the window,
// or if the number in system n(t) grows: its slope over ten batch means has a
// lower 95 % limit above 0 and the growth exceeds max(1, 10 %). A deficit
// within two deviations of chance, 2·sqrt(2·mean n) for Poisson arrivals and
// departures, decides nothing.
func (v *view) saturation() Saturation {
	if v.Spec.Closed() {
		return Saturation{Verdict: NotApplicable, Reason: "requests arrive when others end"}
	}
	if v.unscheduled {
		return Saturation{Verdict: NotApplicable, Reason: "all requests arrive at once"}
	}
	if v.window == nil {
		return Saturation{Verdict: Undecided, Reason: "no measured window"}
	}
	batches := inSystem(v.requests, v.window.startNs, v.window.endNs, inSystemBatches)
	s := Saturation{MeanInSystem: stats.Mean(batches)}
	service, ok := v.meanServiceSeconds()
	if !ok {
		s.Verdict, s.Reason = Undecided, "no measured request completed"
		return s
	}
	if v.window.seconds() < settledServices*service {
		s.Verdict = Undecided
		s.Reason = fmt.Sprintf("the window of %.3g s is shorter than %d times the mean service time of %.3g s: send more requests to tell",
			v.window.seconds(), settledServices, service)
		return s
	}
	slope, lower, _ := stats.Slope(batches, stats.Level)
	growth := slope * (inSystemBatches - 1)
	departed := 0
	for i := range v.requests {
		if r := &v.requests[i]; !unfinished(r) && v.window.holds(endNs(r)) {
			departed++
		}
	}
	arrived := len(v.measured)
	behind := float64(departed) < keepsUpFrac*float64(arrived)
	switch chance := 2 * math.Sqrt(2*s.MeanInSystem); {
	case lower > 0 && growth > max(1, 0.1*s.MeanInSystem):
		s.Verdict = Yes
		s.Reason = fmt.Sprintf("the number of requests in the system grew by %.1f over the window", growth)
	case behind && float64(arrived-departed) > chance:
		s.Verdict = Yes
		s.Reason = fmt.Sprintf("%d requests arrived in the window and %d ended", arrived, departed)
	case behind:
		s.Verdict = Undecided
		s.Reason = fmt.Sprintf("%d requests arrived in the window and %d ended, which may be chance: send more requests to tell", arrived, departed)
	default:
		s.Verdict = No
		s.Reason = fmt.Sprintf("%d requests arrived in the window and %d ended", arrived, departed)
	}
	return s
}

// meanServiceSeconds is the mean of prefill and decode together over measured
// requests that completed.
func (v *view) meanServiceSeconds() (mean float64, ok bool) {
	var service []float64
	for _, t := range v.times {
		if t.Prefill != nil && t.Decode != nil {
			service = append(service, float64(*t.Prefill+*t.Decode)/1e9)
		}
	}
	if len(service) == 0 {
		return 0, false
	}
	return stats.Mean(service), true
}
