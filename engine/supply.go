package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// more is what travels to a feed in execution.
type more struct {
	Requests []Request
	Refused  []refused // requests that cannot even be written down
	End      bool      // nothing comes after
}

// refused is a request that ends before the engine has seen it.
type refused struct {
	ID           int64
	PromptTokens int32
	Error        string
}

// supply calls a source as long as fewer requests are outstanding than a feed
// allows, and hands on what it gives.
type supply struct {
	ctx    context.Context // ends with the caller's or the source's error
	cancel context.CancelCauseFunc
	done   chan struct{}

	mu   sync.Mutex
	room int
	wake chan struct{} // there is room again
}

// errFed ends a source that still waits when its feed is over.
var errFed = errors.New("the feed is over")

func startSupply(ctx context.Context, room int, source Source, send func(context.Context, more) error) *supply {
	s := &supply{done: make(chan struct{}), room: room, wake: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	go func() {
		defer close(s.done)
		if err := s.run(source, send); err != nil {
			s.cancel(err)
		}
	}()
	return s
}

func (s *supply) run(source Source, send func(context.Context, more) error) error {
	for {
		room, err := s.waitForRoom()
		if err != nil {
			return err
		}
		reqs, err := source(s.ctx, room)
		end := errors.Is(err, io.EOF)
		switch {
		case err != nil && !end:
			return err
		case len(reqs) > room:
			return fmt.Errorf("the source gave %d requests, asked for at most %d", len(reqs), room)
		case len(reqs) == 0 && !end:
			return errors.New("the source gave neither a request nor its end")
		}
		s.add(-len(reqs))
		if err := send(s.ctx, more{Requests: reqs, End: end}); err != nil || end {
			return err
		}
	}
}

func (s *supply) waitForRoom() (int, error) {
	for {
		s.mu.Lock()
		room := s.room
		s.mu.Unlock()
		if s.ctx.Err() != nil {
			return 0, context.Cause(s.ctx)
		}
		if room > 0 {
			return room, nil
		}
		select {
		case <-s.wake:
		case <-s.ctx.Done():
		}
	}
}

func (s *supply) add(n int) {
	s.mu.Lock()
	s.room += n
	s.mu.Unlock()
	notify(s.wake)
}

// count is sink, with the room that results leave.
func (s *supply) count(sink Sink) Sink {
	return func(b Batch) error {
		s.add(len(b.Requests))
		return sink(b)
	}
}

// end waits for the source's last call and says how the feed ended, which
// itself ended with err.
func (s *supply) end(err error) error {
	err = cause(s.ctx, err)
	s.cancel(errFed)
	<-s.done
	return err
}

// cause is err, or why ctx ended where that is its reason.
func cause(ctx context.Context, err error) error {
	switch {
	case err == nil || ctx.Err() == nil:
		return err
	case errors.Is(err, ErrStopped) || errors.Is(err, context.Cause(ctx)):
		return context.Cause(ctx)
	}
	return errors.Join(context.Cause(ctx), err)
}

// queue holds what has come for a feed until the next step boundary.
type queue struct {
	mu   sync.Mutex
	more more
	wake chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) put(m more) {
	q.mu.Lock()
	q.more.Requests = append(q.more.Requests, m.Requests...)
	q.more.Refused = append(q.more.Refused, m.Refused...)
	q.more.End = q.more.End || m.End
	q.mu.Unlock()
	notify(q.wake)
}

// take empties the queue, or waits for something to come. The end stays.
func (q *queue) take(wait time.Duration) more {
	m := q.empty()
	if wait == 0 || m.End || len(m.Requests)+len(m.Refused) > 0 {
		return m
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-q.wake:
	case <-late.C:
	}
	return q.empty()
}

func (q *queue) empty() more {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.more
	q.more = more{End: m.End}
	return m
}

func notify(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default: // somebody will look anyway
	}
}

// frameTokens bounds the prompts of one frame, whose size is limited.
const frameTokens = 1 << 20

// frames encodes m for the pipe to a worker.
func (m more) frames() ([][]byte, error) {
	var all [][]byte
	for first := true; first || len(m.Requests) > 0; first = false {
		n, tokens := 0, 0
		for n < len(m.Requests) && (n == 0 || tokens+len(m.Requests[n].Prompt) <= frameTokens) {
			tokens += len(m.Requests[n].Prompt)
			n++
		}
		part := more{Requests: m.Requests[:n], End: m.End && n == len(m.Requests)}
		m.Requests = m.Requests[n:]
		frame, err := encodeFrame(command{More: &part})
		if err != nil {
			part.refuse()
			frame, err = encodeFrame(command{More: &part})
		}
		if err != nil {
			return nil, err
		}
		all = append(all, frame)
	}
	return all, nil
}

// refuse sorts out requests with parameters that are no numbers.
func (m *more) refuse() {
	m.Requests = slices.DeleteFunc(slices.Clone(m.Requests), func(r Request) bool {
		_, err := json.Marshal(r.Sampling)
		if err != nil {
			m.Refused = append(m.Refused, refused{r.ID, int32(len(r.Prompt)), "sampling parameters: " + err.Error()})
		}
		return err != nil
	})
}
