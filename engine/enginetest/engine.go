package enginetest

import (
	"context"
	"errors"

	"stepbench/engine"
)

// Engine is a whole engine.Engine around a Fake: the real loop on the fake's
// clock, in this process and on the caller's goroutine.
type Engine struct{ *Fake }

var _ engine.Feeder = Engine{}

// Run implements engine.Engine.
func (e Engine) Run(ctx context.Context, plan engine.Plan, sink engine.Sink) error {
	return e.execute(ctx, func(l *engine.Loop) error { return l.Run(plan, sink) })
}

// Play is as engine.Remote's.
func (e Engine) Play(ctx context.Context, script engine.Script, sink engine.Sink) error {
	return e.execute(ctx, func(l *engine.Loop) error { return l.Play(script, sink) })
}

// Feed implements engine.Feeder.
func (e Engine) Feed(ctx context.Context, f engine.Feed, source engine.Source, sink engine.Sink) error {
	return engine.NewLoopWithClock(e.Fake, e.Clock, nil).Feed(ctx, f, source, sink)
}

func (e Engine) execute(ctx context.Context, run func(*engine.Loop) error) error {
	err := run(engine.NewLoopWithClock(e.Fake, e.Clock, func() bool { return ctx.Err() != nil }))
	if errors.Is(err, engine.ErrStopped) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Call implements engine.Engine.
func (e Engine) Call(_ context.Context, method string, args, reply any) error {
	return e.Fake.Call(method, args, reply)
}
