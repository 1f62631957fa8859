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
	"path/filepath"
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
	LogTail []string // its last output lines
}

// Error gives the event and the last lines of the worker's own output.
func (e *WorkerError) Error() string {
	text := fmt.Sprintf("worker %s during %s", e.What, e.During)
	if len(e.LogTail) > 0 {
		text += "; its last output:\n  " + strings.Join(e.LogTail, "\n  ")
	}
	return text
}

// Remote is an engine in a worker process. Its methods are for one goroutine.
type Remote struct {
	opt     WorkerOptions
	cmd     *exec.Cmd
	in      *os.File
	reports chan report
	readErr error // set before reports is closed
	log     *logTail
	info    Info

	exited  chan struct{}
	exitErr error // set before exited is closed
	once    sync.Once
}

var _ Engine = (*Remote)(nil)

// OpenRemote starts a worker and opens an engine in it.
func OpenRemote(ctx context.Context, cfg Config, opt WorkerOptions) (*Remote, error) {
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("open engine: %w", err)
	}
	if !filepath.IsAbs(cfg.Model.Path) && os.Getenv("HF_HUB_OFFLINE") == "" {
		opt.Env = append([]string{"HF_HUB_OFFLINE=0", "TRANSFORMERS_OFFLINE=0"}, opt.Env...) // a hub name
	}
	r, err := startWorker(opt)
	if err != nil {
		return nil, err
	}
	rep, err := r.ask(ctx, "open", command{Open: &openCommand{text, opt.Host}}, cmp.Or(opt.OpenTimeout, defaultOpenTimeout), nil)
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

func startWorker(opt WorkerOptions) (*Remote, error) {
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
		log: newLogTail(opt.Log),
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

// ask sends a command and waits for its answer, handing batches to each. The
// worker counts as hung after a silence of timeout.
func (r *Remote) ask(ctx context.Context, during string, c command, timeout time.Duration, each func(*Batch) error) (report, error) {
	if ctx.Err() != nil {
		return report{}, context.Cause(ctx)
	}
	frame, err1 := encodeFrame(c)
	stop, err2 := encodeFrame(command{Stop: true})
	if err := errors.Join(err1, err2); err != nil {
		return report{}, err
	}
	// Written beside the loop: a worker that does not read is found by its
	// silence, one that is gone by the end of its reports. A stop must not
	// outlive this call, or it would end the next plan.
	frames, written := make(chan []byte, 3), make(chan struct{})
	go func() {
		defer close(written)
		for f := range frames {
			_, _ = r.in.Write(f)
		}
	}()
	defer func() { close(frames); <-written }()
	frames <- frame

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
			if rep.Batch != nil && each != nil && sinkErr == nil {
				if sinkErr = each(rep.Batch); sinkErr != nil {
					frames <- stop
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
				return rep, rep.Err
			}
			return rep, nil
		case <-done:
			done = nil
			if !c.stoppable() {
				r.kill()
				return report{}, context.Cause(ctx)
			}
			timeout = min(timeout, stopTimeout)
			silence.Reset(timeout)
			frames <- stop
		case <-silence.C:
			r.kill()
			return report{}, r.failure(during, fmt.Sprintf("gave no sign for %s and was killed", timeout))
		}
	}
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
	return r.failure(during, what)
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

func (r *Remote) execute(ctx context.Context, c command, sink Sink) error {
	_, err := r.ask(ctx, "run", c, cmp.Or(r.opt.StepTimeout, defaultStepTimeout),
		func(b *Batch) error { return sink(*b) })
	switch {
	case err == nil || ctx.Err() == nil:
		return err
	case errors.Is(err, ErrStopped) || errors.Is(err, context.Cause(ctx)):
		return context.Cause(ctx)
	}
	return errors.Join(context.Cause(ctx), err)
}

// Call implements [Engine].
func (r *Remote) Call(ctx context.Context, method string, args, reply any) error {
	text, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	rep, err := r.ask(ctx, "call "+method, command{Call: &callCommand{method, text}}, cmp.Or(r.opt.StepTimeout, defaultStepTimeout), nil)
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
	_, err := r.ask(context.Background(), "close", command{Close: true}, r.closeTimeout(), nil)
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
