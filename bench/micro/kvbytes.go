package micro

import "stepbench/engine"

// kvBlockTokens is more than the block of any backend rounds a sequence up by.
const kvBlockTokens = 128

// KVBytes is the KV cache in which cells of the given needs surely fit: their
// tokens, and a block more for each sequence, in elements of 2 bytes.
func KVBytes(s *engine.ModelShape, needs Limits) int64 {
	return 2 * s.KVElements() * int64(needs.KVTokens+(needs.Seqs+1)*kvBlockTokens)
}
