// Package dataset provides the prompts of a run as token ids.
package dataset

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Item is one prompt and how many tokens to generate for it.
type Item struct {
	Prompt       []int32 // token ids
	OutputTokens int
	// AtNs is when it arrived in a trace, from the trace's beginning.
	AtNs int64
}

// RandomSpec describes prompts of random token ids with exact lengths: work of
// a known size, without meaning.
type RandomSpec struct {
	InputTokens  int `json:"input_tokens"`
	OutputTokens int `json:"output_tokens"`
	// Ids are drawn from [FirstID, Vocab) without Exclude, the model's special
	// tokens.
	FirstID int32   `json:"first_id,omitempty"`
	Vocab   int     `json:"vocab"`
	Exclude []int32 `json:"exclude,omitempty"`
	Seed    uint64  `json:"seed"`
}

// Random draws the prompts of a RandomSpec. It is safe for concurrent use.
type Random struct {
	spec    RandomSpec
	exclude []int32 // ascending, unique, inside the range
	choices int     // ids left to draw from
}

// NewRandom checks spec and joins everything that is wrong with it.
func NewRandom(spec RandomSpec) (*Random, error) {
	var errs []error
	if spec.InputTokens < 1 {
		errs = append(errs, fmt.Errorf("input length %d: a prompt needs at least 1 token", spec.InputTokens))
	}
	if spec.OutputTokens < 1 {
		errs = append(errs, fmt.Errorf("output length %d: at least 1 token must be generated", spec.OutputTokens))
	}
	if spec.FirstID < 0 {
		errs = append(errs, fmt.Errorf("first token id %d: must not be negative", spec.FirstID))
	}
	r := &Random{spec: spec}
	for _, id := range spec.Exclude {
		if id >= spec.FirstID && int(id) < spec.Vocab {
			r.exclude = append(r.exclude, id)
		}
	}
	slices.Sort(r.exclude)
	r.exclude = slices.Compact(r.exclude)
	r.choices = spec.Vocab - int(spec.FirstID) - len(r.exclude)
	if r.choices < 1 {
		errs = append(errs, fmt.Errorf("no token ids left: vocabulary %d, first id %d, %d special tokens excluded",
			spec.Vocab, spec.FirstID, len(r.exclude)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("random prompts: %w", err)
	}
	return r, nil
}

// Key determines the random stream of prompt i and, without i, is kept with
// every result: ChaCha8 (math/rand/v2) seeded with the SHA-256 of this text.
func (s RandomSpec) Key() string { return fmt.Sprintf("stepbench/prompt/1/seed=%d", s.Seed) }

// Item gives prompt i. It depends on the spec and i alone, not on what was
// drawn before, so that a resumed or reordered run sees the same prompts.
func (r *Random) Item(i int) Item {
	return Item{Prompt: r.Prompt(i, r.spec.InputTokens), OutputTokens: r.spec.OutputTokens}
}

// Prompt is the first n tokens of prompt i: shorter ones begin longer ones.
func (r *Random) Prompt(i, n int) []int32 { return r.draw(fmt.Sprintf("index=%d", i), n) }

// draw gives the first n tokens of the stream called name.
func (r *Random) draw(name string, n int) []int32 {
	key := r.spec.Key() + "/" + name
	rng := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(key))))
	prompt := make([]int32, n)
	for k := range prompt {
		// Drawing among the ids that are left and stepping over the excluded
		// ones below keeps every id equally likely.
		id := r.spec.FirstID + int32(rng.IntN(r.choices))
		for _, e := range r.exclude {
			if id < e {
				break
			}
			id++
		}
		prompt[k] = id
	}
	return prompt
}
