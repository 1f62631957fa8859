package micro

import "strconv"

const (
	// settleSteps are discarded after each change of the batch: they carry the
	// cleanup of what left it.
	settleSteps = 2
	// A decode's context moves by a token a step. It may move within a window
	// of windowShare of the context or windowTokens, whichever is wider, whose
	// midpoint is the cell's context. Near the model's limit or its start the
	// window is narrower, but not below minWindow.
	windowShare  = 0.02
	windowTokens = 32
	minWindow    = 8
	// shortestDecode is the smallest context with a window of minWindow: a
	// prompt of one token and its first output, the settling steps, and the
	// window's half before its midpoint.
	shortestDecode = 1 + 1 + settleSteps + (minWindow-1)/2
)

// window is the number of successive decode steps around the cell's context,
// under a limit of positions (0: none). It is below minWindow if there is not
// enough room.
func (c Cell) window(positions int) int {
	width := 0
	for i, context := range c.decodeContexts() {
		w := max(windowTokens, int(windowShare*float64(context)))
		// The first decode step after settling is at least at 2+settleSteps,
		// and the first of the window is (w-1)/2 before the context.
		w = min(w, 2*(context-2-settleSteps)+2)
		if positions > 0 {
			// A sequence ends when it reaches the limit, so the last step, w/2
			// after the context, stays one below what its output would fill.
			w = min(w, 2*(positions-2-context)+1)
		}
		if i == 0 || w < width {
			width = w
		}
	}
	return width
}

// windowStart is the context of the first step of a window of the given width
// around context: (width-1)/2 before it, rounded down.
func windowStart(context, width int) int { return context - (width-1)/2 }

// decodeContexts are the contexts of the decodes, one for each group.
func (c Cell) decodeContexts() []int {
	var all []int
	for _, g := range c.Batch {
		if g.kind() == decode {
			all = append(all, g.Total)
		}
	}
	return all
}

func (c Cell) decodes() bool { return c.Batch.count(decode) > 0 }

// positions is how long a sequence the cell needs at least: room for one output
// after a prompt, and for the narrowest window around a decode's context.
func (c Cell) positions() int {
	n := 0
	for _, g := range c.Batch {
		switch g.kind() {
		case decode:
			n = max(n, windowStart(g.Total, minWindow)+minWindow-1+2)
		default:
			n = max(n, g.Total+1)
		}
	}
	return n
}

// longest says how far the contexts of c can go under a limit.
func (c Cell) longest(positions int) string {
	room := "--context " + strconv.Itoa(positions-1)
	if c.decodes() {
		room = "--context " + strconv.Itoa(positions-2-minWindow/2)
	}
	return room
}

// kvTokens is what the cell's sequences hold of the KV cache at most, in whole
// blocks.
func (c Cell) kvTokens(positions, block int) int {
	n, width := 0, c.window(positions)
	for _, g := range c.Batch {
		end := g.Total + 1
		if g.kind() == decode {
			end = windowStart(g.Total, width) + width
		}
		n += g.Count * ((end + block - 1) / block * block)
	}
	return n
}
