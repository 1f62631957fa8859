package workload

import (
	"errors"
	"fmt"

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
// every machine. It is kept with the results.
type Spec struct {
	Profile  string             `json:"profile"`
	Dataset  string             `json:"dataset"`
	Arrivals arrival.Spec       `json:"arrivals"`
	Prompts  dataset.RandomSpec `json:"prompts"`
	// WarmUpRequests at the start are run and recorded, but not summarised.
	WarmUpRequests int `json:"warm_up_requests"`
	// The keys of the random streams, as arrival.Spec and dataset.RandomSpec
	// define them.
	ArrivalKey string `json:"arrival_key"`
	PromptKey  string `json:"prompt_key"`
}

// New resolves f for a model whose vocabulary is known.
func New(f Flags, l Limits) (Spec, error) {
	if err := f.Validate(l); err != nil {
		return Spec{}, err
	}
	if l.Vocab < 1 {
		return Spec{}, errors.New("the vocabulary size of the model is not known: open the engine first")
	}
	s := Spec{
		Profile:  ProfileQuick,
		Dataset:  "random",
		Arrivals: f.arrivals(),
		Prompts: dataset.RandomSpec{
			InputTokens: f.InputTokens, OutputTokens: f.OutputTokens,
			Vocab: l.Vocab, Exclude: l.SpecialIDs, Seed: f.Seed,
		},
		WarmUpRequests: WarmUpRequests,
	}
	if s.Offline() {
		// Makespan counts everything from the start.
		s.WarmUpRequests = 0
	}
	s.ArrivalKey, s.PromptKey = s.Arrivals.Key(), s.Prompts.Key()
	return s, nil
}

// Offline says that all requests arrive at once: their latencies then count
// from when each was first scheduled, and there is no queue.
func (s Spec) Offline() bool { return s.Arrivals.Pattern == arrival.Offline }

// Plan draws the requests of s. Request i has ID i. Decoding is greedy and
// runs past the end-of-sequence token, so that every output has its planned
// length.
func (s Spec) Plan() (engine.Plan, error) {
	offsets, err := arrival.Schedule(s.Arrivals)
	if err != nil {
		return engine.Plan{}, err
	}
	prompts, err := dataset.NewRandom(s.Prompts)
	if err != nil {
		return engine.Plan{}, err
	}
	plan := engine.Plan{Arrivals: make([]engine.Arrival, len(offsets))}
	for i, offset := range offsets {
		item := prompts.Item(i)
		plan.Arrivals[i] = engine.Arrival{
			OffsetNs: offset,
			Request: engine.Request{
				ID: int64(i), Prompt: item.Prompt,
				Sampling: engine.Sampling{MaxTokens: item.OutputTokens, IgnoreEOS: true},
			},
		}
	}
	return plan, nil
}

// String names the point in one line.
func (s Spec) String() string {
	load := fmt.Sprintf("%s at %g requests/s", s.Arrivals.Pattern, s.Arrivals.RatePerS)
	if s.Offline() {
		load = "all at once"
	}
	return fmt.Sprintf("%d requests, %s, %d input and %d output tokens each",
		s.Arrivals.Requests, load, s.Prompts.InputTokens, s.Prompts.OutputTokens)
}
