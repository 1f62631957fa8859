// Package workload turns what a user asks for into a plan of requests, and the
// records of its run into a summary: rates, latencies, phases, steps and
// whether they can be trusted.
package workload

import (
	"errors"
	"fmt"
	"math"

	"stepbench/bench/arrival"
)

// Flags are the choices of one measured point, as the command line has them.
type Flags struct {
	Requests     int     // --requests
	RatePerS     float64 // --rate; +Inf sends everything at once
	Pattern      string  // --pattern
	BurstSize    int     // --burst-size, for pattern burst
	Shape        float64 // --shape, for pattern gamma
	Raw          bool    // --raw keeps the drawn arrivals unscaled
	InputTokens  int     // --input-len
	OutputTokens int     // --output-len
	Seed         uint64  // --seed
}

// DefaultFlags are a first look at a model: enough requests for a median with
// an interval, at a rate and lengths that two CPU cores sustain with a small
// model.
func DefaultFlags() Flags {
	return Flags{Requests: 16, RatePerS: 2, Pattern: string(arrival.Poisson), InputTokens: 128, OutputTokens: 64, Seed: 1}
}

// Limits are what the model allows. Zero means not known yet, as before an
// engine is open; what depends on it is then not checked.
type Limits struct {
	Vocab          int     // token ids are below it
	MaxModelTokens int     // prompt and output together
	SpecialIDs     []int32 // ids that prompts must not contain
}

// maxPlanTokens bounds the prompts held in memory, 4 bytes a token.
const maxPlanTokens = 1 << 30

// Validate joins everything that is wrong with f, each problem with its flag
// and the limit it breaks.
func (f Flags) Validate(l Limits) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if offline := f.offline(); offline && f.Requests < 1 {
		fail("--requests %d: at least 1 is needed", f.Requests)
	} else if !offline && f.Requests <= WarmUpRequests {
		fail("--requests %d: at least %d are needed, the first %d are warm-up", f.Requests, WarmUpRequests+1, WarmUpRequests)
	}
	lengths := true
	for _, length := range []struct {
		flag string
		n    int
	}{{"--input-len", f.InputTokens}, {"--output-len", f.OutputTokens}} {
		if length.n < 1 {
			fail("%s %d: at least 1 token is needed", length.flag, length.n)
			lengths = false
		}
	}
	if lengths && l.MaxModelTokens > 0 && f.InputTokens > l.MaxModelTokens-f.OutputTokens {
		fail("--input-len %d and --output-len %d: together %d tokens, the model's limit is %d: shorten one or choose a model with a longer context",
			f.InputTokens, f.OutputTokens, f.InputTokens+f.OutputTokens, l.MaxModelTokens)
	}
	if f.Requests > 0 && f.InputTokens > maxPlanTokens/f.Requests {
		fail("--requests %d and --input-len %d: the prompts have more than %d tokens in all: lower one of them", f.Requests, f.InputTokens, maxPlanTokens)
	}
	// Reported above under its flag, so kept out of the schedule's own check.
	schedule := f.arrivals()
	schedule.Requests = max(1, f.Requests)
	if err := schedule.Validate(); err != nil {
		fail("--rate, --pattern: %w", err)
	}
	return errors.Join(errs...)
}

func (f Flags) offline() bool {
	return math.IsInf(f.RatePerS, 1) || f.Pattern == string(arrival.Offline)
}

// arrivals gives the schedule's spec. An infinite rate, and pattern offline
// whatever the rate, are the same thing.
func (f Flags) arrivals() arrival.Spec {
	spec := arrival.Spec{
		Pattern: arrival.Pattern(f.Pattern), Requests: f.Requests, RatePerS: f.RatePerS,
		BurstSize: f.BurstSize, Shape: f.Shape, Raw: f.Raw, Seed: f.Seed,
	}
	if f.offline() {
		spec.Pattern, spec.RatePerS, spec.Raw = arrival.Offline, 0, false
	}
	return spec
}
