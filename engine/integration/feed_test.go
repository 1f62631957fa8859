//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

var texts = sync.OnceValues(func() (*engine.Tokenizers, error) {
	model, err := modelFolder()
	if err != nil {
		return nil, err
	}
	return engine.OpenTokenizers(context.Background(), engine.TokenizerOptions{Model: model, Processes: 2})
})

func tokenizers(t *testing.T) *engine.Tokenizers {
	t.Helper()
	k, err := texts()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// feed hands reqs out a few at a time and returns results by id, and what else
// there is.
func feed(t *testing.T, f engine.Feed, reqs []engine.Request) (map[int64]engine.RequestResult, engine.Batch) {
	t.Helper()
	e := real(t)
	results, all := map[int64]engine.RequestResult{}, engine.Batch{Logprobs: map[int64]engine.RequestLogprobs{}}
	source := func(_ context.Context, most int) ([]engine.Request, error) {
		n := min(most, 3, len(reqs))
		some := reqs[:n]
		if reqs = reqs[n:]; len(reqs) == 0 {
			return some, io.EOF
		}
		return some, nil
	}
	var err error
	on(func() {
		err = engine.NewLoop(e, nil).Feed(t.Context(), f, source, func(b engine.Batch) error {
			for _, r := range b.Requests {
				if _, twice := results[r.ID]; twice {
					return fmt.Errorf("request %d ended twice", r.ID)
				}
				results[r.ID] = r
			}
			maps.Copy(all.Logprobs, b.Logprobs)
			all.Progress = b.Progress
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return results, all
}

func encoded(t *testing.T, all []engine.Encoded, err error) (tokens [][]int32) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Err != "" {
			t.Fatal(e.Err)
		}
		tokens = append(tokens, e.Tokens)
	}
	return tokens
}

func tokensOf(results map[int64]engine.RequestResult, n int) (all [][]int32) {
	for id := range int64(n) {
		all = append(all, results[id].Tokens)
	}
	return all
}

// A feed in two orders and a run give the same tokens.
func TestFeedMatchesRun(t *testing.T) {
	e := real(t)
	subjects := []string{"a cat", "the sea", "two friends", "an old house", "winter", "music", "a train", "bread"}
	starts := []string{"Once there was %s that", "A short poem about %s:\n", "Question: what is %s?\nAnswer:", "I like %s because", "%s and"}
	var prompts []string
	for _, s := range starts {
		for _, subject := range subjects {
			prompts = append(prompts, fmt.Sprintf(s, subject))
		}
	}
	tokens, err := tokenizers(t).Encode(t.Context(), prompts)
	var reqs []engine.Request
	var plan engine.Plan
	for i, p := range encoded(t, tokens, err) {
		r := engine.Request{ID: int64(i), Prompt: p, Sampling: engine.Sampling{MaxTokens: 4 + i%4}}
		reqs, plan.Arrivals = append(reqs, r), append(plan.Arrivals, engine.Arrival{Request: r})
	}
	plan.KeepTokens = true
	run := map[int64]engine.RequestResult{}
	on(func() {
		err = engine.NewLoop(e, nil).Run(plan, func(b engine.Batch) error {
			for _, r := range b.Requests {
				run[r.ID] = r
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	fed, whole := feed(t, engine.Feed{KeepTokens: true}, reqs)
	if diff := cmp.Diff(tokensOf(run, len(reqs)), tokensOf(fed, len(reqs))); diff != "" {
		t.Errorf("tokens differ (-run +feed)\n%s", diff)
	}
	slices.Reverse(reqs)
	back, _ := feed(t, engine.Feed{KeepTokens: true, Concurrency: 20}, reqs)
	if diff := cmp.Diff(tokensOf(run, len(reqs)), tokensOf(back, len(reqs))); diff != "" {
		t.Errorf("tokens differ (-run +feed backwards)\n%s", diff)
	}
	total := int32(0)
	for id, r := range fed {
		total += r.OutputTokens
		if r.TokenNs != nil || r.EngineOutputs != r.OutputTokens || int(r.OutputTokens) != len(r.Tokens) {
			t.Errorf("request %d: %d stamps, %d and %d tokens", id, len(r.TokenNs), r.EngineOutputs, r.OutputTokens)
		}
		if e2e, ok := r.E2E(); !ok || e2e <= 0 {
			t.Errorf("request %d took %d ns", id, e2e)
		}
	}
	progress := whole.Progress
	if progress.Finished != len(reqs) || progress.OutputTokens != int64(total) || progress.Steps < 40*4/maxSeqs ||
		progress.StepNs <= 0 || progress.GenTokens < int64(total)-int64(len(reqs)) {
		t.Errorf("progress %+v", progress)
	}
	t.Logf("%d requests, %d tokens, %+v", len(fed), total, progress)
}

// Prompts, chats, stop strings and their texts are those of LLM.generate and
// LLM.chat.
func TestTextsAreVLLMs(t *testing.T) {
	want, k := plainPython(t), tokenizers(t)
	chats, err := k.Chat(t.Context(), want.Chats)
	if diff := cmp.Diff(want.Chat.Prompts, encoded(t, chats, err)); diff != "" {
		t.Errorf("chats (-LLM.chat +tokenizers)\n%s", diff)
	}
	var reqs []engine.Request
	var all []answers
	for i, p := range want.Chat.Prompts {
		reqs = append(reqs, engine.Request{ID: int64(i), Prompt: p, Sampling: engine.Sampling{MaxTokens: 16}})
	}
	for i, p := range want.Stopped.Prompts {
		reqs = append(reqs, engine.Request{ID: int64(len(want.Chat.Prompts) + i), Prompt: p, Sampling: engine.Sampling{MaxTokens: 24, Stop: want.Stop}})
	}
	all = append(all, want.Chat, want.Stopped)
	results, _ := feed(t, engine.Feed{KeepTokens: true}, reqs)
	generated := make([]engine.Generated, len(reqs))
	for i, r := range reqs {
		q := results[int64(i)]
		generated[i] = engine.Generated{Prompt: r.Prompt, Tokens: q.Tokens, Stop: r.Sampling.Stop, Stopped: q.Finish == engine.FinishStop}
	}
	decoded, err := k.Decode(t.Context(), generated)
	if err != nil {
		t.Fatal(err)
	}
	i, cut := 0, 0
	for _, a := range all {
		for j := range a.Texts {
			got := decoded[i]
			if got.Err != "" || got.Text != a.Texts[j] || results[int64(i)].Finish.String() != a.Finish[j] || !cmp.Equal(results[int64(i)].Tokens, a.Outputs[j]) {
				t.Errorf("output %d: %q %s, ended by %s, vLLM has %q ended by %s\n%d\n%d", i, got.Text, got.Err,
					results[int64(i)].Finish, a.Texts[j], a.Finish[j], results[int64(i)].Tokens, a.Outputs[j])
			}
			if a.Finish[j] == "stop" && len(generated[i].Stop) > 0 {
				cut++
			}
			i++
		}
	}
	if cut == 0 {
		t.Error("no output was ended by a stop string")
	}
	t.Logf("%d outputs, %d ended by a stop string, the first answer %q", i, cut, decoded[0].Text)
	again, err := k.EncodePlain(t.Context(), []string{want.Texts[0]})
	if tokens := encoded(t, again, err); len(tokens[0]) == 0 {
		t.Error("no tokens of a text")
	}
}

// Logprobs are those of LLM.generate, and a chat that vLLM refuses is refused alone.
func TestLogprobsAreVLLMs(t *testing.T) {
	want := plainPython(t)
	one, two, many := 1, 2, 1000
	var reqs []engine.Request
	for i, p := range want.Prompts {
		reqs = append(reqs, engine.Request{ID: int64(i), Prompt: p, Sampling: engine.Sampling{MaxTokens: 4, Logprobs: &two, PromptLogprobs: &one}})
	}
	const tooMany, tooLong, badPenalty = 100, 101, 102
	reqs = append(reqs,
		engine.Request{ID: tooMany, Prompt: []int32{1}, Sampling: engine.Sampling{MaxTokens: 4, Logprobs: &many}},
		engine.Request{ID: tooLong, Prompt: make([]int32, modelLen+1), Sampling: engine.Sampling{MaxTokens: 4}},
		engine.Request{ID: badPenalty, Prompt: []int32{1}, Sampling: engine.Sampling{MaxTokens: 4, FrequencyPenalty: 9}},
		engine.Request{ID: 103, Prompt: []int32{1}, Sampling: engine.Sampling{MaxTokens: 4, FrequencyPenalty: 0.5, PresencePenalty: -0.5,
			RepetitionPenalty: 1.1, MinP: 0.01, MinTokens: 2, StopTokenIDs: []int32{5}, Temperature: 0.7, TopP: 0.9}},
	)
	results, whole := feed(t, engine.Feed{KeepTokens: true}, reqs)
	for id, says := range map[int64]string{tooMany: "logprobs", tooLong: "512", badPenalty: "frequency_penalty"} {
		if q := results[id]; q.Finish != engine.FinishError || !strings.Contains(q.Error, says) {
			t.Errorf("request %d ended as %s: %s", id, q.Finish, q.Error)
		}
	}
	if q := results[103]; q.Finish != engine.FinishLength && q.Finish != engine.FinishStop {
		t.Errorf("request 103 ended as %s: %s", q.Finish, q.Error)
	}
	worst := 0.0
	check := func(what string, l *engine.Logprobs, top int, text []int32, places []map[int32]float64) {
		t.Helper()
		if l == nil || l.Top != top || l.Len() != len(text) || len(places) != len(text) {
			t.Errorf("%s: %+v", what, l)
			return
		}
		sum := 0.0
		for i, place := range places {
			token, logprob := l.At(i)
			if token != text[i] {
				t.Errorf("%s, place %d: token %d, want %d", what, i, token, text[i])
			}
			tokens, logprobs := l.TopAt(i)
			for j, token := range append([]int32{token}, tokens...) {
				theirs, listed := place[token]
				mine := float64(append([]float32{logprob}, logprobs...)[j])
				worst = max(worst, math.Abs(theirs-mine))
				if !listed {
					t.Errorf("%s, place %d: token %d is not listed by vLLM", what, i, token)
				}
			}
			if len(logprobs) == 2 && logprobs[0] < logprobs[1] {
				t.Errorf("%s, place %d: not in falling order: %v", what, i, logprobs)
			}
			sum += place[text[i]]
		}
		if got := l.Sum(0, l.Len()); math.Abs(got-sum) > 1e-2 {
			t.Errorf("%s: log-likelihood %v, vLLM has %v", what, got, sum)
		}
	}
	for i, p := range want.Prompts {
		l := whole.Logprobs[int64(i)]
		check(fmt.Sprint("output ", i), l.Output, two, results[int64(i)].Tokens, want.Scored.Output[i])
		check(fmt.Sprint("prompt ", i), l.Prompt, one, p[1:], want.Scored.Prompt[i])
	}
	if worst > 1e-3 {
		t.Errorf("a logprob differs by %v", worst)
	}
	t.Logf("largest difference of a logprob %v", worst)
}

// The template's own refusal is one conversation's.
func TestChatRefusals(t *testing.T) {
	got, err := tokenizers(t).Chat(t.Context(), []json.RawMessage{
		[]byte(`[{"role":"user","content":"hi"}]`),
		[]byte(`[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]`),
	})
	if err != nil || len(got[0].Tokens) == 0 || !strings.Contains(got[1].Err, "image_url") {
		t.Errorf("%+v, %v", got, err)
	}
}
