package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// workerError fails t unless err is a WorkerError of that moment, and returns it.
func workerError(t *testing.T, err error, during, what string) *engine.WorkerError {
	t.Helper()
	var w *engine.WorkerError
	if !errors.As(err, &w) {
		t.Fatalf("error %v, want a WorkerError", err)
	}
	if w.During != during || w.What != what {
		t.Fatalf("worker %q during %q, want %q during %q", w.What, w.During, what, during)
	}
	if text := err.Error(); strings.Count(text, w.What) != 1 {
		t.Errorf("the error does not say once what happened: %s", text)
	}
	return w
}

func mentions(lines []string, text string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, text) })
}

// realTime is a recorder for workers, which have a clock of their own.
func realTime() *recorder { return &recorder{clock: enginetest.NewRealClock()} }

func TestRemoteRun(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), pythonless(t, "stepper"))
	if r.Info().Device != "a" || r.Info().VocabSize != enginetest.Vocab {
		t.Errorf("info %+v", r.Info())
	}
	for run := range 2 { // a worker serves any number of plans
		rec := realTime()
		plan := engine.Plan{Arrivals: every(10*ms, 5, 4), KeepTokens: true}
		plan.Arrivals[3].Prompt = nil
		if err := r.Run(t.Context(), plan, rec.sink); err != nil {
			t.Fatal(err)
		}
		if got := rec.last(); got.Finished != 4 || got.Failed != 1 {
			t.Errorf("run %d: progress %+v", run, got)
		}
		if got := rec.requests[3].Error; got != "the prompt is empty" {
			t.Errorf("run %d: error %q", run, got)
		}
		if got, want := rec.requests[4].Tokens[3], enginetest.Token(plan.Arrivals[4].Prompt, 3); got != want {
			t.Errorf("run %d: token %d, want %d", run, got, want)
		}
	}
	var reply []int
	if err := r.Call(t.Context(), "echo", []int{1, 2}, &reply); err != nil || !slices.Equal(reply, []int{1, 2}) {
		t.Errorf("reply %v, %v", reply, err)
	}
	if err := r.Call(t.Context(), "echo", "text", &reply); err == nil || !strings.HasPrefix(err.Error(), "call echo: json") {
		t.Errorf("a reply of another type: error %v", err)
	}
	if err := r.Call(t.Context(), "nonsense", nil, nil); err == nil || err.Error() != `no control method "nonsense"` {
		t.Errorf("unknown method: error %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := r.Run(t.Context(), engine.Plan{}, realTime().sink); err == nil {
		t.Error("a closed engine ran a plan")
	}
}

// What dies at or before opening.
func TestOpenRemote_Errors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		role, what, log string
	}{
		{"exits at once", "died: exit status 1", "cannot find libpython"},
		{"answers with text", "answered nonsense (broken frame: starts with 54 72 61 63) and was killed", ""},
		{"answers with half a frame", "answered nonsense (broken frame: ended after 10 of 100 bytes) and was killed", ""},
		{"answers with a frame of 4 GiB", "answered nonsense (broken frame: length 4294967295 exceeds 1073741824) and was killed", ""},
		{"answers without a description", "answered nonsense (no description of the engine) and was killed", ""},
		{"closes its pipe and stays", "closed its pipe without exiting and was killed", ""},
		{"never answers", "gave no sign for 300ms and was killed", "started"},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			t.Parallel()
			opt := pythonless(t, tt.role)
			pid := reportPID(&opt)
			opt.CloseTimeout = 300 * time.Millisecond
			if tt.role == "never answers" {
				opt.OpenTimeout = 300 * time.Millisecond
			}
			r, err := engine.OpenRemote(t.Context(), tiny("x"), opt)
			if r != nil {
				t.Error("an engine besides the error")
			}
			w := workerError(t, err, "open", tt.what)
			if !mentions(w.LogTail, tt.log) || !strings.Contains(err.Error(), tt.log) {
				t.Errorf("the log %q is missing in %q", tt.log, err)
			}
			assertGone(t, pid(t))
		})
	}
}

// reportPID makes the worker's first line its process id, by way of a shell, and
// returns a function that gives it. A test has no Remote to ask when opening fails.
func reportPID(opt *engine.WorkerOptions) func(*testing.T) int {
	opt.Command = append([]string{"/bin/sh", "-c", `echo $$; exec "$@"`, "sh"}, opt.Command...)
	first := make(chan string, 1)
	next := opt.Log
	opt.Log = func(line string) {
		select {
		case first <- line:
		default:
			if next != nil {
				next(line)
			}
		}
	}
	return func(t *testing.T) int {
		t.Helper()
		pid, err := strconv.Atoi(<-first)
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
}

func TestOpenRemoteCannotStart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(*engine.WorkerOptions)
		want string
	}{
		{"no worker", func(o *engine.WorkerOptions) { o.Command = []string{"/nonexistent/stepbench"} },
			"start worker /nonexistent/stepbench: fork/exec /nonexistent/stepbench: no such file or directory"},
		{"no python", func(o *engine.WorkerOptions) { o.Host.Python = "/nonexistent/python" },
			"python /nonexistent/python: no such file or directory: set STEPBENCH_PYTHON to a python executable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opt := pythonless(t, "stepper")
			tt.edit(&opt)
			r, err := engine.OpenRemote(t.Context(), tiny("x"), opt)
			if r != nil || err == nil || err.Error() != tt.want {
				t.Fatalf("error %v\nwant  %s", err, tt.want)
			}
			if python := tt.name == "no python"; errors.Is(err, engine.ErrEnvironment) != python {
				t.Errorf("error %v marked as one of the environment: %v", err, !python)
			}
		})
	}
	if _, err := engine.OpenRemote(t.Context(), engine.Config{Extra: map[string]any{"f": func() {}}}, pythonless(t, "stepper")); err == nil {
		t.Error("a config that is no JSON was sent")
	}
}

func TestCancelOpening(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	opt := pythonless(t, "never answers")
	why := errors.New("the user gave up")
	opt.Log = func(line string) { // "started": the worker is up and silent
		cancel(why)
	}
	pid := reportPID(&opt)
	if _, err := engine.OpenRemote(ctx, tiny("x"), opt); err != why {
		t.Errorf("error %v, want the context's cause alone", err)
	}
	assertGone(t, pid(t))
}

// long is one request that takes far longer than any test.
func long() engine.Plan {
	return engine.Plan{Arrivals: []engine.Arrival{arrive(0, 0, 1), arrive(1, 0, 1_000_000)}, KeepTokens: true}
}

func TestWorkerIsKilledInARun(t *testing.T) {
	t.Parallel()
	cfg := tiny("a")
	cfg.Extra = map[string]any{"log": "the last words", "child": true}
	r := open(t, cfg, pythonless(t, "stepper"))
	rec := realTime()
	err := r.Run(t.Context(), long(), func(b engine.Batch) error {
		if len(b.Steps) > 0 {
			_ = syscall.Kill(r.PID(), syscall.SIGKILL)
		}
		return rec.sink(b)
	})
	w := workerError(t, err, "run", "died: signal: killed")
	if diff := cmp.Diff([]string{"the last words"}, w.LogTail); diff != "" {
		t.Errorf("log tail (-want +got)\n%s", diff)
	}
	if want := "worker died: signal: killed during run; its last output:\n  the last words"; err.Error() != want {
		t.Errorf("error %q\nwant  %q", err, want)
	}
	if len(rec.steps) == 0 || rec.requests[0].Finish != engine.FinishLength {
		t.Errorf("%d steps, %d results from before", len(rec.steps), len(rec.requests))
	}
	assertGone(t, r.PID()) // its child as well
	workerError(t, r.Run(t.Context(), long(), rec.sink), "run", "died: signal: killed")
	workerError(t, r.Call(t.Context(), "echo", 1, nil), "call echo", "died: signal: killed")
	if err := r.Close(); err != nil {
		t.Errorf("close of a dead worker: %v", err)
	}
}

func TestCancelARun(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), pythonless(t, "stepper"))
	ctx, cancel := context.WithCancel(t.Context())
	rec := realTime()
	err := r.Run(ctx, long(), func(b engine.Batch) error {
		cancel()
		return rec.sink(b)
	})
	if err != context.Canceled {
		t.Errorf("error %v, want the context's alone", err)
	}
	if q := rec.requests[0]; q.Finish != engine.FinishLength {
		t.Errorf("request 0 ended as %s", q.Finish)
	}
	q := rec.requests[1]
	if q.Finish != engine.FinishAbort || q.OutputTokens == 0 || int(q.OutputTokens) != len(rec.steps) || len(q.Tokens) != len(rec.steps) {
		t.Errorf("request 1 ended as %s with %d tokens after %d steps", q.Finish, q.OutputTokens, len(rec.steps))
	}
	if _, ok := q.TTFT(); !ok {
		t.Error("the partial result has no TTFT")
	}
	// A context that is over starts nothing and harms nothing.
	if err := r.Run(ctx, long(), rec.sink); err != context.Canceled {
		t.Errorf("run after the end: %v", err)
	}
	if err := r.Call(ctx, "echo", 1, nil); err != context.Canceled {
		t.Errorf("call after the end: %v", err)
	}
	again := realTime()
	if err := r.Run(t.Context(), engine.Plan{Arrivals: every(0, 2, 2)}, again.sink); err != nil || again.last().Finished != 2 {
		t.Errorf("the next plan: %+v, %v", again.last(), err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// A stop that comes as its plan ends must not end the next one.
func TestLateStopHarmsNothing(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), pythonless(t, "stepper"))
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		err := r.Run(ctx, engine.Plan{Arrivals: every(0, 1, 2)}, func(engine.Batch) error {
			cancel() // the only batch comes at the end
			return nil
		})
		if err != nil && err != context.Canceled {
			t.Fatal(err)
		}
		rec := realTime()
		if err := r.Run(t.Context(), engine.Plan{Arrivals: every(0, 2, 2)}, rec.sink); err != nil || rec.last().Finished != 2 {
			t.Fatalf("the next plan: %+v, %v", rec.last(), err)
		}
	}
}

func TestRemoteSinkError(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), pythonless(t, "stepper"))
	full := errors.New("disk full")
	calls := 0
	err := r.Run(t.Context(), long(), func(engine.Batch) error {
		calls++
		return full
	})
	if err != full || calls != 1 {
		t.Errorf("error %v after %d batches, want the sink's after one", err, calls)
	}
	rec := realTime()
	if err := r.Run(t.Context(), engine.Plan{Arrivals: every(0, 2, 2)}, rec.sink); err != nil || rec.last().Finished != 2 {
		t.Errorf("the next plan: %+v, %v", rec.last(), err)
	}
}

// A slow sink is not a hung worker.
func TestSlowSink(t *testing.T) {
	t.Parallel()
	opt := pythonless(t, "stepper")
	opt.StepTimeout = time.Second
	r := open(t, tiny("a"), opt)
	slept := false
	err := r.Run(t.Context(), engine.Plan{Arrivals: every(0, 1, 200)}, func(engine.Batch) error {
		if !slept {
			slept = true
			time.Sleep(1500 * time.Millisecond)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPlanThatCannotBeSent(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), pythonless(t, "stepper"))
	plan := long()
	plan.Arrivals[1].Sampling.Temperature = math.NaN()
	if err := r.Run(t.Context(), plan, realTime().sink); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("error %v, want one about NaN", err)
	}
	if err := r.Call(t.Context(), "echo", math.Inf(1), nil); err == nil || !strings.HasPrefix(err.Error(), "call echo: ") {
		t.Errorf("error %v", err)
	}
	if err := r.Call(t.Context(), "echo", 1, nil); err != nil {
		t.Errorf("the worker suffered: %v", err)
	}
}

// More bytes than a pipe holds, to a worker that does not read them.
func TestWorkerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	plan := engine.Plan{Arrivals: []engine.Arrival{{Request: engine.Request{Prompt: make([]int32, 1<<20)}}}}
	tests := []struct {
		name   string
		cancel bool
	}{
		{"found by its silence", false},
		{"the context ends first", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opt := pythonless(t, "does not read")
			opt.StepTimeout = 300 * time.Millisecond
			r := open(t, tiny("a"), opt)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.cancel {
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			err := r.Run(ctx, plan, realTime().sink)
			workerError(t, err, "run", "gave no sign for 300ms and was killed")
			if errors.Is(err, context.Canceled) != tt.cancel {
				t.Errorf("error %v, canceled %v", err, tt.cancel)
			}
			assertGone(t, r.PID())
		})
	}
}

func TestHungCall(t *testing.T) {
	t.Parallel()
	opt := pythonless(t, "stepper")
	opt.StepTimeout = 300 * time.Millisecond
	r := open(t, tiny("a"), opt)
	workerError(t, r.Call(t.Context(), "hang", nil, nil), "call hang", "gave no sign for 300ms and was killed")
	assertGone(t, r.PID())
}

func TestPanicInTheWorker(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), pythonless(t, "stepper"))
	w := workerError(t, r.Call(t.Context(), "panic", nil, nil), "call panic", "died: exit status 2")
	if !mentions(w.LogTail, "panic: a bug in the worker") {
		t.Errorf("the reason is missing in\n%s", strings.Join(w.LogTail, "\n"))
	}
}

func TestClose_Errors(t *testing.T) {
	t.Parallel()
	tests := []struct{ role, what, log string }{
		{"ignores close", "gave no sign for 300ms and was killed", ""},
		{"exits instead of closing", "died: exit status 1", "lost its mind"},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			t.Parallel()
			opt := pythonless(t, tt.role)
			opt.CloseTimeout = 300 * time.Millisecond
			r := open(t, tiny("a"), opt)
			err := r.Close()
			if tt.log != "" && err == nil {
				return // it was gone before anybody asked
			}
			workerError(t, err, "close", tt.what)
			assertGone(t, r.PID())
			if err := r.Close(); err != nil {
				t.Errorf("second close: %v", err)
			}
		})
	}
}

func TestLogLines(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	log := newLines()
	opt := pythonless(t, "stepper")
	opt.Log = log.add
	cfg := tiny("a")
	cfg.Extra = map[string]any{"log": "one\n\ntwo", "line": size}
	r := open(t, cfg, opt)
	err := r.Call(t.Context(), "panic", nil, nil)
	if err == nil {
		t.Fatal("the worker survived")
	}
	if len(err.Error()) > 16<<10 {
		t.Errorf("an error of %d bytes: the long line is not cut", len(err.Error()))
	}
	all := log.all() // complete: nothing is logged after a worker is gone
	if diff := cmp.Diff([]string{"one", "", "two"}, all[:3]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	x := 0
	for _, line := range all {
		if strings.HasPrefix(line, "xx") {
			x += len(line)
		}
	}
	if x != size {
		t.Errorf("%d of the long line's %d bytes came through", x, size)
	}
	if !mentions(all, "panic: a bug in the worker") {
		t.Error("the worker's last lines did not come through")
	}
}

// What a worker says at its very end comes through, and before Close returns.
func TestLogIsCompleteAfterClose(t *testing.T) {
	t.Parallel()
	log := newLines()
	opt := pythonless(t, "stepper")
	opt.Log = func(line string) {
		time.Sleep(10 * time.Microsecond) // slower than the worker writes
		log.add(line)
	}
	r := open(t, tiny("a"), opt)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if all := log.all(); len(all) != farewell || all[farewell-1] != fmt.Sprint("line ", farewell-1) {
		t.Errorf("%d lines, want %d", len(all), farewell)
	}
}

func TestTwoWorkersAtOnce(t *testing.T) {
	t.Parallel()
	var done [2]chan error
	for i := range done {
		done[i] = make(chan error, 1)
		name := fmt.Sprint("engine", i)
		r := open(t, tiny(name), pythonless(t, "stepper"))
		if r.Info().Device != name {
			t.Errorf("engine %d is %q", i, r.Info().Device)
		}
		go func() {
			rec := realTime()
			err := r.Run(t.Context(), engine.Plan{Arrivals: every(5*ms, 10, 3+i)}, rec.sink)
			if err == nil && int(rec.last().OutputTokens) != 10*(3+i) {
				err = fmt.Errorf("%d tokens", rec.last().OutputTokens)
			}
			done[i] <- errors.Join(err, r.Close())
		}()
	}
	for i := range done {
		if err := <-done[i]; err != nil {
			t.Errorf("engine %d: %v", i, err)
		}
	}
}

// A worker and what it started end with their parent.
func TestParentIsKilled(t *testing.T) {
	t.Parallel()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), roleVar+"=parent", "STEPBENCH_PYTHON="+stubPython(t))
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	text, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid, worker int
	if _, err := fmt.Sscan(text, &pid, &worker); err != nil {
		t.Fatal(err)
	}
	if alive := group(worker); len(alive) != 2 {
		t.Errorf("worker and child before: %s", alive)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	assertGone(t, worker)
}
