// Package workload turns what a user asks for into a plan of requests, and the
// records of its run into a summary: rates, latencies, phases, steps and
// whether they can be trusted.
package workload

import (
	"errors"
	"fmt"
	"math"

	"stepbench/bench/arrival"
	"stepbench/bench/dataset"
)

// Flags are the choices of one measured point, as the command line has them.
type Flags struct {
	Requests  int     `json:"requests"`             // --requests; of a trace the most that are replayed
	RatePerS  float64 `json:"rate_per_s,omitempty"` // --rate; +Inf sends everything at once
	Pattern   string  `json:"pattern,omitempty"`    // --pattern
	BurstSize int     `json:"burst_size,omitempty"` // --burst-size, for pattern burst
	Shape     float64 `json:"shape,omitempty"`      // --shape, for pattern gamma
	OnS       float64 `json:"on_s,omitempty"`       // --burst-on, for pattern on-off
	OffS      float64 `json:"off_s,omitempty"`      // --burst-off
	Raw       bool    `json:"raw,omitempty"`        // --raw keeps the drawn arrivals unscaled
	// Dataset is --dataset, as dataset.ParseSource reads it; empty is random.
	Dataset string `json:"dataset,omitempty"`
	// InputTokens is --input-len, of dataset random alone: others have lengths
	// of their own.
	InputTokens int `json:"input_tokens,omitempty"`
	// OutputTokens is --output-len, of random and of files that name no output
	// length.
	OutputTokens int `json:"output_tokens,omitempty"`
	// TimeScale is --time-scale: it multiplies the times of a trace. 0 means 1.
	TimeScale float64 `json:"time_scale,omitempty"`
	// Concurrency is --concurrency: above 0, a closed loop of that many requests
	// in place of scheduled arrivals. RatePerS and Pattern are then not used.
	Concurrency int `json:"concurrency,omitempty"`
	// FinalOnly is --final-only: requests return at their end alone, as offline
	// generation has it. It needs a RatePerS of +Inf.
	FinalOnly bool   `json:"final_only,omitempty"`
	SLO       *SLO   `json:"slo,omitempty"` // --slo
	Seed      uint64 `json:"seed"`          // --seed
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
// and the limit it breaks. Files are looked at as far as the requests need them.
func (f Flags) Validate(l Limits) error {
	_, err := f.resolve(l)
	return err
}

// resolve gives f with the lengths of its dataset filled in.
func (f Flags) resolve(l Limits) (resolved, error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	source, err := dataset.ParseSource(f.Dataset)
	if err != nil {
		fail("--dataset: %w", err)
		source.Kind = dataset.KindRandom
	}
	fixed, named := source.Kind.Fixed()
	if named {
		f.InputTokens, f.OutputTokens = fixed.InputTokens, fixed.OutputTokens
	}
	switch {
	case f.Concurrency < 0:
		fail("--concurrency %d: at least 1 is needed", f.Concurrency)
	case source.Kind.Trace() && f.Concurrency > 0:
		fail("--concurrency %d: a trace has arrival times of its own, leave one out", f.Concurrency)
	}
	if f.FinalOnly && !f.offline() {
		fail("--final-only: without stamps of tokens only --rate inf can be summarised")
	}
	scale := f.TimeScale
	if scale == 0 {
		scale = 1
	}
	switch {
	case !(scale > 0) || math.IsInf(scale, 1):
		fail("--time-scale %g: must be above 0", f.TimeScale)
	case scale != 1 && !source.Kind.Trace():
		fail("--time-scale %g: it belongs to a trace (azure:, burstgpt:, mooncake:), dataset %s has none", f.TimeScale, source.Kind)
	}
	if f.SLO != nil {
		if err := f.SLO.Validate(); err != nil {
			fail("--slo: %w", err)
		}
	}
	errs = append(errs, f.checkRequests(), f.checkLengths(l, source, named))
	if source.Path != "" && f.Requests > 0 {
		if err := dataset.Check(source, f.Requests); err != nil {
			fail("--dataset: %w", err)
		}
	}
	// Reported above under its flag, so kept out of the schedule's own check.
	schedule := f.arrivals(source)
	schedule.Requests = max(1, f.Requests)
	schedule.TimeScale = max(0, schedule.TimeScale)
	if err := schedule.Validate(); err != nil {
		fail("--rate, --pattern: %w", err)
	}
	return resolved{Flags: f, source: source}, errors.Join(errs...)
}

// resolved are flags whose dataset is known.
type resolved struct {
	Flags
	source dataset.Source
}

// NeedsText says that the dataset is of text: the engine must be opened with a
// tokenizer. False where the dataset cannot be read, which Validate reports.
func (f Flags) NeedsText() bool {
	source, err := dataset.ParseSource(f.Dataset)
	return err == nil && source.Path != "" && source.Kind.Text()
}

func (f Flags) checkRequests() error {
	if f.offline() {
		if f.Requests < 1 {
			return fmt.Errorf("--requests %d: at least 1 is needed", f.Requests)
		}
	} else if f.Requests <= WarmUpRequests {
		return fmt.Errorf("--requests %d: at least %d are needed, the first %d are warm-up", f.Requests, WarmUpRequests+1, WarmUpRequests)
	}
	return nil
}

// checkLengths looks at the lengths that do not come from a file.
func (f Flags) checkLengths(l Limits, source dataset.Source, named bool) error {
	var errs []error
	lengths := true
	for _, length := range []struct {
		flag string
		n    int
		used bool
	}{
		{"--input-len", f.InputTokens, source.Path == ""},
		{"--output-len", f.OutputTokens, !source.Kind.Trace()},
	} {
		if length.used && length.n < 1 {
			errs = append(errs, fmt.Errorf("%s %d: at least 1 token is needed", length.flag, length.n))
			lengths = false
		}
	}
	if source.Path != "" && source.Kind != dataset.KindC4 {
		return errors.Join(errs...)
	}
	what := fmt.Sprintf("--input-len %d and --output-len %d", f.InputTokens, f.OutputTokens)
	remedy := "shorten one or choose a model with a longer context"
	if named {
		what = fmt.Sprintf("--dataset %s has %d input and %d output tokens", source.Kind, f.InputTokens, f.OutputTokens)
		remedy = "choose another or a model with a longer context"
	}
	if lengths && l.MaxModelTokens > 0 && f.InputTokens > l.MaxModelTokens-f.OutputTokens {
		errs = append(errs, fmt.Errorf("%s: together %d tokens, the model's limit is %d: %s",
			what, f.InputTokens+f.OutputTokens, l.MaxModelTokens, remedy))
	}
	if f.Requests > 0 && f.InputTokens > maxPlanTokens/f.Requests {
		errs = append(errs, fmt.Errorf("--requests %d and --input-len %d: the prompts have more than %d tokens in all: lower one of them",
			f.Requests, f.InputTokens, maxPlanTokens))
	}
	return errors.Join(errs...)
}

func (f Flags) offline() bool {
	return f.Concurrency == 0 && (math.IsInf(f.RatePerS, 1) || f.Pattern == string(arrival.Offline))
}

// arrivals gives the schedule's spec. An infinite rate, and pattern offline
// whatever the rate, are the same thing.
func (f Flags) arrivals(source dataset.Source) arrival.Spec {
	spec := arrival.Spec{
		Pattern: arrival.Pattern(f.Pattern), Requests: f.Requests, RatePerS: f.RatePerS,
		BurstSize: f.BurstSize, Shape: f.Shape, OnS: f.OnS, OffS: f.OffS, Raw: f.Raw, Seed: f.Seed,
	}
	switch {
	case f.Concurrency > 0:
		spec = arrival.Spec{Pattern: arrival.Closed, Requests: f.Requests, Seed: f.Seed}
	case source.Kind.Trace():
		spec = arrival.Spec{Pattern: arrival.Trace, Requests: f.Requests, TimeScale: f.TimeScale, Seed: f.Seed}
	case f.offline():
		spec.Pattern, spec.RatePerS, spec.Raw = arrival.Offline, 0, false
	}
	return spec
}
