//go:build integration

package integration

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/abtest/numerics"
	"stepbench/engine"
)

// onThread calls the adapter on the engine's thread, as a worker does.
type onThread struct{ *engine.Local }

func (c onThread) Call(_ context.Context, method string, args, reply any) (err error) {
	on(func() { err = c.Local.Call(method, args, reply) })
	return err
}

// Two answers of one engine are bitwise equal, the tokens are those of the greedy
// requests that are measured, and what the prefill path finds of them is close to
// what the decode path found.
func TestNumerics(t *testing.T) {
	e := real(t)
	ctx, c := context.Background(), onThread{e}
	opt := numerics.Options{MaxTokens: 6, TopK: 5, PromptsPerCall: 2}
	texts, err := numerics.Prompts(4, 12, e.Info().VocabSize, 1)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	a, err := numerics.Ask(ctx, c, texts, nil, opt)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	b, err := numerics.Ask(ctx, c, texts, a.Continuations(), opt)
	if err != nil {
		t.Fatal(err)
	}
	r := numerics.Compare(a, b, numerics.Rules{})
	if r.Status != numerics.Identical || r.ExitFour(false) {
		t.Errorf("the same engine twice: %s", r.Line())
	}
	t.Logf("4 prompts of 12 tokens, 6 tokens each, asked in %.1f s: %s", took.Seconds(), r.Line())

	// The decode path's logprobs as if they were another arm's scores.
	own := *a.Generated
	own.Steps = a.Scored.Steps
	paths := numerics.Compare(numerics.Answers{Generated: &own}, numerics.Answers{Generated: a.Scored}, numerics.Rules{})
	if paths.Status != numerics.Close && paths.Status != numerics.Identical {
		t.Errorf("decode against prefill: %s\n%q", paths.Line(), paths.Reasons)
	}
	t.Logf("decode against prefill: %+v", *paths.Decode)

	if diff := cmp.Diff(greedy(t, e, texts[:2], opt.MaxTokens), a.Continuations()[:2]); diff != "" {
		t.Errorf("tokens (-greedy requests +numerics)\n%s", diff)
	}
}

// greedy continues the prompts as requests of a plan, past the end of sequence.
func greedy(t *testing.T, e *engine.Local, texts [][]int32, n int) [][]int32 {
	t.Helper()
	plan := engine.Plan{KeepTokens: true}
	for i, prompt := range texts {
		plan.Arrivals = append(plan.Arrivals, engine.Arrival{Request: engine.Request{
			ID: int64(i), Prompt: prompt, Sampling: engine.Sampling{MaxTokens: n, IgnoreEOS: true},
		}})
	}
	got := make([][]int32, len(texts))
	var err error
	on(func() {
		err = engine.NewLoop(e, nil).Run(plan, func(b engine.Batch) error {
			for _, r := range b.Requests {
				got[r.ID] = r.Tokens
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// What vLLM refuses in the middle of a batch leaves nothing in flight, and the
// steps after it are whole.
func TestNumericsLeavesNothingBehind(t *testing.T) {
	e := real(t)
	ctx, c := context.Background(), onThread{e}
	opt := numerics.Options{MaxTokens: 2, TopK: 1, PromptsPerCall: 3}
	texts, err := numerics.Prompts(3, 8, e.Info().VocabSize, 2)
	if err != nil {
		t.Fatal(err)
	}
	tooLong, err := numerics.Prompts(1, modelLen+1, e.Info().VocabSize, 3)
	if err != nil {
		t.Fatal(err)
	}
	many := opt
	many.TopK = 1000
	for _, bad := range []struct {
		name    string
		prompts [][]int32
		opt     numerics.Options
	}{
		{"too long", append(texts[:2:2], tooLong[0]), opt},
		{"outside the vocabulary", append(texts[:2:2], []int32{int32(e.Info().VocabSize)}), opt},
		{"more logprobs than the engine gives", texts, many},
	} {
		if _, err := numerics.Generate(ctx, c, bad.prompts, bad.opt); err == nil {
			t.Errorf("%s: no error", bad.name)
		} else {
			t.Logf("%s: %.160s", bad.name, err)
		}
	}
	if _, err := numerics.Generate(ctx, c, texts, opt); err != nil {
		t.Errorf("after the errors: %v", err)
	}
	reqs := prompts(700, 2, 8, 1)
	on(func() { submit(t, e, reqs) })
	var s engine.Step
	on(func() {
		var r engine.StepResult
		r, err = e.Step(engine.Limits{})
		s = r.Step
	})
	if diff := cmp.Diff(work{CtxReqs: 2, CtxTokens: 16}, workOf(&s)); err != nil || diff != "" {
		t.Errorf("the next step: %v (-want +got)\n%s", err, diff)
	}
}
