package abtest

import (
	"context"
	"errors"
	"sync"
	"time"
)

// pair is the arms of a launch.
type pair struct {
	number int
	first  Which // whose start began first
	arms   [2]Arm
	openS  [2]float64
}

// openPairs opens the workers of launches first to last, all at the same time,
// so that nothing starts while something is measured. After an error none is
// left open.
func (c *collector) openPairs(ctx context.Context, first, last int) ([]*pair, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var pairs []*pair
	for n := first; n <= last; n++ {
		pairs = append(pairs, &pair{number: n, first: Which(c.order.IntN(2))})
	}
	errs := make([]error, len(pairs))
	var wait sync.WaitGroup
	for i, p := range pairs {
		wait.Go(func() {
			if errs[i] = p.open(ctx, &c.job); errs[i] != nil {
				cancel() // the others are of no use
			}
		})
	}
	wait.Wait()
	if err := firstCause(errs); err != nil {
		for _, p := range pairs {
			p.close()
		}
		return nil, err
	}
	return pairs, nil
}

// open starts both arms.
func (p *pair) open(ctx context.Context, job *Job) error {
	sides := [2]Side{job.A, job.B}
	errs := make([]error, 2)
	var wait sync.WaitGroup
	for _, w := range []Which{p.first, 1 - p.first} {
		wait.Go(func() {
			start := time.Now()
			p.arms[w], errs[w] = job.Open(ctx, sides[w], p.number)
			p.openS[w] = time.Since(start).Seconds()
			errs[w] = startFailure(p.number, w, sides[w], errs[w])
		})
		select {
		case <-time.After(job.Stagger):
		case <-ctx.Done():
		}
	}
	wait.Wait()
	return firstCause(errs)
}

// pids are those of the pairs' workers.
func pids(pairs []*pair) []int {
	var all []int
	for _, p := range pairs {
		for _, arm := range p.arms {
			all = append(all, arm.PID())
		}
	}
	return all
}

func (p *pair) close() {
	var wait sync.WaitGroup
	for i, arm := range p.arms {
		if arm != nil {
			wait.Go(func() { _ = arm.Close() }) // what matters was asked before
			p.arms[i] = nil
		}
	}
	wait.Wait()
}

// firstCause is the first error that is not merely the end of a context.
func firstCause(errs []error) error {
	var ended error
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, context.Canceled):
			ended = err
		default:
			return err
		}
	}
	return ended
}
