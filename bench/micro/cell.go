package micro

import (
	"fmt"
	"strconv"
)

// Phase is the kind of work of a step.
type Phase string

const (
	// Prefill steps compute prompts only, whole, in chunks or their end.
	Prefill Phase = "prefill"
	// Decode steps compute one token of each request.
	Decode Phase = "decode"
	// Mixed steps do both.
	Mixed Phase = "mixed"
)

// Phases are all phases.
func Phases() []Phase { return []Phase{Prefill, Decode, Mixed} }

// Cell is a shape of step to measure. Cells made by [Grid] are canonical, so
// that equal cells have equal names.
type Cell struct {
	Batch Batch
	// Chunk > 0 computes the prompts of Batch in steps of that many tokens, at
	// growing context. Each full step is one of the cell's, a shorter rest is
	// not.
	Chunk int

	fromAxes bool // rather than from a batch the user wrote down
}

// Name is the batch in its grammar, followed by "-cCHUNK" if there is one.
func (c Cell) Name() string {
	if c.Chunk > 0 {
		return c.Batch.String() + "-c" + strconv.Itoa(c.Chunk)
	}
	return c.Batch.String()
}

// Phase of the cell's steps.
func (c Cell) Phase() Phase {
	switch decodes := c.Batch.count(decode); {
	case decodes == 0:
		return Prefill
	case decodes == c.requests():
		return Decode
	}
	return Mixed
}

func (c Cell) requests() int {
	return c.Batch.count(prefill) + c.Batch.count(extend) + c.Batch.count(decode)
}

// Axes are the values by which a table places the cell.
type Axes struct {
	Phase Phase
	// Batch is the number of requests; of a mixed cell, that of its decodes.
	Batch int
	// Context is the largest number of tokens of a sequence after the step;
	// of a mixed cell, that of a decode.
	Context int
	// Chunk is the prompt tokens of each step: those of a chunked prefill, and
	// all of a mixed cell. 0 for decodes and whole prefills.
	Chunk int
	// Exact says that the values describe the cell completely.
	Exact bool
}

// Axes places the cell.
func (c Cell) Axes() Axes {
	a := Axes{Phase: c.Phase(), Batch: c.requests(), Chunk: c.Chunk}
	groups := c.Batch
	if a.Phase == Mixed {
		a.Batch, groups = c.Batch.count(decode), nil
		for _, g := range c.Batch {
			if g.kind() == decode {
				groups = append(groups, g)
			} else {
				a.Chunk += g.Count * g.Query
			}
		}
	}
	for _, g := range groups {
		a.Context = max(a.Context, g.Total)
	}
	for _, same := range fromAxes(a.Phase, a.Batch, a.Context, a.Chunk) {
		a.Exact = same.Name() == c.Name()
	}
	return a
}

// Grid spans cells: the product of its axes, and batches given one by one.
type Grid struct {
	Phases   []Phase
	Batches  []int
	Contexts []int
	// Chunks apply to prefill and mixed cells. None means whole prompts.
	Chunks  []int
	Singles []Batch
}

// Cells lists the grid's cells, each once, in the order of the axes: phase,
// batch, context, chunk; then the single batches.
//
// A prefill cell is batch prompts of context tokens. A decode cell is batch
// requests whose token brings each to context. A mixed cell is the same beside
// one prompt of chunk tokens, of context tokens without chunks. Chunks of
// single batches apply to pure prefills.
func (g Grid) Cells() ([]Cell, error) {
	chunks := g.Chunks
	if len(chunks) == 0 {
		chunks = []int{0}
	}
	var cells []Cell
	seen := map[string]bool{}
	add := func(list []Cell) {
		for _, c := range list {
			if !seen[c.Name()] {
				seen[c.Name()] = true
				cells = append(cells, c)
			}
		}
	}
	for _, phase := range g.Phases {
		for _, batch := range g.Batches {
			for _, context := range g.Contexts {
				if context < 2 && phase != Prefill {
					return nil, fmt.Errorf("--context %d: a %s step needs a token before its own", context, phase)
				}
				for _, chunk := range chunks {
					add(fromAxes(phase, batch, context, chunk))
				}
			}
		}
	}
	for _, b := range g.Singles {
		for _, chunk := range chunks {
			c := Cell{Batch: b.canonical()}
			if c.Phase() == Prefill {
				c.Chunk = chunk
			}
			add([]Cell{c})
		}
	}
	return cells, nil
}

// fromAxes is the cell at the given values, none if the phase is unknown.
func fromAxes(phase Phase, batch, context, chunk int) []Cell {
	c := Cell{fromAxes: true}
	switch phase {
	case Prefill:
		c.Batch, c.Chunk = Batch{{batch, context, context}}, chunk
	case Decode:
		c.Batch = Batch{{batch, 1, context}}
	case Mixed:
		prompt := chunk
		if prompt == 0 {
			prompt = context
		}
		c.Batch = Batch{{1, prompt, prompt}, {batch, 1, context}}
	default:
		return nil
	}
	return []Cell{c}
}
