package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// WorkerOptions say how to run a worker process.
type WorkerOptions struct {
	// Command starts the worker: an executable and its arguments. Empty means
	// this executable's hidden command "worker". Pipes are its files 3 and 4.
	Command []string
	Host    Host
	// Env is added to the worker's environment and wins over its defaults.
	Env []string
	// Log receives the worker's standard output and error, line by line; nil
	// keeps only the last lines for errors.
	Log func(line string)
	// StepTimeout is the longest silence during a plan, in which an idle engine
	// gives a sign each second; OpenTimeout during opening, CloseTimeout at the
	// end. A longer one means that the worker hangs. Zero means the defaults.
	StepTimeout, OpenTimeout, CloseTimeout time.Duration
}

func (opt *WorkerOptions) stepTimeout() time.Duration {
	return cmp.Or(opt.StepTimeout, defaultStepTimeout)
}

const (
	defaultStepTimeout  = 5 * time.Minute  // a first step may compile
	defaultOpenTimeout  = 30 * time.Minute // a cold start may compile a large model
	defaultCloseTimeout = 20 * time.Second
	stopTimeout         = 30 * time.Second
)

// WorkerError is a worker that died, hung or answered nonsense.
type WorkerError struct {
	During  string   // "open", "run", "call", "close"
	What    string   // "died: signal: killed"
	LogTail []string // its last output lines, then those of each rank
	Err     error    // it reported itself; nil if it could not
}

// Error gives the event and the last lines of the worker's own output.
func (e *WorkerError) Error() string {
	text := fmt.Sprintf("worker %s during %s", e.What, e.During)
	if len(e.LogTail) > 0 {
		text += "; its last output:\n  " + strings.Join(e.LogTail, "\n  ")
	}
	return text
}

// Unwrap gives what the worker itself said.
func (e *WorkerError) Unwrap() error { return e.Err }

// Remote is an engine in a worker process. Its methods are for one goroutine.
type Remote struct {
	opt     WorkerOptions
	cmd     *exec.Cmd
	in      *os.File
	reports chan report
	readErr error // set before reports is closed
	log     *logTail
	info    Info

	left  footprint // of its ranks
	kills int       // oomKills before its start

	exited  chan struct{}
	exitErr error // set before exited is closed
	once    sync.Once
}

var _ Feeder = (*Remote)(nil)

// OpenRemote starts a worker and opens an engine in it.
func OpenRemote(ctx context.Context, cfg Config, opt WorkerOptions) (*Remote, error) {
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("open engine: %w", err)
	}
	env, left, err := parallelEnv(&cfg, opt)
	if err != nil {
		return nil, openError{err}
	}
	opt.Env = slices.Concat(hubEnv(cfg.Model.Path), env, opt.Env)
	r, err := startWorker(opt, left)
	if err != nil {
		left.remove()
		return nil, err
	}
	rep, err := r.ask(ctx, question{
		during: "open", command: command{Open: &openCommand{text, opt.Host}},
		timeout: cmp.Or(opt.OpenTimeout, defaultOpenTimeout),
	})
	if err == nil && rep.Info == nil {
		err = r.failure("open", "answered nonsense (no description of the engine) and was killed")
	}
	if err != nil {
		r.kill()
		return nil, err
	}
	r.info = *rep.Info
	r.info.HostMode = cmp.Or(opt.Host.Mode, HostGo)
	return r, nil
}

func startWorker(opt WorkerOptions, left footprint) (*Remote, error) {
	argv, err := workerCommand(opt)
	if err != nil {
		return nil, openError{err}
	}
	env, err := WorkerEnv(opt)
	if err != nil {
		return nil, openError{err}
	}
	toWorker, in, err1 := os.Pipe()
	out, fromWorker, err2 := os.Pipe()
	logOut, logIn, err3 := os.Pipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		for _, f := range []*os.File{toWorker, in, out, fromWorker, logOut, logIn} {
			f.Close() // nil where there is none, which Close accepts
		}
		return nil, fmt.Errorf("start worker: %w", err)
	}
	r := &Remote{
		opt: opt, in: in, reports: make(chan report, 16), exited: make(chan struct{}),
		log: newLogTail(opt.Log), left: left, kills: oomKills(),
	}
	r.cmd = exec.Command(argv[0], argv[1:]...)
	r.cmd.Env = env
	r.cmd.Stdout, r.cmd.Stderr = logIn, logIn
	r.cmd.ExtraFiles = []*os.File{toWorker, fromWorker}
	// Its own group: a terminal's Ctrl-C reaches only the parent, and all that
	// the worker starts can be ended with it.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = r.cmd.Start()
	for _, f := range []*os.File{toWorker, fromWorker, logIn} {
		f.Close() // the worker's ends
	}
	if err != nil {
		in.Close()
		out.Close()
		logOut.Close()
		return nil, fmt.Errorf("start worker %s: %w", argv[0], err)
	}
	go r.wait()
	go r.log.read(logOut)
	go r.read(out)
	return r, nil
}

func (r *Remote) wait() {
	r.exitErr = r.cmd.Wait()
	// What it started and left behind is in its group.
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	r.left.remove()
	close(r.exited)
}

func (r *Remote) read(out *os.File) {
	defer out.Close()
	defer close(r.reports)
	for {
		var rep report
		if err := readFrame(out, &rep); err != nil {
			if !errors.Is(err, io.EOF) {
				r.readErr = err
			}
			return
		}
		r.reports <- rep
	}
}

// question is a command to a worker that is answered.
type question struct {
	during  string // for errors
	command command
	timeout time.Duration     // a longer silence means that the worker hangs
	each    func(Batch) error // takes what comes before the answer
	more    <-chan []byte     // frames that follow the command
}

// ask sends a command and waits for its answer.
func (r *Remote) ask(ctx context.Context, q question) (report, error) {
	if ctx.Err() != nil {
		return report{}, context.Cause(ctx)
	}
	timeout, during := q.timeout, q.during
	frame, err1 := encodeFrame(q.command)
	stop, err2 := encodeFrame(command{Stop: true})
	if err := errors.Join(err1, err2); err != nil {
		return report{}, err
	}
	// Written beside the loop: a worker that does not read is found by its
	// silence, one that is gone by the end of its reports. A stop must not
	// outlive this call, or it would end the next plan.
	stops, written := make(chan []byte, 2), make(chan struct{})
	go func() {
		defer close(written)
		for open := true; open; {
			_, _ = r.in.Write(frame)
			select {
			case frame, open = <-stops:
			case frame = <-q.more:
			}
		}
	}()
	defer func() { close(stops); <-written }()

	var sinkErr error
	done := ctx.Done()
	silence := time.NewTimer(timeout)
	defer silence.Stop()
	for {
		select {
		case rep, ok := <-r.reports:
			if !ok {
				return report{}, errors.Join(sinkErr, r.lost(during))
			}
			if rep.Batch != nil && q.each != nil && sinkErr == nil {
				if sinkErr = q.each(*rep.Batch); sinkErr != nil {
					stops <- stop
				}
			}
			silence.Reset(timeout) // the sink's time is not the worker's
			if !rep.Done {
				continue
			}
			if sinkErr != nil {
				return rep, sinkErr
			}
			if rep.Err != nil {
				return rep, r.reported(during, rep.Err)
			}
			return rep, nil
		case <-done:
			done = nil
			if !q.command.stoppable() {
				r.kill()
				return report{}, context.Cause(ctx)
			}
			timeout = min(timeout, stopTimeout)
			silence.Reset(timeout)
			stops <- stop
		case <-silence.C:
			r.kill()
			return report{}, r.failure(during, fmt.Sprintf("gave no sign for %s and was killed", timeout))
		}
	}
}

// reported adds the last lines of the ranks to an error: vLLM's own names neither
// the rank nor the cause.
func (r *Remote) reported(during string, err *wireError) error {
	if r.left.tag == "" || err.Stopped || during != "open" && during != "run" {
		return err
	}
	return &WorkerError{During: during, What: "failed: " + err.Text, LogTail: r.log.last(), Err: err}
}

// lost describes a worker whose pipe ended.
func (r *Remote) lost(during string) error {
	if r.readErr != nil {
		r.kill()
		return r.failure(during, "answered nonsense ("+r.readErr.Error()+") and was killed")
	}
	select {
	case <-r.exited:
	case <-time.After(r.closeTimeout()):
		r.kill()
		return r.failure(during, "closed its pipe without exiting and was killed")
	}
	what := "exited"
	if r.exitErr != nil {
		what = "died: " + r.exitErr.Error()
	}
	if oomKills() > r.kills && killed(r.exitErr) {
		what += " (the kernel ended a process for want of memory meanwhile)"
	}
	return r.failure(during, what)
}

// killed says that SIGKILL ended a process.
func killed(exit error) bool {
	var status *exec.ExitError
	if !errors.As(exit, &status) {
		return false
	}
	wait, ok := status.Sys().(syscall.WaitStatus)
	return ok && wait.Signaled() && wait.Signal() == syscall.SIGKILL
}

func (r *Remote) closeTimeout() time.Duration { return cmp.Or(r.opt.CloseTimeout, defaultCloseTimeout) }

func (r *Remote) failure(during, what string) error {
	return &WorkerError{During: during, What: what, LogTail: r.log.last()}
}

// Info implements [Engine].
func (r *Remote) Info() Info { return r.info }

// PID is the worker's process id, for telemetry.
func (r *Remote) PID() int { return r.cmd.Process.Pid }

// Run implements [Engine].
func (r *Remote) Run(ctx context.Context, plan Plan, sink Sink) error {
	return r.execute(ctx, command{Run: &plan}, sink)
}

// Play executes script; sink, ctx and errors are as in Run.
func (r *Remote) Play(ctx context.Context, script Script, sink Sink) error {
	return r.execute(ctx, command{Play: &script}, sink)
}

// Feed implements [Feeder].
func (r *Remote) Feed(ctx context.Context, f Feed, source Source, sink Sink) error {
	f.Concurrency = f.limit(r.info.MaxNumSeqs)
	frames := make(chan []byte)
	s := startSupply(ctx, f.Concurrency, source, func(ctx context.Context, m more) error {
		all, err := m.frames()
		for _, frame := range all {
			select {
			case frames <- frame:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return err
	})
	_, err := r.ask(s.ctx, question{
		during: "run", command: command{Feed: &f}, timeout: r.stepTimeout(), each: s.count(sink), more: frames,
	})
	return s.end(err)
}

func (r *Remote) execute(ctx context.Context, c command, sink Sink) error {
	_, err := r.ask(ctx, question{during: "run", command: c, timeout: r.stepTimeout(), each: sink})
	return cause(ctx, err)
}

func (r *Remote) stepTimeout() time.Duration { return r.opt.stepTimeout() }

// Call implements [Engine].
func (r *Remote) Call(ctx context.Context, method string, args, reply any) error {
	text, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	rep, err := r.ask(ctx, question{
		during: "call " + method, command: command{Call: &callCommand{method, text}}, timeout: r.stepTimeout(),
	})
	if err != nil || reply == nil {
		return err
	}
	if err := json.Unmarshal(rep.Reply, reply); err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	return nil
}

// Close implements [Engine]: an orderly end, or a kill when that takes too long.
func (r *Remote) Close() error {
	select {
	case <-r.exited:
		r.kill()
		return nil // dead already, and said so
	default:
	}
	_, err := r.ask(context.Background(), question{during: "close", command: command{Close: true}, timeout: r.closeTimeout()})
	select {
	case <-r.exited:
	case <-time.After(r.closeTimeout()):
	}
	r.kill()
	return err
}

// kill ends the worker and its group, and waits until it is gone and its log has
// ended.
func (r *Remote) kill() {
	r.once.Do(func() {
		select {
		case <-r.exited:
		default:
			_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
			<-r.exited
		}
		r.in.Close()
		go func() {
			for range r.reports { // nobody asks any more: let the reader end
			}
		}()
		r.log.wait()
	})
}
