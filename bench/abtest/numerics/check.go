package numerics

import (
	"context"
	"fmt"
)

// Answers are all that one arm was asked for. Scored is nil where the prefill
// path was not asked.
type Answers struct {
	Generated *Outputs `json:"generated"`
	Scored    *Outputs `json:"scored,omitempty"`
}

// Continuations are the generated tokens.
func (a Answers) Continuations() [][]int32 {
	all := make([][]int32, len(a.Generated.Sequences))
	for i := range all {
		all[i] = a.Generated.Sequences[i].Tokens
	}
	return all
}

// Ask lets an arm generate, and then score continuations: its own where those are
// nil, which is for the baseline.
func Ask(ctx context.Context, c Caller, prompts, continuations [][]int32, opt Options) (Answers, error) {
	var answers Answers
	var err error
	if answers.Generated, err = Generate(ctx, c, prompts, opt); err != nil {
		return answers, err
	}
	if continuations == nil {
		continuations = answers.Continuations()
	}
	answers.Scored, err = Score(ctx, c, prompts, continuations, opt)
	return answers, err
}

// Check asks both arms and compares. A is asked repeats times more for the floor
// against which B is judged, unless rules already has one. With an error the
// report is [NotChecked].
func Check(ctx context.Context, a, b Caller, prompts [][]int32, repeats int, rules Rules, opt Options) (Report, error) {
	fail := func(arm string, err error) (Report, error) {
		err = fmt.Errorf("outputs of arm %s: %w", arm, err)
		return Unchecked(err.Error()), err
	}
	first, err := Ask(ctx, a, prompts, nil, opt)
	if err != nil {
		return fail("A", err)
	}
	changed, err := Ask(ctx, b, prompts, first.Continuations(), opt)
	if err != nil {
		return fail("B", err)
	}
	if rules.Floors.Pairs == 0 && repeats > 0 {
		all := []Answers{first}
		for range repeats {
			again, err := Ask(ctx, a, prompts, first.Continuations(), opt)
			if err != nil {
				return fail("A", err)
			}
			all = append(all, again)
		}
		if rules.Floors, err = Floor(all...); err != nil {
			return fail("A", err)
		}
	}
	return Compare(first, changed, rules), nil
}
