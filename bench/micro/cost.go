package micro

import "stepbench/engine"

// cost is the arithmetic of a step that does not depend on the model's width.
type cost struct {
	tokens   int64 // query tokens
	rows     int64 // that the output layer computes: one for each request with an output
	attended int64 // sum over query tokens of the tokens each attends to, itself included
	cached   int64 // sum over requests of their tokens after the step: keys and values read
}

// add counts query tokens of q, which has computed them already.
func (c *cost) add(q *sequence, query int) {
	n, total := int64(query), int64(q.computed)
	c.tokens += n
	if q.computed == q.tokens() {
		c.rows++
	}
	c.attended += n*total - n*(n-1)/2 // total, total-1, …, total-n+1
	c.cached += total
}

func (c *cost) plus(d cost) {
	c.tokens += d.tokens
	c.rows += d.rows
	c.attended += d.attended
	c.cached += d.cached
}

// flop is the floating-point operations of a step: 2 for each multiply-add.
//
//	2·P·tokens + 2·V·H·rows + 4·L·heads·headDim·attended
//
// P are the parameters of the layers' matrices, V·H those of the output layer;
// attention multiplies each query with every key it attends to, and the weights
// with every value.
func (c cost) flop(s *engine.ModelShape) float64 {
	head := int64(s.Vocab) * int64(s.Hidden)
	attention := int64(s.Layers) * int64(s.Heads) * int64(s.HeadDim)
	return 2*float64(s.LinearParameters())*float64(c.tokens) +
		2*float64(head)*float64(c.rows) +
		4*float64(attention)*float64(c.attended)
}

// weightBytes and kvBytes add up to the least that a step reads: the weights
// once, and the keys and values of every sequence once. Elements have the same
// size in both.
func weightBytes(s *engine.ModelShape, element int) float64 {
	return float64(element) * float64(s.ReadParameters())
}

func (c cost) kvBytes(s *engine.ModelShape, element int) float64 {
	return float64(element) * float64(c.cached) * float64(s.KVElements())
}
