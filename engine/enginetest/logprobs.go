package enginetest

import (
	"encoding/binary"
	"math"
)

// Logprob is the logprob of a token, wherever it stands.
func Logprob(token int32) float32 { return -float32(token%16+1) / 8 }

// finalOnly is engine.Sampling's rule.
func (q *sequence) finalOnly() bool {
	return q.Sampling.FinalOnly || q.Sampling.Logprobs != nil || q.Sampling.PromptLogprobs != nil
}

// logprobs are packed as the adapter packs them.
type logprobs struct {
	Output *packed `json:"output"`
	Prompt *packed `json:"prompt"`
}

type packed struct {
	Top    int    `json:"top"`
	Tokens []byte `json:"tokens"`
	Values []byte `json:"values"`
}

func (f *Fake) keepLogprobs(q *sequence) {
	var l logprobs
	if q.Sampling.Logprobs != nil {
		output := make([]int32, q.outputs)
		for k := range output {
			output[k] = Token(q.Prompt, k)
		}
		l.Output = pack(output, *q.Sampling.Logprobs)
	}
	if q.Sampling.PromptLogprobs != nil {
		l.Prompt = pack(q.Prompt[1:], *q.Sampling.PromptLogprobs)
	}
	if l == (logprobs{}) {
		return
	}
	if f.logprobs == nil {
		f.logprobs = map[int64]logprobs{}
	}
	f.logprobs[q.ID] = l
}

// pack lists each text's token and the likeliest ones, which are 0, 1, ….
func pack(text []int32, top int) *packed {
	p := &packed{Top: top}
	add := func(token int32) {
		p.Tokens = binary.LittleEndian.AppendUint32(p.Tokens, uint32(token))
		p.Values = binary.LittleEndian.AppendUint32(p.Values, math.Float32bits(Logprob(token)))
	}
	for _, token := range text {
		add(token)
		for likely := range int32(top) {
			add(likely)
		}
	}
	return p
}

func (f *Fake) takeLogprobs(ids []int64) map[int64]logprobs {
	taken := map[int64]logprobs{}
	for _, id := range ids {
		if l, ok := f.logprobs[id]; ok {
			taken[id] = l
			delete(f.logprobs, id)
		}
	}
	return taken
}
