package engine

import (
	"cmp"
	"context"
)

// Feed is a run whose requests come while it goes on, as many as there are. It
// is made for throughput: requests are final only, steps are summed up in
// [Progress] instead of listed, and memory does not grow with the requests seen.
type Feed struct {
	// Concurrency is the most requests handed out by the source and without a
	// result. 0 means so many that the engine finds the next ones waiting at
	// every step boundary.
	Concurrency int
	// KeepTokens returns each request's output token ids in its result.
	KeepTokens bool
}

// Source gives the next requests of a feed: at least one and at most most, or
// io.EOF at the end, which may come with the last ones. It may take its time
// without holding up those in the engine, but must return when ctx ends. It is
// called from one goroutine. Any other error ends the feed.
type Source func(ctx context.Context, most int) ([]Request, error)

// Feeder is an engine that can be fed.
type Feeder interface {
	Engine
	// Feed executes the requests that source gives until it ends, and hands
	// results to sink; sink, ctx and errors are as in Run. An error of source
	// ends the feed as ctx does. Results come ten times a second, or as soon as a
	// quarter of Feed.Concurrency has ended; a sink that takes long holds up the
	// source. After any error the requests handed out and without a result are
	// lost: they were in the engine or on their way, and the engine schedules
	// them in the order of the source. Source is not called again, nor still
	// running, when Feed returns.
	Feed(ctx context.Context, f Feed, source Source, sink Sink) error
}

// limit is f's concurrency on an engine that runs seqs sequences at once: as
// many again can wait, and results on their way back are some more.
func (f Feed) limit(seqs int) int { return cmp.Or(max(f.Concurrency, 0), seqs+max(seqs, 256)) }

// flushShare of a feed's concurrency has ended: the source should know now, or
// the engine could run dry before the next batch.
const flushShare = 4

// Feed is as [Feeder]'s, in this process.
func (l *Loop) Feed(ctx context.Context, f Feed, source Source, sink Sink) error {
	f.Concurrency = f.limit(l.stepper.Info().MaxNumSeqs)
	q := newQueue()
	s := startSupply(ctx, f.Concurrency, source, func(_ context.Context, m more) error {
		q.put(m)
		return nil
	})
	fed := *l
	fed.stopped = func() bool { return l.stopped() || s.ctx.Err() != nil }
	return s.end(fed.feed(f, q, s.count(sink)))
}

// feed executes what comes through q until its end.
func (l *Loop) feed(f Feed, q *queue, sink Sink) error {
	r := newRun(l, Plan{KeepTokens: f.KeepTokens, MaxConcurrency: f.Concurrency}, sink)
	r.feeds = true
	return r.finish(r.serve(q, max(1, f.Concurrency/flushShare)))
}

// serve hands batches on when enough requests have ended, or it is time.
func (r *run) serve(q *queue, enough int) error {
	for {
		if r.stopped() {
			return ErrStopped
		}
		m := r.arrived(q)
		for _, no := range m.Refused {
			r.progress.Admitted++
			r.end(&flight{RequestResult: RequestResult{
				ID: no.ID, PromptTokens: no.PromptTokens, Finish: FinishError, Error: no.Error,
			}})
		}
		if err := r.submitNow(m.Requests); err != nil {
			return err
		}
		if len(r.inFlight) > 0 {
			if err := r.step(Limits{}, 0); err != nil {
				return err
			}
		} else if m.End {
			return nil
		}
		if err := r.handBack(enough); err != nil {
			return err
		}
	}
}

// arrived takes what has come, and waits for it only while the engine is empty.
func (r *run) arrived(q *queue) more {
	if len(r.inFlight) > 0 {
		return q.take(0)
	}
	since := r.clock.NowNs()
	defer func() { r.progress.EmptyNs += r.clock.NowNs() - since }()
	return q.take(longestSleep)
}

func (r *run) handBack(enough int) error {
	if n := len(r.batch.Requests); n >= enough || n > 0 && len(r.inFlight) == 0 {
		return r.flush()
	}
	return r.flushIfDue()
}
