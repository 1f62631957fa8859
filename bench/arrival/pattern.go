// Package arrival draws when requests arrive: seeded schedules of an open
// loop, fixed before the run so that a slow engine cannot slow its own load.
package arrival

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Pattern names an arrival process.
type Pattern string

const (
	Poisson  Pattern = "poisson"  // exponential gaps: independent users
	Constant Pattern = "constant" // equal gaps
	Burst    Pattern = "burst"    // whole groups at once, equal gaps between groups
	Gamma    Pattern = "gamma"    // gamma gaps of a given shape: burstier or smoother than Poisson
	OnOff    Pattern = "on-off"   // Poisson while on, silence while off
	Offline  Pattern = "offline"  // everything at the start

	// Not drawn, and so not among Patterns.
	Closed Pattern = "closed" // a request arrives when another ends
	Trace  Pattern = "trace"  // times from a recorded trace
)

// Patterns are those that can be asked for by name, in the order of their
// documentation.
func Patterns() []Pattern { return []Pattern{Poisson, Constant, Burst, Gamma, OnOff, Offline} }

// Parse finds the pattern called name.
func Parse(name string) (Pattern, error) {
	var known []string
	for _, p := range Patterns() {
		if string(p) == name {
			return p, nil
		}
		known = append(known, string(p))
	}
	return "", fmt.Errorf("unknown arrival pattern %q: choose one of %s", name, strings.Join(known, ", "))
}

// Spec fixes a schedule completely.
type Spec struct {
	Pattern  Pattern `json:"pattern"`
	Requests int     `json:"requests"`
	// RatePerS is the offered rate; 0 for Offline and Closed, which have none,
	// and for Trace, whose file has it.
	RatePerS float64 `json:"rate_per_s,omitempty"`
	// BurstSize is the group size of Burst; 0 means DefaultBurstSize.
	BurstSize int `json:"burst_size,omitempty"`
	// Shape is the k of Gamma; the coefficient of variation of the gaps is
	// 1/sqrt(k). vLLM's own benchmark calls it burstiness.
	Shape float64 `json:"shape,omitempty"`
	// OnS and OffS are the lengths in s of the alternating periods of OnOff,
	// which begins on. Both 0 mean DefaultOnS and DefaultOffS.
	OnS  float64 `json:"on_s,omitempty"`
	OffS float64 `json:"off_s,omitempty"`
	// TimeScale multiplies the times of Trace; 0 means 1.
	TimeScale float64 `json:"time_scale,omitempty"`
	// Raw keeps the drawn times. Otherwise they are stretched so that the last
	// request arrives at exactly Requests/RatePerS: the offered rate is then
	// what was asked for, not a draw around it.
	Raw  bool   `json:"raw,omitempty"`
	Seed uint64 `json:"seed"`
}

// DefaultBurstSize is the number of requests in a group of Burst.
const DefaultBurstSize = 10

// Periods of OnOff unless given: three quarters silence, so that the load
// while on is four times the mean.
const (
	DefaultOnS  = 1.0
	DefaultOffS = 3.0
)

// Bounds of what is accepted. Below the smallest shape a gap can be too small
// for a float64; a longer schedule is a mistyped rate.
const (
	minShape    = 0.05
	maxShape    = 1e6
	maxSchedule = 30 * 24 * time.Hour
	minPeriodS  = 1e-3
)

// Key determines the random stream of the schedule and is kept with every
// result: ChaCha8 (math/rand/v2) seeded with the SHA-256 of this text.
func (s Spec) Key() string { return fmt.Sprintf("stepbench/arrival/1/seed=%d", s.Seed) }

// Validate joins everything that is wrong with s.
func (s Spec) Validate() error {
	var errs []error
	drawn := s.Pattern != Closed && s.Pattern != Trace
	if drawn {
		if _, err := Parse(string(s.Pattern)); err != nil {
			errs = append(errs, err)
		}
	}
	if s.Requests < 1 {
		errs = append(errs, fmt.Errorf("%d requests: at least 1 must arrive", s.Requests))
	}
	if s.Pattern == Offline || !drawn {
		if s.RatePerS != 0 {
			errs = append(errs, fmt.Errorf("rate %g with pattern %s: it has no rate, leave it out", s.RatePerS, s.Pattern))
		}
	} else if !(s.RatePerS > 0) || math.IsInf(s.RatePerS, 0) {
		errs = append(errs, fmt.Errorf("rate %g requests/s: must be above 0, or use pattern offline to send everything at once", s.RatePerS))
	} else if seconds := float64(s.Requests) / s.RatePerS; seconds > maxSchedule.Seconds() {
		errs = append(errs, fmt.Errorf("%d requests at %g requests/s take %.0f days, the limit is %.0f: raise the rate",
			s.Requests, s.RatePerS, seconds/86400, maxSchedule.Hours()/24))
	}
	if s.BurstSize < 0 {
		errs = append(errs, fmt.Errorf("burst size %d: must be at least 1", s.BurstSize))
	} else if s.BurstSize > 0 && s.Pattern != Burst {
		errs = append(errs, fmt.Errorf("burst size %d with pattern %s: it belongs to pattern burst", s.BurstSize, s.Pattern))
	}
	switch {
	case s.Pattern == Gamma && !(s.Shape >= minShape && s.Shape <= maxShape):
		errs = append(errs, fmt.Errorf("gamma shape %g: must be from %g to %g, 1 is Poisson and less is burstier", s.Shape, minShape, maxShape))
	case s.Pattern != Gamma && s.Shape != 0:
		errs = append(errs, fmt.Errorf("shape %g with pattern %s: it belongs to pattern gamma", s.Shape, s.Pattern))
	}
	switch periods := s.OnS != 0 || s.OffS != 0; {
	case periods && s.Pattern != OnOff:
		errs = append(errs, fmt.Errorf("on %g s, off %g s with pattern %s: they belong to pattern on-off", s.OnS, s.OffS, s.Pattern))
	case periods && !(s.OnS >= minPeriodS && s.OffS >= minPeriodS && s.OnS+s.OffS <= maxSchedule.Seconds()):
		errs = append(errs, fmt.Errorf("on %g s, off %g s: each must be at least %g s", s.OnS, s.OffS, minPeriodS))
	}
	if s.TimeScale != 0 && s.Pattern != Trace {
		errs = append(errs, fmt.Errorf("time scale %g with pattern %s: it belongs to a trace", s.TimeScale, s.Pattern))
	} else if !(s.TimeScale >= 0) || math.IsInf(s.TimeScale, 1) {
		errs = append(errs, fmt.Errorf("time scale %g: must be above 0", s.TimeScale))
	}
	return errors.Join(errs...)
}

// periods are the lengths of OnOff's.
func (s Spec) periods() (on, off float64) {
	if s.OnS == 0 && s.OffS == 0 {
		return DefaultOnS, DefaultOffS
	}
	return s.OnS, s.OffS
}
