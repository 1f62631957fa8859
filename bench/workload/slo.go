package workload

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"stepbench/bench/stats"
)

// SLO are the limits that a request must keep to count as good, in ns; 0 is no
// limit. They have no defaults: what is good enough is the user's to say.
type SLO struct {
	TTFTNs float64 `json:"ttft_ns,omitempty"`
	TPOTNs float64 `json:"tpot_ns,omitempty"`
	E2ENs  float64 `json:"e2e_ns,omitempty"`
}

// ParseSLO reads "ttft=200ms,tpot=50ms,e2e=3s": each limit at most once, in
// any order. Empty text is no SLO, and nil.
func ParseSLO(text string) (*SLO, error) {
	if text == "" {
		return nil, nil
	}
	var s SLO
	var errs []error
	for _, part := range strings.Split(text, ",") {
		if err := s.set(part); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("service level %q: %w", text, errors.Join(errs...))
	}
	return &s, nil
}

func (s *SLO) set(part string) error {
	name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
	if !ok {
		return fmt.Errorf("%q is not NAME=DURATION, as ttft=200ms", part)
	}
	limit := map[string]*float64{"ttft": &s.TTFTNs, "tpot": &s.TPOTNs, "e2e": &s.E2ENs}[name]
	if limit == nil {
		return fmt.Errorf("no latency %q: choose ttft, tpot or e2e", name)
	}
	if *limit != 0 {
		return fmt.Errorf("%s is given twice", name)
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		return fmt.Errorf("%s %q is not a duration, as 200ms or 1.5s", name, value)
	}
	if d <= 0 {
		return fmt.Errorf("%s %s: a limit is above 0", name, d)
	}
	*limit = float64(d.Nanoseconds())
	return nil
}

// String is the text ParseSLO reads, empty for no limits.
func (s SLO) String() string {
	var parts []string
	for _, l := range []struct {
		name string
		ns   float64
	}{{"ttft", s.TTFTNs}, {"tpot", s.TPOTNs}, {"e2e", s.E2ENs}} {
		if l.ns > 0 {
			parts = append(parts, l.name+"="+time.Duration(l.ns).String())
		}
	}
	return strings.Join(parts, ",")
}

// Validate joins everything that is wrong with s.
func (s SLO) Validate() error {
	var errs []error
	for _, l := range []struct {
		name string
		ns   float64
	}{{"ttft", s.TTFTNs}, {"tpot", s.TPOTNs}, {"e2e", s.E2ENs}} {
		if !(l.ns >= 0) || math.IsInf(l.ns, 1) {
			errs = append(errs, fmt.Errorf("%s limit of %g ns: must be finite and not negative", l.name, l.ns))
		}
	}
	if s == (SLO{}) {
		errs = append(errs, errors.New("a service level without limits: give ttft, tpot or e2e"))
	}
	return errors.Join(errs...)
}

// Met says whether a request with the times t kept every limit. What never
// ended kept none; a request of one output token has no TPOT and passes it.
func (s SLO) Met(t *Times) bool {
	if t.E2E == nil || t.TTFT == nil {
		return false
	}
	within := func(limit, ns float64) bool { return limit == 0 || ns <= limit }
	return within(s.TTFTNs, float64(*t.TTFT)) &&
		within(s.E2ENs, float64(*t.E2E)) &&
		(t.TPOT == nil || within(s.TPOTNs, *t.TPOT))
}

// Goodput counts the measured requests that kept the SLO.
type Goodput struct {
	SLO SLO `json:"slo"`
	Met int `json:"met"`
	Of  int `json:"of"` // measured, unfinished and failed ones included
	// PerS is Met over the length of the window, of the whole run where there
	// is none: nil without either. Its interval is within-run.
	PerS *Estimate `json:"per_s,omitempty"`
}

// goodput is nil without an SLO.
func (v *view) goodput() *Goodput {
	if v.Spec.SLO == nil {
		return nil
	}
	g := &Goodput{SLO: *v.Spec.SLO, Of: len(v.measured)}
	met := make([]float64, len(v.times))
	for i := range v.times {
		if g.SLO.Met(&v.times[i]) {
			met[i] = 1
			g.Met++
		}
	}
	seconds := 0.0
	if v.window != nil {
		seconds = v.window.seconds()
	} else if whole := v.wholeRun(); whole != nil {
		seconds = whole.Seconds
	}
	if seconds == 0 || g.Of == 0 {
		return g
	}
	rate := func(weight []int) []float64 {
		sum := 0.0
		for i, w := range weight {
			sum += float64(w) * met[i]
		}
		return []float64{sum / seconds}
	}
	g.PerS = &Estimate{Value: float64(g.Met) / seconds}
	if ci, ok := stats.BlockBootstrap(len(met), "stepbench/bootstrap/1/goodput", rate); ok[0] {
		g.PerS.CI = &ci[0]
	}
	return g
}
