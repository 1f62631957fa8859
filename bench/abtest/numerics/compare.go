package numerics

import (
	"fmt"
	"math"
	"slices"
)

// Compare judges B's answers by A's. It needs answers to the same prompts under
// the same options; where they cannot be compared the report says why.
func Compare(a, b Answers, rules Rules) Report {
	if why := incomparable(a, b); why != "" {
		return Unchecked(why)
	}
	r := Report{
		Kind: a.Generated.Kind, Prompts: len(a.Generated.Sequences), RandomWeights: rules.RandomWeights,
		Floors: rules.Floors, Limits: rules.Floors.Limits(),
	}
	equalInput := r.diverge(a.Generated, b.Generated)
	r.Decode = agree(a.Generated, b.Generated, equalInput)
	if a.Scored != nil && b.Scored != nil {
		r.Prefill = agree(a.Scored, b.Scored, lengths(a.Scored))
	}
	r.Broken = broken(a, b)
	r.Reasons = append(slices.Clone(r.Broken), r.Limits.exceeded("decode path", r.Kind, r.Decode)...)
	r.Reasons = append(r.Reasons, r.Limits.exceeded("prefill path", r.Kind, r.Prefill)...)
	switch {
	case len(r.Broken) > 0:
		r.Status = Differs
	case r.Decode.BitEqual && (r.Prefill == nil || r.Prefill.BitEqual):
		r.Status = Identical
	case len(r.Reasons) == 0:
		r.Status = Close
	default:
		r.Status = Differs
	}
	r.Weak = rules.RandomWeights && r.Status != Identical && len(r.Broken) == 0
	return r
}

// incomparable says why two answers cannot be compared, or nothing.
func incomparable(a, b Answers) string {
	for i, answers := range []Answers{a, b} {
		if answers.Generated == nil || len(answers.Generated.Sequences) == 0 {
			return fmt.Sprintf("arm %c answered nothing", 'A'+i)
		}
	}
	if a.Generated.Kind != b.Generated.Kind {
		return fmt.Sprintf("arm A answered %s, arm B %s", a.Generated.Kind, b.Generated.Kind)
	}
	if !slices.Equal(lengths(a.Generated), lengths(b.Generated)) {
		return "the arms generated other numbers of tokens"
	}
	if !slices.Equal(a.Generated.Steps, b.Generated.Steps) {
		return "the arms generated in other batches"
	}
	if a.Scored == nil || b.Scored == nil {
		return ""
	}
	if !slices.Equal(a.Scored.Steps, b.Scored.Steps) {
		return "the arms scored in other batches"
	}
	same := func(x, y Sequence) bool { return slices.Equal(x.Tokens, y.Tokens) }
	if !slices.EqualFunc(a.Scored.Sequences, b.Scored.Sequences, same) {
		return "the arms scored other continuations"
	}
	return ""
}

func lengths(o *Outputs) []int {
	all := make([]int, len(o.Sequences))
	for i := range all {
		all[i] = len(o.Sequences[i].Tokens)
	}
	return all
}

// diverge finds the first token that differs in each sequence. It returns how many
// positions of each had the same input in both arms: those up to that token.
func (r *Report) diverge(a, b *Outputs) (equalInput []int) {
	equalInput = lengths(a)
	for i := range a.Sequences {
		x, y := &a.Sequences[i], &b.Sequences[i]
		r.Tokens += len(x.Tokens)
		at := -1
		for j, token := range x.Tokens {
			if token != y.Tokens[j] {
				at = j
				break
			}
		}
		r.DivergesAt = append(r.DivergesAt, at)
		if at < 0 {
			r.EqualPrompts++
			continue
		}
		equalInput[i] = at + 1
		if r.First == nil || at < r.First.Position {
			r.First = &Divergence{
				Place: Place{i, at}, TokenA: x.Tokens[at], TokenB: y.Tokens[at],
				LogprobA: Number(x.Logprobs[at]), LogprobB: Number(y.Logprobs[at]),
			}
		}
	}
	return equalInput
}

// broken names what no sound kernel does, whatever the weights.
func broken(a, b Answers) []string {
	var all []string
	for i, answers := range []Answers{a, b} {
		if n := notFinite(answers.Generated) + notFinite(answers.Scored); n > 0 {
			all = append(all, fmt.Sprintf("arm %c has NaN or Inf among its %s (positions: %d)", 'A'+i, answers.Generated.Kind, n))
		}
	}
	// A model may answer everything alike by itself, random weights above all:
	// only what the other arm does not do counts.
	varyA, varyB := variety(a.Generated), variety(b.Generated)
	all = append(all, varyB.lost("B", varyA)...)
	return append(all, varyA.lost("A", varyB)...)
}

func notFinite(o *Outputs) (n int) {
	if o == nil {
		return 0
	}
	for i := range o.Sequences {
		for j := range o.Sequences[i].Tokens {
			if !o.Sequences[i].at(j).finite() {
				n++
			}
		}
	}
	return n
}

// variation is how much an arm's output changes from token to token. Nil where
// there is too little of it to say.
type variation struct {
	tokens bool    // not all of them are the same
	spread float64 // of the logprobs, largest less smallest
}

// constantTokens is how many tokens it takes to call an output constant; they must
// be of at least two prompts.
const constantTokens = 8

func variety(o *Outputs) *variation {
	first, n := o.Sequences[0].Tokens[0], 0
	v := &variation{}
	least, most := math.Inf(1), math.Inf(-1)
	for i := range o.Sequences {
		for j, token := range o.Sequences[i].Tokens {
			v.tokens = v.tokens || token != first
			least, most = min(least, o.Sequences[i].Logprobs[j]), max(most, o.Sequences[i].Logprobs[j])
			n++
		}
	}
	if n < constantTokens || len(o.Sequences) < 2 {
		return nil
	}
	v.spread = most - least
	return v
}

// lost names what is constant in an arm and varies in the other. A spread within
// the mean difference that counts as close, as random weights have it, is no
// variety to lose.
func (v *variation) lost(arm string, other *variation) (all []string) {
	if v == nil || other == nil {
		return nil
	}
	if !v.tokens && other.tokens {
		all = append(all, "arm "+arm+" answers every prompt with one and the same token")
	}
	if v.spread == 0 && other.spread > baseLimits.MeanAbs {
		all = append(all, "arm "+arm+" finds every token equally likely")
	}
	return all
}
