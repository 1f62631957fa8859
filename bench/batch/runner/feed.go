package runner

import (
	"context"
	"io"
	"slices"

	"stepbench/engine"
)

// source hands out requests: those of an engine that died, then new ones. Rows
// that were in flight at a death of an earlier start are kept for the end.
func (r *run) source(ctx context.Context, most int) ([]engine.Request, error) {
	for len(r.waiting) == 0 {
		select {
		case tasks, ok := <-r.ready:
			if !ok {
				if r.read.err != nil {
					r.cancel(r.read.err)
					return nil, r.read.err
				}
				r.read.drained = true
				return nil, io.EOF
			}
			r.await(tasks)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return r.handOut(&r.waiting, most), nil
}

func (r *run) await(tasks []*task) {
	var suspects []*task
	for _, t := range tasks {
		if t.strikes > 0 {
			suspects = append(suspects, t)
			continue
		}
		r.waiting = append(r.waiting, t.parts()...)
	}
	r.suspect(suspects)
}

// sourceOf hands out a group of suspects alone.
func (r *run) sourceOf(g group) engine.Source {
	var waiting []part
	for _, t := range g.tasks {
		waiting = append(waiting, t.parts()...)
	}
	return func(_ context.Context, most int) ([]engine.Request, error) {
		if reqs := r.handOut(&waiting, most); len(waiting) > 0 {
			return reqs, nil
		} else {
			return reqs, io.EOF
		}
	}
}

func (r *run) handOut(waiting *[]part, most int) []engine.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(most, len(*waiting))
	reqs := make([]engine.Request, n)
	for i, p := range (*waiting)[:n] {
		reqs[i] = p.asks[p.place]
		reqs[i].ID = r.nextID
		r.flying[r.nextID] = p
		r.nextID++
	}
	*waiting = (*waiting)[n:]
	return reqs
}

// sink takes results to the tasks they belong to, and whole tasks away.
func (r *run) sink(b engine.Batch) error {
	var whole []*task
	r.mu.Lock()
	for _, result := range b.Requests {
		p, ok := r.flying[result.ID]
		if !ok || result.Finish == engine.FinishAbort {
			continue // it stays in flight, and is asked again
		}
		delete(r.flying, result.ID)
		p.answers[p.place] = answer{result, b.Logprobs[result.ID]}
		if p.missing--; p.missing == 0 {
			whole = append(whole, p.task)
		}
		r.outputTokens.Add(int64(result.OutputTokens))
	}
	if len(whole) > 0 {
		r.deaths = 0
	}
	r.mu.Unlock()
	if len(whole) == 0 {
		return nil
	}
	r.condemn() // the engine works: it is the rows' own fault
	r.ended <- whole
	r.show()
	return nil
}

// outstanding takes back what has no result, in the order it was handed out.
func (r *run) outstanding() (parts []part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]int64, 0, len(r.flying))
	for id := range r.flying {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		parts = append(parts, r.flying[id])
	}
	clear(r.flying)
	return parts
}

// loseAborted fails the rows that a healthy engine gave no result of.
func (r *run) loseAborted() {
	var lost []*task
	for _, p := range r.outstanding() {
		if p.failure == nil {
			p.fail(codeEngine, "the engine ended the request without a result")
			lost = append(lost, p.task)
		}
	}
	if len(lost) > 0 {
		r.ended <- lost
	}
}
