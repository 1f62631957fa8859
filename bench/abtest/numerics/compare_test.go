package numerics

import (
	"context"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answers is an arm of prompts × n positions, each with tokens 1 and 2 at
// logprobs ln 0.6 and ln 0.3, changed by edit where that is not nil. Prompt i
// has token 1+i mod 2 first, so that the output is not constant.
func answers(prompts, n int, edit func(scored bool, s []Sequence)) Answers {
	build := func(scored bool) *Outputs {
		o := &Outputs{Kind: Logprobs, Steps: []Step{{int32(prompts), int32(8 * prompts)}}}
		for i := range prompts {
			var s Sequence
			first := int32(1 + i%2)
			for j := range n {
				p := 0.6 - 1e-3*float64(j%7)
				s.Tokens, s.Logprobs = append(s.Tokens, first), append(s.Logprobs, math.Log(p))
				s.Top, s.TopLogprobs = append(s.Top, first, 3-first), append(s.TopLogprobs, math.Log(p), math.Log(0.3))
			}
			o.Sequences = append(o.Sequences, s)
		}
		if edit != nil {
			edit(scored, o.Sequences)
		}
		return o
	}
	return Answers{build(false), build(true)}
}

// shift adds d to the logprob of the tokens at the first n positions.
func shift(s *Sequence, n int, d float64) {
	for j := range n {
		s.Logprobs[j] += d
		s.TopLogprobs[2*j] += d
	}
}

// swap makes the second token the first one at position j, in likelihood alone
// or, where take is true, as the token chosen.
func swap(s *Sequence, j int, take bool) {
	s.Top[2*j], s.Top[2*j+1] = s.Top[2*j+1], s.Top[2*j]
	if take {
		s.Tokens[j], s.Logprobs[j] = s.Top[2*j], s.TopLogprobs[2*j]
	} else {
		s.Logprobs[j] = s.TopLogprobs[2*j+1]
	}
}

func onlyScored(f func(s []Sequence)) func(bool, []Sequence) {
	return func(scored bool, s []Sequence) {
		if scored {
			f(s)
		}
	}
}

func onlyGenerated(f func(s []Sequence)) func(bool, []Sequence) {
	return func(scored bool, s []Sequence) {
		if !scored {
			f(s)
		}
	}
}

func TestStatus(t *testing.T) {
	loose := Floors{Pairs: 1, MeanAbs: 1, MaxAbs: 1, KL: 1}
	nan := func(s []Sequence) { s[1].TopLogprobs[3] = math.NaN() }
	inf := func(s []Sequence) { s[0].Logprobs[0] = math.Inf(-1) }
	for _, c := range []struct {
		name   string
		edit   func(scored bool, s []Sequence)
		floors Floors
		want   Status
	}{
		{"nothing changed", nil, Floors{}, Identical},
		{"last bit of a logprob in decode", onlyGenerated(func(s []Sequence) { s[3].TopLogprobs[5] = math.Nextafter(s[3].TopLogprobs[5], 0) }), Floors{}, Close},
		{"last bit of a logprob in prefill", onlyScored(func(s []Sequence) { s[3].TopLogprobs[5] = math.Nextafter(s[3].TopLogprobs[5], 0) }), Floors{}, Close},

		// 4 × 50 positions.
		{"top-1 of 99.5 %", onlyScored(func(s []Sequence) { swap(&s[0], 0, false) }), loose, Close},
		{"top-1 of 99 %", onlyScored(func(s []Sequence) { swap(&s[0], 0, false); swap(&s[1], 0, false) }), loose, Differs},
		{"top-1 of 99.5 % in decode", onlyGenerated(func(s []Sequence) { swap(&s[0], 49, true) }), loose, Close},
		{"an early flip is 1 of fewer positions", onlyGenerated(func(s []Sequence) { swap(&s[0], 0, true) }), loose, Differs},

		{"mean just within", onlyScored(func(s []Sequence) { shift(&s[0], 50, 0.0399) }), Floors{}, Close},
		{"mean just beyond", onlyScored(func(s []Sequence) { shift(&s[0], 50, 0.0401) }), Floors{}, Differs},
		{"mean beyond in decode", onlyGenerated(func(s []Sequence) { shift(&s[0], 50, -0.0401) }), Floors{}, Differs},
		{"mean within three floors", onlyScored(func(s []Sequence) { shift(&s[0], 50, 0.0401) }), Floors{Pairs: 1, MeanAbs: 0.00335}, Close},
		{"mean beyond three floors", onlyScored(func(s []Sequence) { shift(&s[0], 50, 0.0401) }), Floors{Pairs: 1, MeanAbs: 0.0033399}, Differs},

		{"max just within", onlyScored(func(s []Sequence) { shift(&s[2], 1, -0.4999) }), loosen(loose, "max"), Close},
		{"max just beyond", onlyScored(func(s []Sequence) { shift(&s[2], 1, -0.5001) }), loosen(loose, "max"), Differs},
		{"max within three floors", onlyScored(func(s []Sequence) { shift(&s[2], 1, -0.5001) }), Floors{Pairs: 1, MeanAbs: 1, MaxAbs: 0.17, KL: 1}, Close},

		// One position of 200 with P = (2/3, 1/3) against Q = (x, 1-x).
		{"KL just within", onlyScored(func(s []Sequence) { shift(&s[2], 1, -1.290) }), loosen(loose, "kl"), Close},
		{"KL just beyond", onlyScored(func(s []Sequence) { shift(&s[2], 1, -1.291) }), loosen(loose, "kl"), Differs},
		{"KL within three floors", onlyScored(func(s []Sequence) { shift(&s[2], 1, -1.291) }), Floors{Pairs: 1, MeanAbs: 1, MaxAbs: 1, KL: 0.00034}, Close},

		{"NaN", onlyScored(nan), loose, Differs},
		{"NaN in decode", onlyGenerated(nan), loose, Differs},
		{"Inf", onlyGenerated(inf), loose, Differs},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Compare(answers(4, 50, nil), answers(4, 50, c.edit), Rules{Floors: c.floors})
			if r.Status != c.want {
				t.Errorf("%s, want %s\nreasons %q\ndecode %+v\nprefill %+v", r.Status, c.want, r.Reasons, r.Decode, r.Prefill)
			}
			if (len(r.Reasons) > 0) != (c.want == Differs) {
				t.Errorf("reasons %q", r.Reasons)
			}
		})
	}
}

// loosen leaves one measure at its base limit.
func loosen(f Floors, but string) Floors {
	switch but {
	case "max":
		f.MaxAbs = 0
	case "kl":
		f.KL = 0
	}
	return f
}

// After the first token that differs the arms have different inputs.
func TestTokensBeyondTheDivergenceAreNotJudged(t *testing.T) {
	edit := onlyGenerated(func(s []Sequence) {
		swap(&s[0], 48, true)
		s[0].Tokens[49], s[0].Logprobs[49] = 77, -30
	})
	loose := Rules{Floors: Floors{Pairs: 1, MeanAbs: 1, MaxAbs: 1, KL: 1}}
	r := Compare(answers(5, 50, nil), answers(5, 50, edit), loose)
	if r.Status != Close || r.Decode.Positions != 249 || r.EqualPrompts != 4 {
		t.Errorf("%s, %d positions, %d equal prompts; want CLOSE, 249, 4", r.Status, r.Decode.Positions, r.EqualPrompts)
	}
}

func TestFirstDivergence(t *testing.T) {
	edit := onlyGenerated(func(s []Sequence) {
		swap(&s[0], 30, true)
		swap(&s[2], 17, true)
		swap(&s[3], 17, true)
	})
	r := Compare(answers(4, 50, nil), answers(4, 50, edit), Rules{})
	want := &Divergence{
		Place: Place{Prompt: 2, Position: 17}, TokenA: 1, TokenB: 2,
		LogprobA: Number(math.Log(0.6 - 1e-3*3)), LogprobB: Number(math.Log(0.6 - 1e-3*3)),
	}
	if diff := cmp.Diff(want, r.First); diff != "" {
		t.Errorf("first divergence (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]int{30, -1, 17, 17}, r.DivergesAt); diff != "" {
		t.Errorf("per prompt (-want +got)\n%s", diff)
	}
	if r.Tokens != 200 || r.EqualPrompts != 1 || r.Decode.Positions != 31+50+18+18 {
		t.Errorf("%d tokens, %d equal prompts, %d positions", r.Tokens, r.EqualPrompts, r.Decode.Positions)
	}
}

func TestConstantOutput(t *testing.T) {
	sameToken := func(_ bool, s []Sequence) {
		for i := range s {
			for j := range s[i].Tokens {
				s[i].Tokens[j] = 0
			}
		}
	}
	sameLogprob := func(_ bool, s []Sequence) {
		for i := range s {
			for j := range s[i].Logprobs {
				s[i].Logprobs[j] = -10.8
			}
		}
	}
	flat := func(_ bool, s []Sequence) { // as random weights are
		for i := range s {
			for j := range s[i].Logprobs {
				s[i].Logprobs[j] = -10.8 + 1e-6*float64((i+j)%3)
			}
		}
	}
	token, logprob := "answers every prompt with one and the same token", "finds every token equally likely"
	for _, c := range []struct {
		name       string
		prompts, n int
		a, b       func(bool, []Sequence)
		want       []string
	}{
		{"neither", 4, 50, nil, nil, nil},
		{"tokens of B", 4, 50, nil, sameToken, []string{"arm B " + token}},
		{"logprobs of B", 4, 50, nil, sameLogprob, []string{"arm B " + logprob}},
		{"tokens of A", 4, 50, sameToken, nil, []string{"arm A " + token}},
		{"tokens of both", 4, 50, sameToken, sameToken, nil},
		{"logprobs of B beside tokens of both", 4, 50, sameToken, func(g bool, s []Sequence) { sameToken(g, s); sameLogprob(g, s) }, []string{"arm B " + logprob}},
		{"each its own", 4, 50, sameToken, sameLogprob, []string{"arm B " + logprob, "arm A " + token}},
		{"logprobs of B where A's hardly vary", 4, 50, flat, sameLogprob, nil},
		{"too few tokens to say", 2, 3, nil, sameToken, nil},
		{"one prompt", 1, 50, nil, sameToken, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := answers(c.prompts, c.n, c.a), answers(c.prompts, c.n, c.b)
			b.Scored = nil // its tokens are A's by construction
			r := Compare(a, b, Rules{RandomWeights: true})
			if diff := cmp.Diff(c.want, r.Broken); diff != "" {
				t.Errorf("broken (-want +got)\n%s", diff)
			}
			if r.ExitFour(false) != (c.want != nil) {
				t.Errorf("exit 4: %t", r.ExitFour(false))
			}
		})
	}
}

func TestExitFour(t *testing.T) {
	far := func(_ bool, s []Sequence) { shift(&s[0], 50, -2) }
	nan := func(_ bool, s []Sequence) { s[0].Logprobs[0] = math.NaN() }
	near := func(_ bool, s []Sequence) { shift(&s[0], 1, -1e-6) }
	for _, c := range []struct {
		name         string
		edit         func(bool, []Sequence)
		random       bool
		weak         bool
		exit, waived bool
	}{
		{"identical", nil, false, false, false, false},
		{"identical, random weights", nil, true, false, false, false},
		{"close", near, false, false, false, false},
		{"close, random weights", near, true, true, false, false},
		{"differs", far, false, false, true, false},
		{"differs, random weights", far, true, true, false, false},
		{"NaN", nan, false, false, true, false},
		{"NaN, random weights", nan, true, false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Compare(answers(4, 50, nil), answers(4, 50, c.edit), Rules{RandomWeights: c.random})
			if r.Weak != c.weak || r.ExitFour(false) != c.exit || r.ExitFour(true) != c.waived {
				t.Errorf("%s: weak %t, exit 4 %t, with numeric change allowed %t", r.Status, r.Weak, r.ExitFour(false), r.ExitFour(true))
			}
		})
	}
}

func TestIncomparable(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(b *Answers)
		want string
	}{
		{"nothing", func(b *Answers) { b.Generated = nil }, "arm B answered nothing"},
		{"no prompts", func(b *Answers) { b.Generated = &Outputs{} }, "arm B answered nothing"},
		{"other values", func(b *Answers) { b.Generated.Kind = Logits }, "arm A answered logprobs, arm B logits"},
		{"fewer prompts", func(b *Answers) { b.Generated.Sequences = b.Generated.Sequences[1:] }, "the arms generated other numbers of tokens"},
		{"other batches", func(b *Answers) { b.Generated.Steps[0][4] = 1 }, "the arms generated in other batches"},
		{"other batches in prefill", func(b *Answers) { b.Scored.Steps = nil }, "the arms scored in other batches"},
		{"other continuations", func(b *Answers) { b.Scored.Sequences[3].Tokens[49] = 5 }, "the arms scored other continuations"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := answers(4, 50, nil)
			c.edit(&b)
			r := Compare(answers(4, 50, nil), b, Rules{})
			if diff := cmp.Diff(Report{Status: NotChecked, Reasons: []string{c.want}}, r); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if r.ExitFour(false) {
				t.Error("exit 4 without a comparison")
			}
		})
	}
}

// Without scores the decode path alone decides.
func TestDecodePathAlone(t *testing.T) {
	a, b := answers(4, 50, nil), answers(4, 50, nil)
	b.Scored = nil
	if r := Compare(a, b, Rules{}); r.Status != Identical || r.Prefill != nil {
		t.Errorf("%s, prefill %+v", r.Status, r.Prefill)
	}
}

// Through the whole chain: a model whose logits are bent a little is close, one
// whose logits are bent by much differs.
func TestModels(t *testing.T) {
	prompts, opt := mustPrompts(t, 16, 8), Options{MaxTokens: 32, TopK: 5, PromptsPerCall: 8}
	bent := func(by float64) *model {
		return &model{bend: func(length int, logits []float64) {
			for i := range logits {
				logits[i] += by * math.Cos(float64(i*length))
			}
		}}
	}
	for _, c := range []struct {
		name string
		b    *model
		want Status
	}{{"the same", bent(0), Identical}, {"bent a little", bent(1e-4), Close}, {"bent by much", bent(2), Differs}} {
		r, err := Check(context.Background(), &model{}, c.b, prompts, 1, Rules{}, opt)
		if err != nil || r.Status != c.want {
			t.Errorf("%s: %v, %s", c.name, err, r.Line())
		}
	}
}
