package micro

import "stepbench/engine"

// burst is a number of successive measured steps, profiled or not.
type burst struct {
	steps   int
	profile bool
}

// timing is a program with at least n measured steps of c, in as many episodes
// as its window asks for.
func (w *writer) timing(c Cell, n int) program {
	b := w.builder()
	room := w.room(c)
	for b.measured < n {
		w.episode(b, c, []burst{{steps: min(n-b.measured, room)}})
	}
	return b.program
}

// attribution is a program of count profiled bursts of at least n steps of c,
// or as many as fit its window. Bursts of one episode share the window. Number 1
// is the burst that is not counted, left out unless discard is set.
func (w *writer) attribution(c Cell, discard bool, count, n int) program {
	b := w.builder()
	if !discard {
		b.bursts = 1
	}
	room := w.room(c)
	n = min(n, room)
	for b.bursts < 1+count {
		list := make([]burst, min(1+count-b.bursts, room/n))
		for i := range list {
			list[i] = burst{steps: n, profile: true}
		}
		w.episode(b, c, list)
	}
	return b.program
}

// warmUp is a program with n steps of a decode cell right after the whole
// prompts, in one step, of the prefill cell of the same batch and context: it
// runs both shapes for the price of one.
func (w *writer) warmUp(c Cell, n int) program {
	b := w.builder()
	g := c.Batch[0]
	b.submit(repeat(g.Total, g.Count), n+2)
	b.run(RoleSetup, 1, engine.Op{})
	b.run(RoleMeasure, n, engine.Op{Abort: true})
	b.run(RoleCleanup, 1, engine.Op{})
	return b.program
}

// writer writes the programs of cells for one engine.
type writer struct {
	limits  Limits
	prompts *prompts
}

func (w *writer) builder() *builder {
	return &builder{scheduler: w.scheduler(), prompts: w.prompts}
}

func (w *writer) scheduler() scheduler {
	return scheduler{maxTokens: w.limits.Tokens, maxSeqs: w.limits.Seqs, positions: w.limits.Positions}
}

// room is the most measured steps of one episode.
func (w *writer) room(c Cell) int {
	switch c.Phase() {
	case Decode:
		return c.window(w.limits.Positions)
	case Mixed:
		return max(1, c.window(w.limits.Positions)/w.stride(c))
	}
	return 1 << 20 // each is an episode of its own
}

// stride is how many tokens the decodes of a mixed cell advance from one
// measured step to the next.
func (w *writer) stride(c Cell) int { return w.lead(c) + 1 + settleSteps }

// lead is the number of steps that bring the prompt to be continued, if there
// is one, to its query.
func (w *writer) lead(c Cell) int {
	for _, g := range c.Batch {
		if g.kind() == extend {
			chunk := w.limits.Tokens - c.Batch.count(decode)
			return (g.Total - g.Query + chunk - 1) / chunk
		}
	}
	return 0
}

// episode adds bursts of measured steps of c, around the midpoint of its
// window.
func (w *writer) episode(b *builder, c Cell, bursts []burst) {
	total := 0
	for _, u := range bursts {
		total += u.steps
	}
	switch c.Phase() {
	case Decode:
		w.streams(b, c, total, 0)
	case Mixed:
		w.streams(b, c, 1+(total-1)*w.stride(c), w.lead(c))
	}
	for i, u := range bursts {
		if u.profile {
			b.bursts++
		}
		if c.Phase() == Decode {
			b.run(RoleMeasure, u.steps, engine.Op{Profile: u.profile, Abort: i == len(bursts)-1})
			continue
		}
		for enough := b.measured + u.steps; b.measured < enough; {
			w.prompt(b, c, u.profile)
		}
	}
	if c.Phase() == Mixed {
		b.script.Ops[len(b.script.Ops)-1].Abort = true
		b.clear()
	}
	if c.decodes() {
		b.run(RoleCleanup, 1, engine.Op{})
	}
}

// streams starts the decodes of c, such that width steps, the first of them
// after lead others, lie around each decode's context.
func (w *writer) streams(b *builder, c Cell, width, lead int) {
	var starts []int
	for _, g := range c.Batch {
		if g.kind() == decode {
			starts = append(starts, repeat(windowStart(g.Total, width)-lead, g.Count)...)
		}
	}
	lengths, steps := w.align(starts)
	b.submit(lengths, steps+settleSteps+width+w.stride(c)+1)
	b.run(RoleSetup, steps, engine.Op{})
	b.run(RoleSettle, settleSteps, engine.Op{})
}

// align chooses prompt lengths such that after the steps that compute all
// prompts, and settling, each sequence has its start as context. Prompts that
// are complete earlier decode meanwhile, so they must be shorter; that in turn
// moves the chunks of the others, so the lengths are found by repetition. It
// may end a token off, which the results show as the contexts they were at.
func (w *writer) align(starts []int) (lengths []int, steps int) {
	lengths = make([]int, len(starts))
	early := make([]int, len(starts)) // steps between the first output and the last prompt's
	for range 16 {
		for i, start := range starts {
			lengths[i] = max(1, start-settleSteps-1-early[i])
		}
		s := w.scheduler()
		all := make([]*sequence, len(lengths))
		for i, n := range lengths {
			all[i] = &sequence{prompt: n, maxOutputs: 1 << 30}
		}
		s.waiting = append(s.waiting, all...)
		for steps = 0; s.prefilling(); {
			steps++
			s.step(0, steps)
		}
		stable := true
		for i, q := range all {
			stable = stable && early[i] == steps-q.firstStep
			early[i] = steps - q.firstStep
		}
		if stable {
			break
		}
	}
	return lengths, steps
}

// prompt adds one measured step with the prompts of c, beside what is running.
func (w *writer) prompt(b *builder, c Cell, profile bool) {
	if c.Chunk > 0 {
		w.chunks(b, c, profile)
		return
	}
	// A prompt's second output ends it in the step after the measured one.
	const outputs = 2
	decodes := len(b.running)
	for _, g := range c.Batch {
		if g.kind() == extend {
			b.submit([]int{g.Total}, outputs)
			for rest := g.Total - g.Query; rest > 0; {
				n := min(rest, w.limits.Tokens-decodes)
				b.run(RoleSetup, 1, engine.Op{Limits: engine.Limits{Tokens: decodes + n}})
				rest -= n
			}
		}
	}
	for _, g := range c.Batch {
		if g.kind() == prefill {
			b.submit(repeat(g.Total, g.Count), outputs)
		}
	}
	alone := decodes == 0
	b.run(RoleMeasure, 1, engine.Op{Profile: profile, Abort: alone})
	if alone {
		b.run(RoleCleanup, 1, engine.Op{})
		return
	}
	b.run(RoleSettle, settleSteps, engine.Op{})
}

// chunks adds the steps of one pass over the prompts of c. A prompt ends with
// its first output, since it would decode beside the chunks of the next.
func (w *writer) chunks(b *builder, c Cell, profile bool) {
	for _, g := range c.Batch {
		b.submit(repeat(g.Total, g.Count), 1)
	}
	limits := engine.Limits{Tokens: c.Chunk}
	tokens := c.Batch.queryTokens()
	b.run(RoleMeasure, tokens/c.Chunk, engine.Op{Limits: limits, Profile: profile})
	if tokens%c.Chunk > 0 {
		b.run(RoleSetup, 1, engine.Op{Limits: limits})
	}
	b.run(RoleCleanup, 1, engine.Op{})
}

func repeat(n, times int) []int {
	list := make([]int, times)
	for i := range list {
		list[i] = n
	}
	return list
}
