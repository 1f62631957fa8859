package capacity

import "stepbench/engine"

// RankWeights are the parameters of one rank of a stage. Matrices are split over
// TP, key and value heads where there are enough of them; norms and biases, less
// than 0.1 % of a model, count as whole in each.
type RankWeights struct {
	Linear int64 // matrices of the stage's layers
	Other  int64 // norms and biases
	// Embedding is the table of tokens, and of positions in GPT-2, Output the
	// output layer where it is a table of its own. Rows are padded and split over TP.
	Embedding, Output int64
}

// Total of the parameters.
func (w RankWeights) Total() int64 { return w.Linear + w.Other + w.Embedding + w.Output }

// Weights of a rank of the given stage. The embedding lies in the first stage, and
// in the last too if it is the output layer; GPT-2 keeps all tables in every
// stage. Sources: vllm/model_executor/models/{llama,gpt2}.py.
func (l Layout) Weights(s *engine.ModelShape, stage int) RankWeights {
	layers := int64(l.StageLayers(s.Layers)[stage])
	tp, hidden, head := int64(l.TP), int64(s.Hidden), int64(s.HeadDim)
	q, kv := int64(s.Heads)*head/tp, int64(l.kvHeads(s))*head
	w := RankWeights{Linear: layers * (hidden*(q+2*kv) + q*hidden + s.MLPMatrices()*hidden*int64(s.Intermediate)/tp)}

	tables := int64(2)
	if s.Tied() {
		tables = 1
	}
	other := s.Parameters - s.LinearParameters() - tables*int64(s.Vocab)*hidden - s.PositionParameters()
	w.Other = other * layers / int64(s.Layers)

	table := int64(paddedVocab(s)) / tp * hidden
	first, last := stage == 0, stage == l.PP-1
	if first || s.LearnedPositions() || last && s.Tied() {
		w.Embedding = table + s.PositionParameters()
	}
	if last && !s.Tied() {
		w.Output = table
	}
	return w
}

// WeightBytes is what the largest rank keeps of the weights, in elements of so
// many bytes.
func (l Layout) WeightBytes(s *engine.ModelShape, element int) int64 {
	var most int64
	for stage := range l.PP {
		most = max(most, l.Weights(s, stage).Total()*int64(element))
	}
	return most
}
