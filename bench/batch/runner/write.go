package runner

import (
	"context"
	"fmt"
	"slices"

	"stepbench/bench/batch"
	"stepbench/bench/batch/score"
	"stepbench/engine"
)

// chatEndpoint is where OpenAI's API takes rows of messages.
const chatEndpoint = "/v1/chat/completions"

// finishOption is why an option of a multiple choice ends.
const finishOption = "option"

// writeEnded makes results of tasks and stores them until none come. After an
// error of the store it only empties the channel, so that nobody waits.
func (r *run) writeEnded() {
	for tasks := range r.ended {
		for chunk := range slices.Chunk(tasks, callItems) {
			if r.storeFailed() != nil {
				continue
			}
			// What the engine has finished is kept, also when the run is interrupted.
			if err := r.write(context.WithoutCancel(r.ctx), chunk); err != nil {
				r.mu.Lock()
				r.unstored = err
				r.mu.Unlock()
				r.cancel(err)
			}
		}
	}
}

func (r *run) storeFailed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unstored
}

func (r *run) write(ctx context.Context, tasks []*task) error {
	for _, t := range tasks {
		t.judge()
	}
	texts, err := r.decode(ctx, tasks)
	if err != nil {
		return err
	}
	if err := r.vocabulary.learn(ctx, r.Texts, tasks); err != nil {
		return fmt.Errorf("decode the tokens of logprobs: %w", err)
	}
	results := make([]batch.Result, len(tasks))
	for i, t := range tasks {
		results[i] = t.result(texts[i], &r.vocabulary)
		if t.failure != nil {
			continue
		}
		score.Apply(r.Metrics, t.row, &results[i])
		if t.row.Sampling.PromptLogprobs == nil {
			results[i].PromptLogprobs = nil // a metric needed them, nobody else
		}
	}
	return r.Store.Append(results)
}

// judge fails a row one of whose requests failed.
func (t *task) judge() {
	if t.failure != nil {
		return
	}
	for i := range t.answers {
		switch a := &t.answers[i]; {
		case a.Finish == engine.FinishError:
			t.fail(codeRefused, "%s", a.Error)
		case a.Corrupted:
			t.fail(codeEngine, "the model's logits were not numbers")
		case len(t.options) > 0 && (a.Prompt == nil || a.Prompt.Len() != len(t.asks[i].Prompt)-1):
			t.fail(codeEngine, "the engine returned no logprobs of option %d", i)
		default:
			continue
		}
		return
	}
}

// decode gives the texts of each task's completions.
func (r *run) decode(ctx context.Context, tasks []*task) ([][]string, error) {
	var outputs []engine.Generated
	var of []part
	for _, t := range tasks {
		if t.failure != nil || len(t.options) > 0 {
			continue
		}
		for i := range t.answers {
			outputs = append(outputs, engine.Generated{
				Prompt: t.prompt, Tokens: t.answers[i].Tokens,
				Stop: t.row.Sampling.Stop, Stopped: t.answers[i].Finish == engine.FinishStop,
			})
			of = append(of, part{t, i})
		}
	}
	decoded, err := oneByOne(ctx, outputs, r.Texts.Decode, func(err error) engine.Decoded { return engine.Decoded{Err: err.Error()} })
	if err != nil {
		return nil, fmt.Errorf("decode outputs: %w", err)
	}
	texts := map[*task][]string{}
	for i, p := range of {
		if e := decoded[i].Err; e != "" {
			p.fail(codeEngine, "the output cannot be decoded: %s", e)
		}
		texts[p.task] = append(texts[p.task], decoded[i].Text)
	}
	all := make([][]string, len(tasks))
	for i, t := range tasks {
		all[i] = texts[t]
		if len(t.options) > 0 {
			all[i] = t.row.Options
		}
	}
	return all, nil
}

// result is what is kept of the task. texts are of its completions or options.
func (t *task) result(texts []string, v *vocabulary) batch.Result {
	res := batch.Result{
		Index: t.row.Index, Place: t.row.Place, ID: t.row.ID, Endpoint: t.row.Endpoint, Group: t.row.Group,
		PromptTokens: int32(len(t.prompt)), Failure: t.failure,
	}
	if res.Endpoint == "" && t.row.Messages != nil {
		res.Endpoint = chatEndpoint
	}
	if t.failure != nil {
		return res
	}
	res.CachedTokens = t.answers[0].CachedTokens
	for i := range t.answers {
		a := &t.answers[i]
		c := batch.Choice{
			Text: texts[i], Tokens: a.Tokens, OutputTokens: a.OutputTokens, Finish: a.Finish.String(),
			QueueS: seconds(a.EngineQueue()), PrefillS: seconds(a.Prefill()), DecodeS: seconds(a.Decode()),
		}
		c.E2ES = c.QueueS + c.PrefillS + c.DecodeS
		if len(t.options) > 0 {
			c.Finish, c.Tokens, c.OutputTokens = finishOption, t.options[i], 0
			c.LogLikelihood = a.Prompt.Sum(len(t.prompt)-1, a.Prompt.Len())
		} else if a.Output != nil {
			c.Logprobs = v.logprobs(a.Output)
		}
		res.Choices = append(res.Choices, c)
	}
	if p := t.answers[0].Prompt; p != nil && len(t.options) == 0 {
		res.PromptLogprobs = v.logprobs(p)
	}
	return res
}

func seconds(ns int64, _ bool) float64 { return float64(ns) / 1e9 }
