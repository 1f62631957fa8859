package engine

import "errors"

// Control methods of the adapter that a script needs.
const (
	methodGC           = "gc"
	methodProfileStart = "profile_start"
	methodProfileStop  = "profile_stop"
)

// collector is the argument of methodGC.
type collector struct {
	Enabled bool `json:"enabled"`
	Collect bool `json:"collect"` // now
}

// profileStop is the argument of methodProfileStop.
type profileStop struct {
	Windows [][2]int64 `json:"windows"` // of the steps, CLOCK_MONOTONIC ns
	Events  bool       `json:"events"`
}

// Play executes script. Each step's Op says which of the script's it belongs
// to. Errors are those of [Loop.Run].
func (l *Loop) Play(script Script, sink Sink) error {
	r := newRun(l, Plan{KeepTokens: script.KeepTokens}, sink)
	return r.finish(r.play(script))
}

func (r *run) play(script Script) (err error) {
	if err := r.stepper.Call(methodGC, collector{Collect: true}, nil); err != nil {
		return err
	}
	defer func() {
		if err == nil || errors.Is(err, ErrStopped) {
			err = errors.Join(err, r.stepper.Call(methodGC, collector{Enabled: true}, nil))
		}
	}()
	for i := range script.Ops {
		if err := r.op(int32(i), &script.Ops[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) op(index int32, op *Op) error {
	if err := r.submitNow(op.Submit); err != nil {
		return err
	}
	if op.Profile {
		if err := r.stepper.Call(methodProfileStart, nil, nil); err != nil {
			return err
		}
	}
	first, start := len(r.batch.Steps), r.clock.NowNs()
	for range op.Steps {
		if r.stopped() {
			return ErrStopped
		}
		if err := r.step(op.Limits, index); err != nil {
			return err
		}
		// What reads the records must see that a long op is alive. Sending them
		// disturbs the step that follows, so it is left until the op has gone on
		// for a second: a short burst is never interrupted, a long one once in a
		// second. A profiled op keeps its steps until its profile is complete.
		if !op.Profile && r.clock.NowNs()-max(start, r.flushedNs) > heartbeatNs {
			if err := r.flush(); err != nil {
				return err
			}
		}
	}
	if op.Profile {
		if err := r.profile(index, op.Events, r.batch.Steps[first:]); err != nil {
			return err
		}
	}
	if op.Abort {
		if err := r.abandon(); err != nil {
			return err
		}
	}
	if op.Collect {
		if err := r.stepper.Call(methodGC, collector{Collect: true}, nil); err != nil {
			return err
		}
	}
	return r.flushIfDue()
}

// submitNow queues requests that arrive at this moment.
func (r *run) submitNow(reqs []Request) error {
	if len(reqs) == 0 {
		return nil
	}
	arrivals := make([]Arrival, len(reqs))
	now := r.clock.NowNs() - r.startNs
	for i := range reqs {
		arrivals[i] = Arrival{OffsetNs: now, Request: reqs[i]}
	}
	return r.submit(arrivals)
}

// profile ends attribution and asks what ran in steps.
func (r *run) profile(op int32, events bool, steps []Step) error {
	windows := make([][2]int64, len(steps))
	for i := range steps {
		windows[i] = [2]int64{steps[i].CallNs, steps[i].ReturnNs}
	}
	p := Profile{Op: int(op), Steps: len(steps)}
	if err := r.stepper.Call(methodProfileStop, profileStop{windows, events}, &p); err != nil {
		return err
	}
	r.batch.Profiles = append(r.batch.Profiles, p)
	return nil
}
