package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"stepbench/bridge"
)

// HostPlain is a Python loop in the python executable, without Go or shim: the
// yardstick for what a host costs. It executes scripts only.
const HostPlain HostMode = "plain"

// Plain is an engine driven by Python (stepbench_adapter/plain.py).
type Plain struct {
	*pythonScript
	end  context.CancelFunc // kills the process
	left footprint          // of its ranks
	info Info
}

// OpenPlain starts the interpreter and opens an engine in it.
func OpenPlain(ctx context.Context, cfg Config, opt WorkerOptions) (*Plain, error) {
	// It outlives ctx, which ends when all that are opened side by side are open.
	life, end := context.WithCancel(context.Background())
	defer context.AfterFunc(ctx, end)()
	env, left, err := parallelEnv(&cfg, opt)
	if err != nil {
		end()
		return nil, openError{err}
	}
	opt.Env = append(env, opt.Env...)
	s, err := startScript(life, "plain", opt)
	if err != nil {
		end()
		left.remove()
		return nil, openError{err}
	}
	p := &Plain{pythonScript: s, end: end, left: left}
	var reply struct {
		Info
		Counters []string `json:"counters"`
	}
	if err := p.exchange(cfg, &reply); err != nil {
		p.Close()
		return nil, openError{fmt.Errorf("open model %s: %w", cfg.Model.Name, err)}
	}
	p.info = reply.Info
	p.info.HostMode = HostPlain
	return p, checkCounters(reply.Counters)
}

// ask is exchange for everything after the opening.
func (p *Plain) ask(question, reply any) error {
	var answer struct {
		Error string
		Reply json.RawMessage
	}
	if err := p.exchange(question, &answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return json.Unmarshal(answer.Reply, reply)
}

// Info describes the open engine.
func (p *Plain) Info() Info { return p.info }

// PID is the process's id, for telemetry.
func (p *Plain) PID() int { return p.cmd.Process.Pid }

// Play executes script and gives all its records in one batch. Only the wall
// time, its parts and the composition of steps are known: there is no shim
// whose entry and exit could be stamped.
func (p *Plain) Play(ctx context.Context, script Script, sink Sink) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var reply struct {
		Steps    [][]int64
		Profiles []Profile
	}
	defer context.AfterFunc(ctx, p.end)() // it cannot be told to stop
	if err := p.ask(script, &reply); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	b := Batch{Profiles: reply.Profiles}
	for i, row := range reply.Steps {
		if len(row) != 4+bridge.Counters {
			return fmt.Errorf("step %d has %d values, want %d", i, len(row), 4+bridge.Counters)
		}
		v := bridge.View{EnterNs: row[1], GILNs: row[1], CallNs: row[1], ReturnNs: row[2], ExitNs: row[2]}
		copy(v.Counters[:], row[4:])
		s := step(&v)
		s.Index, s.Op, s.Outputs, s.NewTokens = int64(i), int32(row[0]), int32(row[3]), int32(row[3])
		b.Steps = append(b.Steps, s)
	}
	return sink(b)
}

// Call runs a control method of the adapter.
func (p *Plain) Call(_ context.Context, method string, args, reply any) error {
	question := struct {
		Method string
		Args   any
	}{method, args}
	if reply == nil {
		reply = new(any)
	}
	return p.ask(question, reply)
}

// Close ends the process and its group.
func (p *Plain) Close() error {
	p.kill()
	p.end()
	p.left.remove()
	return nil
}
