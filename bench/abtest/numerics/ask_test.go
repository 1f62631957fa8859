package numerics

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustPrompts(t *testing.T, n, length int) [][]int32 {
	t.Helper()
	prompts, err := Prompts(n, length, modelVocab, 7)
	if err != nil {
		t.Fatal(err)
	}
	return prompts
}

func TestPromptsAreDeterministic(t *testing.T) {
	few, many := mustPrompts(t, 2, 8), mustPrompts(t, 5, 8)
	if diff := cmp.Diff(few, many[:2]); diff != "" {
		t.Errorf("prompts depend on how many there are\n%s", diff)
	}
	if cmp.Equal(many[0], many[1]) {
		t.Error("two prompts are equal")
	}
	other, err := Prompts(2, 8, modelVocab, 8)
	if err != nil {
		t.Fatal(err)
	}
	if cmp.Equal(few, other) {
		t.Error("the seed has no effect")
	}
	for _, p := range many {
		for _, token := range p {
			if len(p) != 8 || token < 0 || token >= modelVocab {
				t.Fatalf("prompt %v", p)
			}
		}
	}
	if _, err := Prompts(1, 0, modelVocab, 1); err == nil {
		t.Error("a prompt of no tokens was drawn")
	}
}

// The prompts go out in order, some at a time, and the answers come together.
func TestGenerateInParts(t *testing.T) {
	opt := Options{MaxTokens: 6, TopK: 3, PromptsPerCall: 2}
	prompts := mustPrompts(t, 5, 4)
	m := &model{}
	got, err := Generate(context.Background(), m, prompts, opt)
	if err != nil {
		t.Fatal(err)
	}
	want := []request{
		{Mode: "generate", Prompts: prompts[:2], TopK: 3, MaxTokens: 6},
		{Mode: "generate", Prompts: prompts[2:4], TopK: 3, MaxTokens: 6},
		{Mode: "generate", Prompts: prompts[4:], TopK: 3, MaxTokens: 6},
	}
	if diff := cmp.Diff(want, m.calls); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
	opt.PromptsPerCall = 5
	atOnce, err := Generate(context.Background(), &model{}, prompts, opt)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(atOnce, got); diff != "" {
		t.Errorf("answers in parts differ (-at once +in parts)\n%s", diff)
	}
	if len(got.Sequences) != 5 || len(got.Sequences[4].Top) != 6*3 {
		t.Errorf("%d sequences, the last with %d top tokens", len(got.Sequences), len(got.Sequences[4].Top))
	}
}

// A model that scores its own continuation finds the tokens as likely as it did
// when it chose them.
func TestScoreOfOwnContinuation(t *testing.T) {
	prompts := mustPrompts(t, 3, 4)
	a, err := Ask(context.Background(), &model{}, prompts, nil, Options{MaxTokens: 5, TopK: 2, PromptsPerCall: 2})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Generated.Sequences, a.Scored.Sequences); diff != "" {
		t.Errorf("(-generated +scored)\n%s", diff)
	}
}

func TestAsk_Errors(t *testing.T) {
	ok := Options{MaxTokens: 2, TopK: 1, PromptsPerCall: 2}
	spoil := func(f func(*Outputs)) *model { return &model{spoil: f} }
	for _, c := range []struct {
		name  string
		model *model
		opt   Options
		cont  [][]int32
		want  string
	}{
		{"options", &model{}, Options{TopK: 1, PromptsPerCall: 1}, nil, "numerics: max tokens is 0, must be at least 1"},
		{"the engine", &model{fail: errors.New("the kernel failed")}, ok, nil, "generate, prompts 0 to 1: the kernel failed"},
		{"values of no known kind", spoil(func(o *Outputs) { o.Kind = "" }), ok, nil,
			"generate, prompts 0 to 1: the adapter answered \"\", want logprobs or logits"},
		{"a sequence is missing", spoil(func(o *Outputs) { o.Sequences = o.Sequences[1:] }), ok, nil,
			"generate, prompts 0 to 1: the adapter answered 1 sequences, want 2"},
		{"a token is missing", spoil(func(o *Outputs) { o.Sequences[1].Tokens = o.Sequences[1].Tokens[1:] }), ok, nil,
			"generate, prompts 0 to 1: sequence 1 has [1 2 2 2] tokens, logprobs, top tokens and their logprobs, want [2 2 2 2]"},
		{"a logprob is missing", spoil(func(o *Outputs) { o.Sequences[0].TopLogprobs = nil }), ok, nil,
			"generate, prompts 0 to 1: sequence 0 has [2 2 2 0] tokens, logprobs, top tokens and their logprobs, want [2 2 2 2]"},
		{"other continuations", spoil(func(o *Outputs) { o.Sequences[0].Tokens[0]++ }), ok, [][]int32{{1}, {2}, {3}},
			"score, prompts 0 to 1: sequence 0 is not the continuation that was to be scored"},
		{"too few continuations", &model{}, ok, [][]int32{{1}}, "numerics: 3 prompts and 1 continuations to score"},
		{"nothing to score", &model{}, ok, [][]int32{{1}, {}, {3}}, "numerics: the continuation of prompt 1 is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if c.cont == nil {
				_, err = Generate(context.Background(), c.model, mustPrompts(t, 3, 4), c.opt)
			} else {
				_, err = Score(context.Background(), c.model, mustPrompts(t, 3, 4), c.cont, c.opt)
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	prompts, opt := mustPrompts(t, 4, 4), Options{MaxTokens: 8, TopK: 5, PromptsPerCall: 4}
	a := &model{}
	r, err := Check(context.Background(), a, &model{}, prompts, 2, Rules{}, opt)
	if err != nil || r.Status != Identical || r.Floors.Pairs != 3 || !r.Floors.BitEqual {
		t.Errorf("%v: %s, floors %+v", err, r.Line(), r.Floors)
	}
	if len(a.calls) != 6 {
		t.Errorf("A was asked %d times, want three times for both paths", len(a.calls))
	}

	known := Rules{Floors: Floors{Pairs: 3, MeanAbs: 1}}
	a = &model{}
	r, err = Check(context.Background(), a, &model{}, prompts, 2, known, opt)
	if err != nil || r.Floors != known.Floors || len(a.calls) != 2 {
		t.Errorf("a floor that is known: %v, floors %+v, %d calls", err, r.Floors, len(a.calls))
	}
}

// B dies: the error names it and the report claims nothing.
func TestCheckOfABrokenArm(t *testing.T) {
	prompts, opt := mustPrompts(t, 2, 4), Options{MaxTokens: 2, TopK: 1, PromptsPerCall: 2}
	dead := errors.New("worker died")
	for _, c := range []struct {
		arm  string
		a, b *model
	}{{"A", &model{fail: dead}, &model{}}, {"B", &model{}, &model{fail: dead}}} {
		r, err := Check(context.Background(), c.a, c.b, prompts, 0, Rules{}, opt)
		if !errors.Is(err, dead) || !strings.HasPrefix(err.Error(), "outputs of arm "+c.arm) {
			t.Errorf("arm %s: %v", c.arm, err)
		}
		if r.Status != NotChecked || r.ExitFour(false) {
			t.Errorf("arm %s: %s", c.arm, r.Line())
		}
	}
}
