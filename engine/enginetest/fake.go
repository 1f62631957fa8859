package enginetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"stepbench/engine"
)

// Vocab is the size of the fake's vocabulary.
const Vocab = 1000

// Overheads of every step that takes time, around the time inside the engine.
const (
	gilNs  = 1_000 // waiting for the interpreter lock
	callNs = 1_000 // from the lock to the engine's step
	exitNs = 3_000 // walking the outputs
)

// Fake is an engine whose behaviour the test writes down in its fields. It
// schedules as vLLM does: running requests first, then waiting ones, within a
// token and a sequence budget, prompts in chunks. Token k of a request is
// [Token](prompt, k).
type Fake struct {
	// Clock is the time that steps take; required.
	Clock engine.Clock
	// StepTime is the time inside the engine for a step of s's composition and
	// index. nil means that steps take no time at all.
	StepTime func(s engine.Step) time.Duration
	// StepErr, if not nil, fails the step of that index by its error.
	StepErr func(index int64) error
	// Refuse, if not nil, refuses a request by its error.
	Refuse func(r engine.Request) error
	// SubmitErr and AbortErr, if not nil, break those calls: nothing is done.
	SubmitErr, AbortErr error
	// MaxTokens and MaxSeqs limit a step; 0 means no limit.
	MaxTokens, MaxSeqs int
	// OnCall answers control methods; nil answers null.
	OnCall func(method string, args any) (any, error)
	// About is what Info returns, its zero sizes filled in.
	About engine.Info

	// Forgetful keeps no Arrivals, so that a million requests leave nothing behind.
	Forgetful bool

	// Arrivals are the wall-clock arrivals handed to Submit, by request id.
	Arrivals map[int64]int64
	// MostRunning is the highest number of requests in the engine at a step.
	MostRunning int
	// Closed says that Close was called.
	Closed bool

	waiting, running []*sequence
	logprobs         map[int64]logprobs // of requests that ended
	steps            int64
	results          [2]engine.StepResult // alternate, as the shim's arenas do
}

var _ engine.Stepper = (*Fake)(nil)

type sequence struct {
	engine.Request
	computed int // prompt tokens in the cache
	outputs  int
	stats    engine.RequestStats
}

// Token is the k-th output token, from 0, for prompt.
func Token(prompt []int32, k int) int32 {
	sum := int32(k)
	for _, t := range prompt {
		sum = (sum + t) % Vocab
	}
	return sum
}

// Submit implements engine.Stepper.
func (f *Fake) Submit(reqs []engine.Request, arrivalsUnixNs []int64) (map[int]error, error) {
	if f.SubmitErr != nil {
		return nil, f.SubmitErr
	}
	refused := map[int]error{}
	for i, r := range reqs {
		if err := f.check(r); err != nil {
			refused[i] = err
			continue
		}
		s := &sequence{Request: r}
		s.stats.ArrivalS = seconds(arrivalsUnixNs[i])
		s.stats.QueuedS = seconds(f.Clock.NowNs())
		f.waiting = append(f.waiting, s)
		if f.Forgetful {
			continue
		}
		if f.Arrivals == nil {
			f.Arrivals = map[int64]int64{}
		}
		f.Arrivals[r.ID] = arrivalsUnixNs[i]
	}
	return refused, nil
}

func (f *Fake) check(r engine.Request) error {
	if f.Refuse != nil {
		if err := f.Refuse(r); err != nil {
			return err
		}
	}
	switch {
	case len(r.Prompt) == 0:
		return errors.New("the prompt is empty")
	case r.Sampling.MaxTokens < 1:
		return fmt.Errorf("max_tokens must be at least 1, got %d", r.Sampling.MaxTokens)
	}
	return nil
}

// Abort implements engine.Stepper.
func (f *Fake) Abort(ids []int64) (map[int64]engine.RequestStats, error) {
	if f.AbortErr != nil {
		return nil, f.AbortErr
	}
	wanted := map[int64]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	stats := map[int64]engine.RequestStats{}
	keep := func(all []*sequence) (rest []*sequence) {
		for _, s := range all {
			if wanted[s.ID] {
				stats[s.ID] = s.stats
			} else {
				rest = append(rest, s)
			}
		}
		return rest
	}
	f.waiting, f.running = keep(f.waiting), keep(f.running)
	return stats, nil
}

// Call implements engine.Stepper.
func (f *Fake) Call(method string, args, reply any) error {
	var answer any
	if ids, ok := args.([]int64); ok && method == "take_logprobs" {
		answer = f.takeLogprobs(ids)
	} else if f.OnCall != nil {
		var err error
		if answer, err = f.OnCall(method, args); err != nil {
			return err
		}
	}
	if reply == nil {
		return nil
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, reply)
}

// Info implements engine.Stepper.
func (f *Fake) Info() engine.Info {
	i := f.About
	i.VLLMVersion = or(i.VLLMVersion, "0.26.0-enginetest")
	i.Platform = or(i.Platform, "cpu")
	i.VocabSize = or(i.VocabSize, Vocab)
	i.MaxModelLen = or(i.MaxModelLen, 4096)
	i.MaxNumSeqs = or(i.MaxNumSeqs, or(f.MaxSeqs, 256))
	i.MaxNumBatchedTokens = or(i.MaxNumBatchedTokens, or(f.MaxTokens, 8192))
	return i
}

// NowNs implements engine.Stepper.
func (f *Fake) NowNs() int64 { return f.Clock.NowNs() }

// Close implements engine.Stepper.
func (f *Fake) Close() error {
	f.Closed = true
	return nil
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }
