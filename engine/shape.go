package engine

const gpt2 = "GPT2LMHeadModel"

// KVElements is the number of elements that a token has in the KV cache: a key
// and a value of every KV head in every layer.
func (s *ModelShape) KVElements() int64 {
	return 2 * int64(s.Layers) * int64(s.KVHeads) * int64(s.HeadDim)
}

// LinearParameters are those of the matrices in the layers, without the output
// layer: attention projections, and an MLP of two matrices in GPT-2, of three
// in the gated ones.
func (s *ModelShape) LinearParameters() int64 {
	hidden, inner := int64(s.Hidden), int64(s.Intermediate)
	q, kv := int64(s.Heads*s.HeadDim), int64(s.KVHeads*s.HeadDim)
	return int64(s.Layers) * (hidden*(q+2*kv) + q*hidden + s.MLPMatrices()*hidden*inner)
}

// MLPMatrices is how many matrices an MLP has: up and down, and a gate if gated.
func (s *ModelShape) MLPMatrices() int64 {
	if s.LearnedPositions() {
		return 2
	}
	return 3
}

// LearnedPositions says that positions have embeddings of their own, as in GPT-2.
func (s *ModelShape) LearnedPositions() bool { return s.Architecture == gpt2 }

// Tied says that the token embedding is the output layer too, which its parameters
// tell: with two separate tables, what is not in a layer's matrices holds both.
func (s *ModelShape) Tied() bool {
	return s.Parameters-s.LinearParameters() < 2*int64(s.Vocab)*int64(s.Hidden)
}

// PositionParameters are those of learned positions.
func (s *ModelShape) PositionParameters() int64 {
	if !s.LearnedPositions() {
		return 0
	}
	return int64(s.MaxPositions) * int64(s.Hidden)
}

// ReadParameters are the parameters that every step reads whole: all but the
// embeddings that are looked up by row.
func (s *ModelShape) ReadParameters() int64 {
	read := s.Parameters - s.PositionParameters()
	if !s.Tied() {
		read -= int64(s.Vocab) * int64(s.Hidden)
	}
	return read
}

// ElementBytes is the size of an element of dtype; ok is false for those whose
// weights this program cannot size.
func ElementBytes(dtype string) (bytes int, ok bool) {
	switch dtype {
	case "float32":
		return 4, true
	case "bfloat16", "float16":
		return 2, true
	}
	return 0, false
}
