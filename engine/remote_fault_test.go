package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

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
