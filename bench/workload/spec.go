package workload

import (
	"errors"
	"fmt"
	"math"

	"stepbench/bench/arrival"
	"stepbench/bench/dataset"
	"stepbench/engine"
)

// ProfileQuick marks a first look: one repeat, a warm-up by count, intervals
// from within the run.
const ProfileQuick = "quick"

// WarmUpRequests is how many requests at the start of an open loop are left
// out of every statistic.
const WarmUpRequests = 2

// Spec fixes a measured point completely: the same spec is the same plan on
// every machine, given the same file where it has one. It is kept with the
// results.
type Spec struct {
	Profile string `json:"profile"`
	// Dataset is the kind of the prompts: random, c4, sharegpt, …
	Dataset string `json:"dataset"`
	// Source is the file of the prompts, nil for those of random tokens.
	Source *dataset.Source `json:"source,omitempty"`
	// StandIn says that random tokens stand in for Dataset, and how. A result
	// must not be shown without it. Empty means the real thing.
	StandIn  string             `json:"stand_in,omitempty"`
	Arrivals arrival.Spec       `json:"arrivals"`
	Prompts  dataset.RandomSpec `json:"prompts"`
	// Concurrency > 0 is a closed loop.
	Concurrency int `json:"concurrency,omitempty"`
	// FinalOnly requests return at their end: no token has a stamp of its own, and
	// a step does not pay for it.
	FinalOnly bool `json:"final_only,omitempty"`
	// MaxModelTokens is the limit that prompts and outputs from a file had to
	// keep, 0 without one.
	MaxModelTokens int `json:"max_model_tokens,omitempty"`
	// Data is what came of the dataset, nil where every request has the lengths
	// of Prompts and until Prepare has read the file.
	Data *Data `json:"data,omitempty"`
	// SLO are the limits goodput counts by, nil for none.
	SLO *SLO `json:"slo,omitempty"`
	// WarmUpRequests at the start are run and recorded, but not summarised.
	WarmUpRequests int `json:"warm_up_requests"`
	// TailRequests arrive after those of Arrivals, in the same manner, and are not
	// measured; see [Run]. 0: arrivals end with the last measured one.
	TailRequests int `json:"tail_requests,omitempty"`
	// The keys of the random streams, as arrival.Spec and dataset.RandomSpec
	// define them.
	ArrivalKey string `json:"arrival_key"`
	PromptKey  string `json:"prompt_key"`
}

// New resolves f for a model whose vocabulary is known.
func New(f Flags, l Limits) (Spec, error) {
	r, err := f.resolve(l)
	if err != nil {
		return Spec{}, err
	}
	if l.Vocab < 1 {
		return Spec{}, errors.New("the vocabulary size of the model is not known: open the engine first")
	}
	f = r.Flags
	s := Spec{
		Profile:  ProfileQuick,
		Dataset:  string(r.source.Kind),
		Arrivals: f.arrivals(r.source),
		Prompts: dataset.RandomSpec{
			InputTokens: f.InputTokens, OutputTokens: f.OutputTokens,
			Vocab: l.Vocab, Exclude: l.SpecialIDs, Seed: f.Seed,
		},
		Concurrency:    f.Concurrency,
		FinalOnly:      f.FinalOnly,
		SLO:            f.SLO,
		WarmUpRequests: WarmUpRequests,
	}
	if s.Offline() {
		// Makespan counts everything from the start.
		s.WarmUpRequests = 0
	}
	s.ArrivalKey, s.PromptKey = s.Arrivals.Key(), s.Prompts.Key()
	switch {
	case r.source.Path != "":
		s.Source, s.MaxModelTokens = &r.source, l.MaxModelTokens
	case r.source.Kind == dataset.KindC4:
		s.standIn(l.MaxModelTokens)
	}
	return s, nil
}

// standIn gives the requests the lengths that packed C4 documents would have.
func (s *Spec) standIn(maxModelTokens int) {
	minimum := s.uniform()
	most := dataset.MaxPacked(minimum, maxModelTokens)
	s.StandIn = dataset.C4StandIn
	s.Data = &Data{}
	for i := range s.Arrivals.Requests {
		n := dataset.C4Length(s.Prompts.Seed, i, minimum.InputTokens, most)
		s.Data.Lengths = append(s.Data.Lengths, Length{InputTokens: n, OutputTokens: minimum.OutputTokens})
	}
}

// Offline says that all requests arrive at once: their latencies then count
// from when each was first scheduled, and there is no queue.
func (s Spec) Offline() bool { return s.Arrivals.Pattern == arrival.Offline }

// Closed says that a request arrives when another ends.
func (s Spec) Closed() bool { return s.Arrivals.Pattern == arrival.Closed }

// Unscheduled is offline or closed: no request has a time at which it should
// arrive, and so neither a queue nor an admission delay.
func (s Spec) Unscheduled() bool { return s.Offline() || s.Closed() }

// AddTail has arrivals go on after the last measured one for as long as the
// shortest grace; of a trace, for as many requests again, as far as it goes. An
// unscheduled load needs none.
func (s *Spec) AddTail() {
	switch {
	case s.Unscheduled():
	case s.Arrivals.Pattern == arrival.Trace:
		s.TailRequests = s.Arrivals.Requests
	default:
		s.TailRequests = int(math.Ceil(s.Arrivals.RatePerS * graceFloorNs / 1e9))
	}
}

// Planned are the lengths that request id should have. A tail has those of the
// requests before it, over again, where a file does not say.
func (s Spec) Planned(id int64) Length {
	if s.Data != nil && id >= 0 && len(s.Data.Lengths) > 0 {
		return s.Data.Lengths[id%int64(len(s.Data.Lengths))]
	}
	return s.uniform()
}

// uniform are the lengths of requests that have none of their own.
func (s Spec) uniform() Length {
	return Length{InputTokens: s.Prompts.InputTokens, OutputTokens: s.Prompts.OutputTokens}
}

// NeedsText says that Prepare will call its tokeniser: the engine must have
// been opened with one.
func (s Spec) NeedsText() bool { return s.Source != nil && s.Source.Kind.Text() }

// Plan draws the requests of s, whose prompts must be random tokens: those of
// a file need [Spec.Prepare]. Request i has ID i. Decoding is greedy and runs
// past the end-of-sequence token, so that every output has its planned length.
func (s Spec) Plan() (engine.Plan, error) {
	if s.Source != nil {
		return engine.Plan{}, fmt.Errorf("the prompts of %s are in a file: prepare them", s.Source)
	}
	prompts, err := dataset.NewRandom(s.Prompts)
	if err != nil {
		return engine.Plan{}, err
	}
	items := make([]dataset.Item, s.Arrivals.Requests+s.TailRequests)
	for i := range items {
		planned := s.Planned(int64(i))
		items[i] = dataset.Item{Prompt: prompts.Prompt(i, planned.InputTokens), OutputTokens: planned.OutputTokens}
	}
	return s.plan(items)
}

// plan is items in order, arriving as s says.
func (s Spec) plan(items []dataset.Item) (engine.Plan, error) {
	offsets, err := s.offsets(items)
	if err != nil {
		return engine.Plan{}, err
	}
	plan := engine.Plan{Arrivals: make([]engine.Arrival, len(items)), MaxConcurrency: s.Concurrency}
	for i, item := range items {
		plan.Arrivals[i] = engine.Arrival{
			OffsetNs: offsets[i],
			Request: engine.Request{
				ID: int64(i), Prompt: item.Prompt,
				Sampling: engine.Sampling{MaxTokens: item.OutputTokens, IgnoreEOS: true, FinalOnly: s.FinalOnly},
			},
		}
	}
	return plan, nil
}

func (s Spec) offsets(items []dataset.Item) ([]int64, error) {
	if s.Arrivals.Pattern != arrival.Trace {
		return s.schedule()
	}
	scale := s.Arrivals.TimeScale
	if scale == 0 {
		scale = 1
	}
	offsets := make([]int64, len(items))
	for i := range items {
		// From the first of them: what a trace left out before it is no wait.
		offsets[i] = int64(math.Round(float64(items[i].AtNs-items[0].AtNs) * scale))
	}
	return offsets, nil
}

// schedule gives the times of the measured requests, which do not depend on the
// tail, and has the tail follow as the same draw goes on, at the same scale.
func (s Spec) schedule() ([]int64, error) {
	offsets, err := arrival.Schedule(s.Arrivals)
	if err != nil || s.TailRequests == 0 {
		return offsets, err
	}
	longer := s.Arrivals
	longer.Raw, longer.Requests = true, s.Arrivals.Requests+s.TailRequests
	drawn, err := arrival.Schedule(longer)
	if err != nil {
		return nil, err
	}
	last, drawnLast := offsets[len(offsets)-1], drawn[len(offsets)-1]
	scale := float64(last) / float64(max(1, drawnLast))
	for _, ns := range drawn[len(offsets):] {
		offsets = append(offsets, last+int64(math.Round(scale*float64(ns-drawnLast))))
	}
	return offsets, nil
}

// String names the point in one line.
func (s Spec) String() string {
	load := fmt.Sprintf("%s at %g requests/s", s.Arrivals.Pattern, s.Arrivals.RatePerS)
	switch {
	case s.Offline():
		load = "all at once"
	case s.Closed():
		load = fmt.Sprintf("at most %d at a time", s.Concurrency)
	case s.Arrivals.Pattern == arrival.Trace:
		load = "as in the trace"
		if s.Arrivals.TimeScale != 0 && s.Arrivals.TimeScale != 1 {
			load = fmt.Sprintf("as in the trace, times × %g", s.Arrivals.TimeScale)
		}
	}
	text := fmt.Sprintf("%d requests, %s, ", s.Arrivals.Requests, load)
	switch {
	case s.Data != nil:
		in, out := s.Data.Lengths.ranges()
		text += fmt.Sprintf("%s: %s input and %s output tokens", s.Dataset, in, out)
	case s.Source != nil:
		text += "prompts of " + s.Source.String()
	default:
		text += fmt.Sprintf("%d input and %d output tokens each", s.Prompts.InputTokens, s.Prompts.OutputTokens)
	}
	if s.StandIn != "" {
		text += " (stand-in: " + s.StandIn + ")"
	}
	return text
}
