package enginetest

import (
	"context"
	"sync/atomic"

	"stepbench/engine"
)

// Mortal is an Engine that dies as a worker process does: at once, for good, and
// with all that it had not delivered. Use one for each life.
type Mortal struct {
	Engine
	// Kills says whether a request kills the engine by coming to it.
	Kills func(engine.Request) bool
	// After > 0 is how many results are delivered before the engine dies.
	After int

	dead      atomic.Bool
	stop      context.CancelFunc // of the feed in execution
	delivered int
}

var _ engine.Feeder = (*Mortal)(nil)

// Feed implements engine.Feeder.
func (m *Mortal) Feed(ctx context.Context, f engine.Feed, source engine.Source, sink engine.Sink) error {
	if m.dead.Load() {
		return died("run")
	}
	ctx, m.stop = context.WithCancel(ctx)
	defer m.stop()
	refuse := m.Fake.Refuse
	m.Fake.Refuse = func(r engine.Request) error {
		if m.Kills != nil && m.Kills(r) {
			m.die()
		}
		if refuse != nil {
			return refuse(r)
		}
		return nil
	}
	defer func() { m.Fake.Refuse = refuse }()
	err := m.Engine.Feed(ctx, f, source, m.until(sink))
	if m.dead.Load() {
		return died("run")
	}
	return err
}

// until passes batches on as long as m lives.
func (m *Mortal) until(sink engine.Sink) engine.Sink {
	return func(b engine.Batch) error {
		if m.dead.Load() {
			return nil
		}
		if rest := m.After - m.delivered; m.After > 0 && len(b.Requests) >= rest {
			b.Requests = b.Requests[:rest]
			m.die()
		}
		m.delivered += len(b.Requests)
		return sink(b)
	}
}

func (m *Mortal) die() {
	m.dead.Store(true)
	m.stop()
}

// Call implements engine.Engine.
func (m *Mortal) Call(ctx context.Context, method string, args, reply any) error {
	if m.dead.Load() {
		return died("call " + method)
	}
	return m.Engine.Call(ctx, method, args, reply)
}

func died(during string) error {
	return &engine.WorkerError{During: during, What: "died: signal: killed", LogTail: []string{"the fake was told to die"}}
}
