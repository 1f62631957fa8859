package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// methodTakeLogprobs answers the logprobs of requests that ended, once.
const methodTakeLogprobs = "take_logprobs"

// Logprobs are natural logarithms of probabilities at consecutive places of a
// text, flat: a million prompts scored are too many for an object each token.
// Each place lists 1+Top tokens: the text's own, then the likeliest, in falling
// order, among which its own may stand again.
type Logprobs struct {
	Top    int
	Tokens []int32
	Values []float32 // as vLLM computes them
}

// Len is the number of places.
func (l *Logprobs) Len() int { return len(l.Tokens) / (1 + l.Top) }

// At gives the text's own token at place i and its logprob.
func (l *Logprobs) At(i int) (token int32, logprob float32) {
	i *= 1 + l.Top
	return l.Tokens[i], l.Values[i]
}

// TopAt gives the likeliest tokens at place i and their logprobs.
func (l *Logprobs) TopAt(i int) (tokens []int32, logprobs []float32) {
	from, to := i*(1+l.Top)+1, (i+1)*(1+l.Top)
	return l.Tokens[from:to], l.Values[from:to]
}

// Sum adds the logprobs of the text's own tokens at places from to to-1: their
// log-likelihood.
func (l *Logprobs) Sum(from, to int) float64 {
	sum := 0.0
	for i := from; i < to; i++ {
		sum += float64(l.Values[i*(1+l.Top)])
	}
	return sum
}

// RequestLogprobs are those that a request asked for.
type RequestLogprobs struct {
	Output *Logprobs
	// Prompt begins with the prompt's second token: nothing comes before the first.
	Prompt *Logprobs
}

// wireLogprobs are packed little-endian: JSON has no minus infinity.
type wireLogprobs struct {
	Top    int    `json:"top"`
	Tokens []byte `json:"tokens"` // int32
	Values []byte `json:"values"` // float32
}

func (w *wireLogprobs) read() (*Logprobs, error) {
	if w == nil {
		return nil, nil
	}
	if w.Top < 0 || len(w.Tokens) != len(w.Values) || len(w.Tokens)%(4*(1+w.Top)) != 0 {
		return nil, fmt.Errorf("%d bytes of tokens, %d of values, %d likeliest a place", len(w.Tokens), len(w.Values), w.Top)
	}
	n := len(w.Tokens) / 4
	l := &Logprobs{Top: w.Top, Tokens: make([]int32, n), Values: make([]float32, n)}
	for i := range n {
		l.Tokens[i] = int32(binary.LittleEndian.Uint32(w.Tokens[4*i:]))
		l.Values[i] = math.Float32frombits(binary.LittleEndian.Uint32(w.Values[4*i:]))
	}
	return l, nil
}

// takeLogprobs fetches what the requests that ended in this step asked for.
func (r *run) takeLogprobs() error {
	var reply map[int64]struct {
		Output *wireLogprobs `json:"output"`
		Prompt *wireLogprobs `json:"prompt"`
	}
	if err := r.stepper.Call(methodTakeLogprobs, r.ended, &reply); err != nil {
		return err
	}
	if r.batch.Logprobs == nil {
		r.batch.Logprobs = make(map[int64]RequestLogprobs, len(r.ended))
	}
	for _, id := range r.ended {
		output, err1 := reply[id].Output.read()
		prompt, err2 := reply[id].Prompt.read()
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("logprobs of request %d: %w", id, err)
		}
		r.batch.Logprobs[id] = RequestLogprobs{output, prompt}
	}
	r.ended = r.ended[:0]
	return nil
}
