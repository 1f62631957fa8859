package numerics

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stepbench/bench/dataset"
)

// Caller runs control methods of the engine's adapter; an engine.Engine is one.
type Caller interface {
	Call(ctx context.Context, method string, args, reply any) error
}

// Options say what is asked for.
type Options struct {
	MaxTokens int `json:"max_tokens"` // length of each continuation
	TopK      int `json:"top_k"`      // most likely tokens listed at each position
	// PromptsPerCall are in flight together. A call gives no sign of life until
	// it ends, so it must be short beside the worker's timeout. Both arms need
	// the same number, as it decides the batches.
	PromptsPerCall int `json:"prompts_per_call"`
}

// Sizes by default: 64 prompts of 64 tokens, each continued by 64.
const (
	DefaultPrompts      = 64
	DefaultPromptTokens = 64
)

// DefaultOptions asks for 64 tokens and the 5 most likely at each.
func DefaultOptions() Options { return Options{MaxTokens: 64, TopK: 5, PromptsPerCall: 16} }

// Validate joins everything that is wrong with o.
func (o Options) Validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int
	}{{"max tokens", o.MaxTokens}, {"top k", o.TopK}, {"prompts per call", o.PromptsPerCall}} {
		if f.value < 1 {
			errs = append(errs, fmt.Errorf("numerics: %s is %d, must be at least 1", f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

// EngineArgs are what an engine must be opened with for this, to be merged into
// engine.Config.Extra. Random weights give logits so small that all logprobs are
// about -ln of the vocabulary's size, where float32 no longer resolves what a kernel
// changes: those engines answer logits.
func EngineArgs(randomWeights bool) map[string]any {
	if !randomWeights {
		return nil
	}
	return map[string]any{"logprobs_mode": "raw_logits"} // vllm/config/model.py
}

// Prompts draws n prompts of random token ids below vocab. They depend on the
// seed alone, and each on its index alone.
func Prompts(n, length, vocab int, seed uint64) ([][]int32, error) {
	random, err := dataset.NewRandom(dataset.RandomSpec{InputTokens: length, OutputTokens: 1, Vocab: vocab, Seed: seed})
	if err != nil {
		return nil, err
	}
	prompts := make([][]int32, n)
	for i := range prompts {
		prompts[i] = random.Item(i).Prompt
	}
	return prompts, nil
}

// request is the argument of the adapter's method "numerics".
type request struct {
	Mode          string    `json:"mode"`
	Prompts       [][]int32 `json:"prompts"`
	TopK          int       `json:"top_k"`
	MaxTokens     int       `json:"max_tokens,omitempty"`
	Continuations [][]int32 `json:"continuations,omitempty"`
}

// Generate lets an arm continue each prompt greedily by exactly MaxTokens tokens.
func Generate(ctx context.Context, c Caller, prompts [][]int32, opt Options) (*Outputs, error) {
	lengths := make([]int, len(prompts))
	for i := range lengths {
		lengths[i] = opt.MaxTokens
	}
	return ask(ctx, c, request{Mode: "generate", Prompts: prompts, MaxTokens: opt.MaxTokens, TopK: opt.TopK}, lengths, opt)
}

// Score lets an arm say how likely each token of the given continuations is after
// the prompt and the tokens before it.
func Score(ctx context.Context, c Caller, prompts, continuations [][]int32, opt Options) (*Outputs, error) {
	if len(prompts) != len(continuations) {
		return nil, fmt.Errorf("numerics: %d prompts and %d continuations to score", len(prompts), len(continuations))
	}
	lengths := make([]int, len(continuations))
	for i, tokens := range continuations {
		lengths[i] = len(tokens)
	}
	return ask(ctx, c, request{Mode: "score", Prompts: prompts, Continuations: continuations, TopK: opt.TopK}, lengths, opt)
}

// ask puts the prompts of r to the adapter, some at a time. lengths are those of
// the sequences expected.
func ask(ctx context.Context, c Caller, r request, lengths []int, opt Options) (*Outputs, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(lengths, func(n int) bool { return n == 0 }); i >= 0 {
		return nil, fmt.Errorf("numerics: the continuation of prompt %d is empty", i)
	}
	all := &Outputs{}
	for from := 0; from < len(r.Prompts); from += opt.PromptsPerCall {
		to := min(from+opt.PromptsPerCall, len(r.Prompts))
		part := r
		part.Prompts = r.Prompts[from:to]
		if r.Continuations != nil {
			part.Continuations = r.Continuations[from:to]
		}
		var got Outputs
		err := c.Call(ctx, "numerics", part, &got)
		if err == nil {
			err = got.check(part, lengths[from:to])
		}
		if err != nil {
			return nil, fmt.Errorf("%s, prompts %d to %d: %w", r.Mode, from, to-1, err)
		}
		all.Kind = got.Kind
		all.Sequences = append(all.Sequences, got.Sequences...)
		all.Steps = append(all.Steps, got.Steps...)
	}
	return all, nil
}

// check compares the shape of an answer with what was asked.
func (o *Outputs) check(r request, lengths []int) error {
	if o.Kind != Logprobs && o.Kind != Logits {
		return fmt.Errorf("the adapter answered %q, want logprobs or logits", o.Kind)
	}
	if len(o.Sequences) != len(lengths) {
		return fmt.Errorf("the adapter answered %d sequences, want %d", len(o.Sequences), len(lengths))
	}
	for i := range o.Sequences {
		s := &o.Sequences[i]
		n := lengths[i]
		got, want := [4]int{len(s.Tokens), len(s.Logprobs), len(s.Top), len(s.TopLogprobs)}, [4]int{n, n, n * r.TopK, n * r.TopK}
		if got != want {
			return fmt.Errorf("sequence %d has %v tokens, logprobs, top tokens and their logprobs, want %v", i, got, want)
		}
		if r.Continuations != nil && !slices.Equal(s.Tokens, r.Continuations[i]) {
			return fmt.Errorf("sequence %d is not the continuation that was to be scored", i)
		}
	}
	return nil
}
