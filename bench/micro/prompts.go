package micro

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"

	"stepbench/engine"
)

// prompts makes the requests of an engine's life. Every one has fresh random
// token ids: the stream is ChaCha8 seeded with the SHA-256 of the seed and the
// request's id, so that no prompt depends on how many came before it.
type prompts struct {
	seed  uint64
	vocab int
	next  int64 // id

	// Where burst is set, the stream depends on it and on the number of the
	// request within it instead, so that another engine with another past
	// can be given the same prompts.
	burst  string
	number int
}

// begin starts a burst named key.
func (p *prompts) begin(key string) { p.burst, p.number = key, 0 }

// key names the random stream of the next prompt.
func (p *prompts) key(id int64) string {
	if p.burst == "" {
		return fmt.Sprintf("stepbench steps\nseed %d\nrequest %d\n", p.seed, id)
	}
	p.number++
	return fmt.Sprintf("stepbench burst\nseed %d\nburst %s\nrequest %d\n", p.seed, p.burst, p.number)
}

// request has a prompt of n tokens and ends after maxTokens outputs. Decoding
// is greedy and goes past the end-of-sequence token.
func (p *prompts) request(n, maxTokens int) engine.Request {
	id := p.next
	p.next++
	rng := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(p.key(id)))))
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = rng.Int32N(int32(p.vocab))
	}
	return engine.Request{
		ID: id, Prompt: tokens,
		Sampling: engine.Sampling{MaxTokens: maxTokens, IgnoreEOS: true},
	}
}
