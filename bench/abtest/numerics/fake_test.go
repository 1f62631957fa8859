package numerics

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// model is an arm of arithmetic behind the adapter's interface. Its logits depend
// on the last token and the length of the text; bend changes them.
type model struct {
	bend  func(length int, logits []float64)
	calls []request
	fail  error
	spoil func(*Outputs)
}

const modelVocab = 40

func (m *model) Call(ctx context.Context, method string, args, reply any) error {
	if method != "numerics" {
		return fmt.Errorf("no control method %q", method)
	}
	if err := errors.Join(ctx.Err(), m.fail); err != nil {
		return err
	}
	var r request
	if err := copyJSON(args, &r); err != nil {
		return err
	}
	m.calls = append(m.calls, r)
	out := Outputs{Kind: Logprobs}
	for i, prompt := range r.Prompts {
		text := slices.Clone(prompt)
		var s Sequence
		given := r.Continuations != nil
		n := r.MaxTokens
		if given {
			n = len(r.Continuations[i])
		}
		for j := range n {
			order, logprobs := m.next(text)
			token := order[0]
			if given {
				token = r.Continuations[i][j]
			}
			s.Tokens, s.Logprobs = append(s.Tokens, token), append(s.Logprobs, logprobs[token])
			for _, t := range order[:r.TopK] {
				s.Top, s.TopLogprobs = append(s.Top, t), append(s.TopLogprobs, logprobs[t])
			}
			text = append(text, token)
		}
		out.Sequences = append(out.Sequences, s)
		out.Steps = append(out.Steps, Step{1, int32(len(prompt))})
	}
	if m.spoil != nil {
		m.spoil(&out)
	}
	return copyJSON(out, reply)
}

// next gives the vocabulary by falling likelihood, and the logprobs by token.
func (m *model) next(text []int32) (order []int32, logprobs []float64) {
	logits := make([]float64, modelVocab)
	for t := range logits {
		logits[t] = 5 * math.Sin(float64(t)*1.7+float64(text[len(text)-1])*0.9+float64(len(text))*0.31)
		order = append(order, int32(t))
	}
	if m.bend != nil {
		m.bend(len(text), logits)
	}
	sum := logSum(logits)
	for t := range logits {
		logits[t] -= sum
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(logits[b], logits[a]) })
	return order, logits
}

func copyJSON(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}
