package micro

// scheduler predicts vLLM's scheduler (vllm/v1/core/sched/scheduler.py,
// schedule): running requests first, in order, then waiting ones, within a
// budget of tokens and one of running requests; prompts are computed in chunks
// where the budget ends. It knows no shortage of KV cache: cells are refused
// before they could cause one, and a preemption is a mismatch.
type scheduler struct {
	maxTokens, maxSeqs int
	positions          int // a sequence ends when it is this long; 0: never

	running, waiting []*sequence
}

// sequence is a request in the scheduler, sizes in tokens.
type sequence struct {
	prompt, computed, outputs int
	maxOutputs                int
	firstStep                 int // that returned its first output, from 1
}

func (q *sequence) tokens() int { return q.prompt + q.outputs }

// step advances the sequences by one step of at most limit tokens (0: the
// engine's own limit) and says what it consists of.
func (s *scheduler) step(limit, index int) planned {
	budget := s.maxTokens
	if limit > 0 {
		budget = min(budget, limit)
	}
	var p planned
	var prompts span
	var work []*sequence
	add := func(q *sequence) {
		query := min(q.tokens()-q.computed, budget)
		budget -= query
		if q.outputs == 0 {
			p.CtxReqs++
			p.CtxTokens += int32(query)
			prompts.add(q.computed + query)
		} else {
			p.GenReqs++
			p.context.add(q.computed + query)
		}
		q.computed += query
		p.cost.add(q, query)
		work = append(work, q)
	}
	for _, q := range s.running {
		if budget > 0 {
			add(q)
		}
	}
	for len(s.waiting) > 0 && budget > 0 && len(s.running) < s.maxSeqs {
		q := s.waiting[0]
		s.waiting, s.running = s.waiting[1:], append(s.running, q)
		add(q)
	}
	if p.GenReqs == 0 {
		p.context = prompts
	}
	for _, q := range work {
		if q.computed == q.tokens() { // else its prompt is not complete
			if q.outputs++; q.outputs == 1 {
				q.firstStep = index
			}
		}
	}
	rest := s.running[:0]
	for _, q := range s.running {
		if q.outputs < q.maxOutputs && (s.positions == 0 || q.tokens() < s.positions) {
			rest = append(rest, q)
		}
	}
	s.running = rest
	return p
}

// prefilling says that a prompt is not complete.
func (s *scheduler) prefilling() bool {
	for _, q := range s.running {
		if q.outputs == 0 {
			return true
		}
	}
	return len(s.waiting) > 0
}

func (s *scheduler) clear() { s.running, s.waiting = nil, nil }

// span is a range of contexts.
type span struct{ min, max int }

func (s *span) add(context int) {
	if s.max == 0 {
		*s = span{context, context}
		return
	}
	s.min, s.max = min(s.min, context), max(s.max, context)
}
