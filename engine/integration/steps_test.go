//go:build integration

package integration

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

// work is what a step consists of.
type work struct{ CtxReqs, CtxTokens, GenReqs, GenTokens, Running, Waiting int32 }

func workOf(s *engine.Step) work {
	return work{s.CtxReqs, s.CtxTokens, s.GenReqs, s.GenTokens, s.Running, s.Waiting}
}

// prompts makes n requests of the given length that generate output tokens.
func prompts(firstID int64, n, length, output int) []engine.Request {
	reqs := make([]engine.Request, n)
	for i := range reqs {
		tokens := make([]int32, length)
		for k := range tokens {
			tokens[k] = int32(1000 + (int(firstID)*31+i*7+k*13)%20000)
		}
		reqs[i] = engine.Request{
			ID: firstID + int64(i), Prompt: tokens,
			Sampling: engine.Sampling{MaxTokens: output, IgnoreEOS: true},
		}
	}
	return reqs
}

func submit(t testing.TB, e *engine.Local, reqs []engine.Request) {
	t.Helper()
	now := time.Now().UnixNano()
	arrivals := make([]int64, len(reqs))
	for i := range arrivals {
		arrivals[i] = now
	}
	refused, err := e.Submit(reqs, arrivals)
	if err != nil || len(refused) > 0 {
		t.Fatalf("submit: %v, refused %v", err, refused)
	}
}

// Every step of a planned sequence has exactly the planned composition, and a
// smaller token budget holds for exactly the step it was given to.
func TestComposition(t *testing.T) {
	e := real(t)
	half := engine.Limits{Tokens: maxTokens / 2}
	plan := []struct {
		name   string
		submit []engine.Request
		limits engine.Limits
		want   work
	}{
		{"prefill of 4 x 64", prompts(100, 4, 64, 4), engine.Limits{}, work{4, 256, 0, 0, 4, 0}},
		{"decode of 4", nil, engine.Limits{}, work{0, 0, 4, 4, 4, 0}},
		{"mixed: 4 decode, 100 prefill", prompts(200, 1, 100, 3), engine.Limits{}, work{1, 100, 4, 4, 5, 0}},
		{"last decode of the four", nil, engine.Limits{}, work{0, 0, 5, 5, 1, 0}},
		{"last decode of the fifth", nil, engine.Limits{}, work{0, 0, 1, 1, 0, 0}},
		{"half budget cuts a prompt of 200 to 128", prompts(300, 1, 200, 2), half, work{1, 128, 0, 0, 1, 0}},
		{"full budget takes the rest", nil, engine.Limits{}, work{1, 72, 0, 0, 1, 0}},
		{"decode", nil, engine.Limits{}, work{0, 0, 1, 1, 0, 0}},
		{"chunk beside waiting", prompts(400, 3, 120, 1), engine.Limits{}, work{3, 256, 0, 0, 1, 0}},
		{"its rest", nil, engine.Limits{}, work{1, 104, 0, 0, 0, 0}},
		{"two seqs at most", prompts(500, 3, 10, 1), engine.Limits{Seqs: 2}, work{2, 20, 0, 0, 0, 1}},
		{"the third", nil, engine.Limits{}, work{1, 10, 0, 0, 0, 0}},
	}
	for _, p := range plan {
		if len(p.submit) > 0 {
			on(func() { submit(t, e, p.submit) })
		}
		var s engine.Step
		var err error
		on(func() {
			var r engine.StepResult
			r, err = e.Step(p.limits)
			s = r.Step
		})
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if diff := cmp.Diff(p.want, workOf(&s)); diff != "" {
			t.Errorf("%s: composition (-want +got)\n%s", p.name, diff)
		}
		checkStamps(t, p.name, &s)
		if p.limits.Tokens != 0 && int(s.TokenBudget) != p.limits.Tokens || p.limits.Tokens == 0 && s.TokenBudget != maxTokens {
			t.Errorf("%s: token budget in force %d, asked for %d", p.name, s.TokenBudget, p.limits.Tokens)
		}
	}
}

// checkStamps asserts what holds for every step that executed a model.
func checkStamps(t *testing.T, name string, s *engine.Step) {
	t.Helper()
	stamps := []int64{s.EnterNs, s.GILNs, s.CallNs, s.ReturnNs, s.ExitNs}
	for i := 1; i < len(stamps); i++ {
		if stamps[i] < stamps[i-1] {
			t.Errorf("%s: stamps run backwards: %v", name, stamps)
		}
	}
	parts := []int64{s.ScheduleNs, s.ExecuteNs, s.SampleNs, s.UpdateNs, s.OutputNs, s.CoreNs}
	for i, p := range parts {
		if p <= 0 {
			t.Errorf("%s: component %d was not timed: %v", name, i, parts)
		}
	}
	if u := s.UnaccountedNs(); u < 0 {
		t.Errorf("%s: components exceed the wall time by %d ns", name, -u)
	}
	if s.BridgeNs <= 0 {
		t.Errorf("%s: bridge cost %d ns", name, s.BridgeNs)
	}
	if s.Preempted != 0 {
		t.Errorf("%s: %d requests preempted", name, s.Preempted)
	}
}

// A prompt with ids outside the vocabulary is refused before it can read
// foreign memory; one that is too long is refused by vLLM; both leave the
// others alone.
func TestRefusedRequests(t *testing.T) {
	e := real(t)
	reqs := prompts(600, 4, 8, 1)
	reqs[1].Prompt[3] = int32(e.Info().VocabSize)
	reqs[2].Prompt = prompts(1, 1, modelLen+1, 1)[0].Prompt
	var refused map[int]error
	var results int
	var err error
	on(func() {
		if refused, err = e.Submit(reqs, make([]int64, 4)); err != nil {
			return
		}
		var r engine.StepResult
		r, err = e.Step(engine.Limits{})
		results = len(r.Outputs)
	})
	if err != nil {
		t.Fatal(err)
	}
	if refused[1] == nil || refused[2] == nil || len(refused) != 2 {
		t.Errorf("refused %v, want requests 1 and 2", refused)
	}
	if results != 2 {
		t.Errorf("%d results, want the 2 sound requests", results)
	}
}
