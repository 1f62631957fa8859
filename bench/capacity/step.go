package capacity

import "stepbench/engine"

// Shape is a step: Batch sequences whose queries have Query tokens and end at
// Context tokens. Query 1 is a decode, Query = Context a whole prompt.
type Shape struct {
	Batch, Query, Context int
}

// tokens of the step.
func (x Shape) tokens() float64 { return float64(x.Batch) * float64(x.Query) }

// ideal is the least time in seconds that a rank of a stage computes, by the
// roofline: the longer of reading and arithmetic.
//
//	bytes = element · (weights read + batch · context · KV elements a token)
//	FLOP  = 2 · matrices · tokens + 2 · vocabulary · hidden · batch + 4 · layers · heads · head size · attended
//
// A rate that is not known bounds nothing.
func (l Layout) ideal(s *engine.ModelShape, d Device, element, stage int, x Shape) float64 {
	w := l.Weights(s, stage)
	layers := float64(l.StageLayers(s.Layers)[stage])
	read, head := w.Linear+w.Other, w.Output
	if s.Tied() {
		head = w.Embedding - s.PositionParameters()
	}
	if stage != l.PP-1 {
		head = 0
	}
	kv := 2 * layers * float64(l.kvHeads(s)) * float64(s.HeadDim)
	bytes := float64(element) * (float64(read+head) + float64(x.Batch)*float64(x.Context)*kv)
	q, total := float64(x.Query), float64(x.Context)
	attended := float64(x.Batch) * (q*total - q*(q-1)/2)
	flop := 2*float64(w.Linear)*x.tokens() + 2*float64(head)*float64(x.Batch) +
		4*layers*float64(s.Heads/l.TP)*float64(s.HeadDim)*attended

	var seconds float64
	if d.BytesPerS > 0 {
		seconds = bytes / d.BytesPerS
	}
	if d.FLOPPerS > 0 {
		seconds = max(seconds, flop/d.FLOPPerS)
	}
	return seconds
}

// communication is the time in seconds that a stage's rank moves data over the
// link, and how often it starts to. Two all-reduces a layer, after attention and
// after the MLP (Shoeybi et al. 2019, "Megatron-LM", arXiv:1909.08053), and one of
// the embedding, each by the ring's
//
//	2 · (n−1)/n · bytes / bandwidth
//
// (Patarasuk and Yuan 2009, doi:10.1016/j.jpdc.2008.09.002); the logits gathered in
// the last stage; between stages hidden state and residual.
func (l Layout) communication(s *engine.ModelShape, link Link, element, stage int, x Shape) (seconds, starts float64) {
	n := float64(l.TP)
	hidden := x.tokens() * float64(s.Hidden) * float64(element)
	layers := float64(l.StageLayers(s.Layers)[stage])
	var bytes float64
	if l.TP > 1 {
		reduces := 2 * layers
		if stage == 0 {
			reduces++
		}
		bytes += reduces * 2 * (n - 1) / n * hidden
		starts += reduces
		if stage == l.PP-1 {
			bytes += (n - 1) / n * float64(x.Batch) * float64(paddedVocab(s)) * float64(element)
			starts++
		}
	}
	if stage < l.PP-1 {
		bytes += 2 * hidden
		starts++
	}
	if bytes == 0 { // and perhaps no link
		return 0, 0
	}
	return bytes / link.BytesPerS, starts
}
