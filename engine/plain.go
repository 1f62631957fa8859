package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"

	"stepbench/bridge"
)

// HostPlain is a Python loop in the python executable, without Go or shim: the
// yardstick for what a host costs. It executes scripts only.
const HostPlain HostMode = "plain"

// runPlain imports the adapter from the folder given, as the shim does.
const runPlain = "import sys; sys.path.insert(0, sys.argv.pop(1)); from " + adapterModule + ".plain import main; main()"

// Plain is an engine driven by Python (stepbench_adapter/plain.py).
type Plain struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	log  *logTail
	info Info
}

// OpenPlain starts the interpreter and opens an engine in it.
func OpenPlain(ctx context.Context, cfg Config, opt WorkerOptions) (*Plain, error) {
	p, err := startPlain(ctx, opt)
	if err != nil {
		return nil, openError{err}
	}
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

func startPlain(ctx context.Context, opt WorkerOptions) (*Plain, error) {
	python, err := bridge.FindPython(opt.Host.Python)
	if err != nil {
		return nil, err
	}
	adapter, err := adapterPath()
	if err != nil {
		return nil, err
	}
	env, err := WorkerEnv(opt)
	if err != nil {
		return nil, err
	}
	p := &Plain{log: newLogTail(opt.Log)}
	p.cmd = exec.CommandContext(ctx, python.Executable, "-X", "utf8", "-s", "-u", "-c", runPlain, adapter)
	p.cmd.Env = env
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	in, err1 := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	stderr, err3 := p.cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReaderSize(out, 1<<20)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.log.read(stderr)
	return p, nil
}

// exchange writes one line and reads one.
func (p *Plain) exchange(question, reply any) error {
	text, err := json.Marshal(question)
	if err != nil {
		return err
	}
	_, err = p.in.Write(append(text, '\n'))
	var line []byte
	if err == nil {
		line, err = p.out.ReadBytes('\n')
	}
	if err != nil {
		_ = p.cmd.Wait()
		return &WorkerError{During: "run", What: "died: " + p.cmd.ProcessState.String(), LogTail: p.log.last()}
	}
	return json.Unmarshal(line, reply)
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
	if err := p.ask(script, &reply); err != nil {
		return err
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
	_ = p.in.Close()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	_ = p.cmd.Wait()
	return nil
}
