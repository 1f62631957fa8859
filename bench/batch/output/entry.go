package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"stepbench/bench/batch"
)

// entry is a line of a journal: a result, or strikes.
type entry struct {
	// Strikes are how often each row, by number, was in flight when a worker
	// died. Absolute numbers: a line read twice changes nothing.
	Strikes map[int64]int `json:"strikes,omitempty"`
	*batch.Result
}

var resultPrefix = []byte(`{"index":`)

// appendLine adds v as a line of JSON to b.
func appendLine(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false) // \u003c is no help to who reads texts
	return e.Encode(v)
}

// parseEntry reads a line.
func parseEntry(line []byte) (entry, error) {
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("it is damaged: %w", err)
	}
	switch {
	case e.Result == nil && len(e.Strikes) > 0:
		return e, nil
	case e.Result == nil || e.Strikes != nil || !bytes.HasPrefix(line, resultPrefix):
		return e, errors.New("it is damaged: neither a result nor strikes")
	case e.Index < 0:
		return e, fmt.Errorf("it is damaged: row %d", e.Index)
	}
	return e, nil
}

// leastLogprob stands for minus infinity, which JSON has not, as in vLLM's
// server.
const leastLogprob = -9999.0

// storable is r without numbers that JSON has not. It shares with r what needs
// no change.
func storable(r *batch.Result) *batch.Result {
	out := *r
	out.PromptLogprobs = finite(r.PromptLogprobs)
	for i := range r.Choices {
		c := &r.Choices[i]
		fixed := finite(c.Logprobs)
		likelihood := atLeast(c.LogLikelihood)
		if likelihood == c.LogLikelihood && (len(fixed) == 0 || &fixed[0] == &c.Logprobs[0]) {
			continue
		}
		if &out.Choices[0] == &r.Choices[0] {
			out.Choices = slices.Clone(r.Choices)
		}
		out.Choices[i].Logprobs, out.Choices[i].LogLikelihood = fixed, likelihood
	}
	for name, v := range r.Scores {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			continue
		}
		out.Scores = maps.Clone(out.Scores)
		if math.IsNaN(v) {
			delete(out.Scores, name) // no value
		} else {
			out.Scores[name] = math.Copysign(math.MaxFloat64, v)
		}
	}
	return &out
}

func atLeast(v float64) float64 {
	switch {
	case math.IsNaN(v) || math.IsInf(v, -1):
		return leastLogprob
	case math.IsInf(v, 1):
		return math.MaxFloat64
	}
	return v
}

// finite is list itself if all its numbers are.
func finite(list []batch.TokenLogprob) []batch.TokenLogprob {
	out := list
	for i := range list {
		t := &list[i]
		top, own := finite(t.Top), atLeast(t.Logprob)
		if own == t.Logprob && (len(top) == 0 || &top[0] == &t.Top[0]) {
			continue
		}
		if &out[0] == &list[0] {
			out = slices.Clone(list)
		}
		out[i].Top, out[i].Logprob = top, own
	}
	return out
}
