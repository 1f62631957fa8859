package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
)

// Worker is the far side of [Remote]: it serves one engine over a pair of
// pipes. Serve must run on the process's main thread, locked.
type Worker struct {
	// Open makes the engine; OpenLocal in the product.
	Open func(Config, Host) (Stepper, error)
	// Orphaned runs when the parent is gone, since the engine's thread may be
	// deep in a step then. It does not return in the product.
	Orphaned func()

	stop   atomic.Bool
	engine Stepper
	out    chan report
	failed chan error
}

// planHeap is what Go's memory may grow by during a plan, in bytes, before the
// collector runs after all.
const planHeap = 1 << 30

// Serve executes commands from in and reports to out until told to close.
func (w *Worker) Serve(in io.Reader, out io.Writer) error {
	orders := make(chan order)
	w.out, w.failed = make(chan report, 64), make(chan error, 1)
	go w.read(in, orders)
	go w.write(out)
	for o := range orders {
		if o.Close {
			return w.close()
		}
		w.out <- w.execute(o)
	}
	close(w.out) // ends write, which may outlive this call on a pipe nobody reads
	return errors.New("the parent closed its pipe")
}

// order is a command for the main thread and, of a feed, where its requests come.
type order struct {
	command
	queue *queue
}

// read decodes commands. Stop and More are acted on at once, since the main
// thread is inside a plan then. Without a parent there is nobody to report to.
func (w *Worker) read(in io.Reader, orders chan<- order) {
	feed := newQueue()
	for {
		var c command
		if err := readFrame(in, &c); err != nil {
			w.Orphaned()
			close(orders)
			return
		}
		switch {
		case c.Stop:
			w.stop.Store(true)
			continue
		case c.More != nil:
			feed.put(*c.More)
			continue
		case c.stoppable():
			w.stop.Store(false) // before any later Stop can arrive
			feed = newQueue()   // what comes late for an earlier feed is void
		}
		orders <- order{c, feed}
	}
}

// write encodes reports away from the engine's thread.
func (w *Worker) write(out io.Writer) {
	var err error
	for r := range w.out {
		if err == nil {
			err = writeFrame(out, r)
		}
	}
	w.failed <- err
}

func (w *Worker) execute(c order) report {
	switch {
	case c.Open != nil:
		info, err := w.open(c.Open)
		return report{Done: true, Info: info, Err: toWire(err)}
	case w.engine == nil:
		return report{Done: true, Err: toWire(errors.New("no engine is open"))}
	case c.Run != nil:
		return report{Done: true, Err: toWire(w.undisturbed(func(l *Loop, sink Sink) error { return l.Run(*c.Run, sink) }))}
	case c.Play != nil:
		return report{Done: true, Err: toWire(w.undisturbed(func(l *Loop, sink Sink) error { return l.Play(*c.Play, sink) }))}
	case c.Feed != nil:
		// It goes on for hours: Go's collector works as always.
		return report{Done: true, Err: toWire(NewLoop(w.engine, w.stop.Load).feed(*c.Feed, c.queue, w.report))}
	case c.Call != nil:
		var reply json.RawMessage
		err := w.engine.Call(c.Call.Method, json.RawMessage(c.Call.Args), &reply)
		return report{Done: true, Reply: reply, Err: toWire(err)}
	}
	return report{Done: true, Err: toWire(errors.New("empty command"))}
}

func (w *Worker) open(c *openCommand) (*Info, error) {
	if w.engine != nil {
		return nil, errors.New("an engine is open already: a worker holds one")
	}
	var cfg Config
	if err := json.Unmarshal(c.Config, &cfg); err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	e, err := w.Open(cfg, c.Host)
	if err != nil {
		return nil, openError{err}
	}
	w.engine = e
	info := e.Info()
	return &info, nil
}

// undisturbed runs a plan or script with Go's collector off: a collection would
// take the processor from the step being timed.
func (w *Worker) undisturbed(execute func(*Loop, Sink) error) error {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(int64(m.Sys-m.HeapReleased) + planHeap)
	defer func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) }()
	return execute(NewLoop(w.engine, w.stop.Load), w.report)
}

func (w *Worker) report(b Batch) error {
	w.out <- report{Batch: &b}
	return nil
}

func (w *Worker) close() error {
	var err error
	if w.engine != nil {
		err = w.engine.Close()
	}
	w.out <- report{Done: true, Err: toWire(err)}
	close(w.out)
	return errors.Join(err, <-w.failed)
}

// ServeProcess makes this process a worker on its files 3 and 4. It must run on
// the main thread, locked.
func ServeProcess() error {
	in, out, err := workerPipes()
	if err != nil {
		return err
	}
	w := Worker{
		Open:     func(cfg Config, host Host) (Stepper, error) { return OpenLocal(cfg, host) },
		Orphaned: func() { inheritedFootprint().killOthers(); KillGroup() },
	}
	return w.Serve(in, out)
}

// workerPipes are files 3 and 4, which the worker's own children must not
// inherit: a pipe held open elsewhere would hide the parent's death.
func workerPipes() (in, out *os.File, err error) {
	in, out = os.NewFile(3, "commands"), os.NewFile(4, "reports")
	for _, f := range []*os.File{in, out} {
		if _, err := f.Stat(); err != nil {
			return nil, nil, errors.New("a worker is started by stepbench itself, with pipes as files 3 and 4")
		}
		syscall.CloseOnExec(int(f.Fd()))
	}
	return in, out, nil
}

// KillGroup ends this process and, when it leads its process group, all that
// it started. It does not return.
func KillGroup() {
	if syscall.Getpgrp() == os.Getpid() {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
	os.Exit(1)
}
