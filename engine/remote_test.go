package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// reportPID makes the worker's first line its process id, by way of a shell, and

// returns a function that gives it. A test has no Remote to ask when opening fails.

// long is one request that takes far longer than any test.

func long() engine.Plan {
	return engine.Plan{Arrivals: []engine.Arrival{arrive(0, 0, 1), arrive(1, 0, 1_000_000)}, KeepTokens: true}
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

// More bytes than a pipe holds, to a worker that does not read them.

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
