package runner

import (
	"fmt"

	"stepbench/bench/batch"
	"stepbench/bench/batch/score"
	"stepbench/engine"
)

// Codes of [batch.Failure].
const (
	codeInvalid     = "invalid_row"
	codeTooLong     = "too_long"
	codeRefused     = "refused"
	codeEngine      = "engine"
	codeQuarantined = "quarantined"
)

// task is a row on its way: one request for each completion or option.
type task struct {
	row     *batch.Row
	prompt  []int32
	options [][]int32 // tokens of a multiple choice's options
	asks    []engine.Request
	answers []answer
	missing int // answers
	strikes int // deaths of a worker at which it was in flight
	failure *batch.Failure
}

// part is one request of a task.
type part struct {
	*task
	place int
}

// answer is what the engine returned for a part.
type answer struct {
	engine.RequestResult
	engine.RequestLogprobs
}

func (t *task) fail(code, format string, args ...any) {
	t.failure = &batch.Failure{Code: code, Message: fmt.Sprintf(format, args...)}
}

// parts are the task's requests that have no answer yet.
func (t *task) parts() (all []part) {
	for i := range t.answers {
		if t.answers[i].Finish == engine.Unfinished {
			all = append(all, part{t, i})
		}
	}
	return all
}

// limits are those of the model, in tokens.
type limits struct{ modelLen int }

// completionTokens is OpenAI's default of max_tokens for completions; a chat may
// fill what the prompt leaves of the context.
const completionTokens = 16

// ask makes the task's requests of its tokens.
func (t *task) ask(l limits, perplexity bool) {
	if len(t.options) > 0 {
		t.askOptions(l)
	} else {
		t.askCompletions(l, perplexity)
	}
	t.answers, t.missing = make([]answer, len(t.asks)), len(t.asks)
}

func (t *task) askCompletions(l limits, perplexity bool) {
	if !t.fits(l, len(t.prompt)) {
		return
	}
	s := t.row.Sampling
	switch {
	case s.MaxTokens == 0 && t.row.Messages != nil:
		s.MaxTokens = l.modelLen - len(t.prompt)
	case s.MaxTokens == 0:
		s.MaxTokens = completionTokens
	}
	for i := range max(t.row.N, 1) {
		s := s
		if s.Seed != nil {
			seed := *s.Seed + int64(i)
			s.Seed = &seed
		}
		switch {
		case i > 0:
			s.PromptLogprobs = nil // one row, one prompt
		case perplexity && s.PromptLogprobs == nil:
			s.PromptLogprobs = new(int)
		}
		t.asks = append(t.asks, engine.Request{Prompt: t.prompt, Sampling: s})
	}
}

// askOptions has the engine read each option behind the prompt. Nothing is
// generated but the one token that vLLM asks for at least.
func (t *task) askOptions(l limits) {
	for i, option := range t.options {
		if len(option) == 0 {
			t.fail(codeInvalid, "option %d has no tokens", i)
			return
		}
		prompt := append(append(make([]int32, 0, len(t.prompt)+len(option)), t.prompt...), option...)
		if !t.fits(l, len(prompt)) {
			return
		}
		t.asks = append(t.asks, engine.Request{Prompt: prompt, Sampling: engine.Sampling{MaxTokens: 1, PromptLogprobs: new(int)}})
	}
}

func (t *task) fits(l limits, tokens int) bool {
	switch {
	case tokens == 0:
		t.fail(codeInvalid, "the prompt has no tokens")
	case tokens >= l.modelLen:
		t.fail(codeTooLong, "the prompt has %d tokens, the model takes %d with at least one of output: shorten it or raise --max-model-len", tokens, l.modelLen)
	}
	return t.failure == nil
}

// wantsPerplexity says that a metric needs the logprobs of prompts.
func wantsPerplexity(metrics []score.Metric) bool {
	for _, m := range metrics {
		if m.Name() == score.Perplexity {
			return true
		}
	}
	return false
}
