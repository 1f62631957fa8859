package numerics

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// Outputs is what one arm answered to a list of prompts in one way.
type Outputs struct {
	Kind      Kind       `json:"kind"`      // of the values in Sequences
	Sequences []Sequence `json:"sequences"` // one a prompt, in order
	Steps     []Step     `json:"steps"`     // the batches it took
}

// Kind says what the values of an answer are.
type Kind string

const (
	Logprobs Kind = "logprobs"
	Logits   Kind = "logits"
)

// Sequence is one continuation of n tokens, with the k most likely tokens at each
// of its positions.
type Sequence struct {
	Tokens      []int32 `json:"tokens"`       // n
	Logprobs    Values  `json:"logprobs"`     // of Tokens
	Top         []int32 `json:"top"`          // n×k, most likely first
	TopLogprobs Values  `json:"top_logprobs"` // of Top
}

// Step is what a batch consisted of: requests and tokens of context, requests
// and tokens of generation, and how many requests were preempted.
type Step [5]int32

// Values are floats whose every bit counts. In JSON, which has no NaN, they are
// little-endian float64 in base64.
type Values []float64

// MarshalJSON implements [json.Marshaler].
func (v Values) MarshalJSON() ([]byte, error) {
	data := make([]byte, 0, 8*len(v))
	for _, x := range v {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(x))
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(data))
}

// UnmarshalJSON implements [json.Unmarshaler].
func (v *Values) UnmarshalJSON(text []byte) error {
	var data []byte // decoded from base64 by encoding/json
	if err := json.Unmarshal(text, &data); err != nil {
		return err
	}
	if len(data)%8 != 0 {
		return fmt.Errorf("%d bytes are no list of float64", len(data))
	}
	*v = make(Values, len(data)/8)
	for i := range *v {
		(*v)[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return nil
}

// position is what an arm said at one position of a continuation.
type position struct {
	token       int32
	logprob     float64
	top         []int32
	topLogprobs []float64
}

func (s *Sequence) at(i int) position {
	k := len(s.Top) / len(s.Tokens)
	return position{s.Tokens[i], s.Logprobs[i], s.Top[i*k : (i+1)*k], s.TopLogprobs[i*k : (i+1)*k]}
}

// logprobOf is what p gives for token. A token that is neither p's own nor among
// its most likely ones is at most as likely as the last of those, whose logprob
// stands in for it; listed is then false.
func (p position) logprobOf(token int32) (logprob float64, listed bool) {
	if token == p.token {
		return p.logprob, true
	}
	for i, t := range p.top {
		if t == token {
			return p.topLogprobs[i], true
		}
	}
	return p.topLogprobs[len(p.top)-1], false
}

// finite says that no logprob of p is NaN or infinite.
func (p position) finite() bool {
	odd := func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }
	return !odd(p.logprob) && !slices.ContainsFunc(p.topLogprobs, odd)
}

// sameBits compares everything.
func (p position) sameBits(q position) bool {
	if p.token != q.token || math.Float64bits(p.logprob) != math.Float64bits(q.logprob) || len(p.top) != len(q.top) {
		return false
	}
	for i := range p.top {
		if p.top[i] != q.top[i] || math.Float64bits(p.topLogprobs[i]) != math.Float64bits(q.topLogprobs[i]) {
			return false
		}
	}
	return true
}
