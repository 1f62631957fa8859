package runner

import (
	"context"
	"sync"

	"stepbench/bench/batch"
	"stepbench/engine"
)

// vocabulary remembers the texts of single tokens, of which there are at most
// as many as the model has.
type vocabulary struct {
	mu    sync.RWMutex
	texts map[int32]string
}

// learn asks for the texts of tokens that the results of tasks will show.
func (v *vocabulary) learn(ctx context.Context, texts Texts, tasks []*task) error {
	var unknown []int32
	v.mu.Lock()
	if v.texts == nil {
		v.texts = map[int32]string{}
	}
	asked := map[int32]bool{}
	look := func(l *engine.Logprobs) {
		if l == nil {
			return
		}
		for _, id := range l.Tokens {
			if _, known := v.texts[id]; !known && !asked[id] {
				asked[id] = true
				unknown = append(unknown, id)
			}
		}
	}
	for _, t := range tasks {
		for i := range t.answers {
			look(t.answers[i].Output)
			if t.row.Sampling.PromptLogprobs != nil {
				look(t.answers[i].Prompt)
			}
		}
	}
	v.mu.Unlock()
	if len(unknown) == 0 {
		return nil
	}
	decoded, err := texts.TokenTexts(ctx, unknown)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, id := range unknown {
		v.texts[id] = decoded[i].Text // empty where the token has none
	}
	return nil
}

func (v *vocabulary) logprobs(l *engine.Logprobs) []batch.TokenLogprob {
	v.mu.RLock()
	defer v.mu.RUnlock()
	all := make([]batch.TokenLogprob, l.Len())
	for i := range all {
		token, logprob := l.At(i)
		all[i] = v.of(token, logprob)
		tokens, logprobs := l.TopAt(i)
		for j := range tokens {
			all[i].Top = append(all[i].Top, v.of(tokens[j], logprobs[j]))
		}
	}
	return all
}

func (v *vocabulary) of(token int32, logprob float32) batch.TokenLogprob {
	return batch.TokenLogprob{Token: token, Text: v.texts[token], Logprob: float64(logprob)}
}
