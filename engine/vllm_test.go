package engine_test

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/bridge"
	"stepbench/engine"
)

// Prompt tokens that make the fake vllm misbehave (csrc/testdata/fake/vllm).
const (
	raises = 666
	faults = 668
	hangs  = 669
	exits  = 670
	slow   = 671 // 50 ms a step
)

// trouble is good request 0, slow enough for a batch or more, and request 1
// with the given token in its prompt, which arrives when that is delivered.
func trouble(token int32) engine.Plan {
	plan := engine.Plan{Arrivals: []engine.Arrival{arrive(0, 0, 4), arrive(1, 500*ms, 4)}}
	plan.Arrivals[0].Prompt = []int32{slow, 1}
	plan.Arrivals[1].Prompt = []int32{1, token}
	return plan
}

// wantPython fails t unless err carries that exception with its traceback.
func wantPython(t *testing.T, err error, kind, message, in string) {
	t.Helper()
	var p *bridge.PythonError
	if !errors.As(err, &p) {
		t.Fatalf("error %v, want a PythonError", err)
	}
	if p.Type != kind || !strings.Contains(p.Message, message) {
		t.Errorf("%s: %s, want %s: …%s…", p.Type, p.Message, kind, message)
	}
	if !strings.HasPrefix(p.Traceback, "Traceback (most recent call last):") || !strings.Contains(p.Traceback, in) {
		t.Errorf("the traceback does not lead to %s:\n%s", in, p.Traceback)
	}
	if strings.Count(err.Error(), message) != 1 {
		t.Errorf("the error does not say %q once: %s", message, err)
	}
}

func TestFakeVLLM(t *testing.T) {
	t.Parallel()
	log := newLines()
	opt := onFakeVLLM(t)
	opt.Log = log.add
	r := open(t, tiny("a"), opt)
	if i := r.Info(); i.VLLMVersion != "0.26.0-fake" || i.Env["VLLM_ENABLE_V1_MULTIPROCESSING"] != "0" || i.OpenSeconds <= 0 {
		t.Errorf("info %+v", i)
	}
	rec := realTime()
	plan := engine.Plan{Arrivals: every(2*ms, 6, 5), KeepTokens: true}
	plan.Arrivals[2].Prompt = []int32{1, 1000} // outside the vocabulary
	plan.Arrivals[3].Prompt = []int32{667}     // vLLM refuses it
	plan.Arrivals[4].Sampling.MaxTokens = 0
	if err := r.Run(t.Context(), plan, rec.sink); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[int64]string{
		0: "", 1: "", 5: "",
		2: "token 1 of the prompt is 1000, outside the vocabulary 0..999",
		3: "ValueError: request 3 cannot be served",
		4: "ValueError: max_tokens must be at least 1, got 0.",
	} {
		q := rec.requests[id]
		if q.Error != want {
			t.Errorf("request %d: error %q, want %q", id, q.Error, want)
		}
		if want != "" {
			continue
		}
		if q.Finish != engine.FinishLength || len(q.Tokens) != 5 || q.EngineOutputs != 5 {
			t.Errorf("request %d ended as %s with %d tokens", id, q.Finish, len(q.Tokens))
		}
		if d, ok := q.Delivery(); !ok || d < 0 {
			t.Errorf("request %d: delivered %d ns after its last token", id, d)
		}
		if q.EngineUnixNs-q.AnchorUnixNs != q.ArrivalNs-q.AnchorNs && abs(q.EngineUnixNs-q.AnchorUnixNs-q.ArrivalNs+q.AnchorNs) > 1000 {
			t.Errorf("request %d: the engine counts from another arrival", id)
		}
	}
	for i, s := range rec.steps {
		if !(s.EnterNs <= s.GILNs && s.GILNs <= s.CallNs && s.CallNs <= s.ReturnNs && s.ReturnNs <= s.ExitNs) || s.BridgeNs <= 0 {
			t.Errorf("step %d: stamps out of order: %+v", i, s)
		}
	}
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if got := log.all(); !mentions(got, "stepbench: engine open after") {
		t.Errorf("log %q", got)
	}
}

func abs(n int64) int64 { return max(n, -n) }

// Requests of one batch with different faults: each is refused for its own.
func TestRefusalsInOneBatch(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), onFakeVLLM(t))
	plan := engine.Plan{Arrivals: every(0, 8, 2)}
	for _, i := range []int{0, 3, 4, 7} {
		plan.Arrivals[i].Sampling.MaxTokens = 0
	}
	plan.Arrivals[2].Prompt = []int32{-1}
	plan.Arrivals[5].Prompt = []int32{667}
	rec := realTime()
	if err := r.Run(t.Context(), plan, rec.sink); err != nil {
		t.Fatal(err)
	}
	for id, q := range rec.requests {
		good := id == 1 || id == 6
		if good != (q.Finish == engine.FinishLength && q.Error == "") {
			t.Errorf("request %d ended as %s: %s", id, q.Finish, q.Error)
		}
	}
	if got := rec.last(); got.Finished != 2 || got.Failed != 6 {
		t.Errorf("progress %+v", got)
	}
}

// The process dies in a step: a segmentation fault in a kernel.
func TestFaultInAStep(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), onFakeVLLM(t))
	rec := realTime()
	err := r.Run(t.Context(), trouble(faults), rec.sink)
	w := workerError(t, err, "run", "died: exit status 2") // Go's runtime ends it
	if !mentions(w.LogTail, "SIGSEGV: segmentation violation") || !mentions(w.LogTail, "stepbench: engine open") {
		t.Errorf("log tail\n%s", strings.Join(w.LogTail, "\n"))
	}
	if rec.requests[0].Finish != engine.FinishLength {
		t.Error("the result from before is lost")
	}
	assertGone(t, r.PID())
}

// An exception in a step ends the plan, not the worker.
func TestExceptionInAStep(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		token         int32
		kind, message string
	}{
		{"RuntimeError", raises, "RuntimeError", "the kernel failed"},
		{"SystemExit", exits, "SystemExit", "3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := open(t, tiny("a"), onFakeVLLM(t))
			rec := realTime()
			err := r.Run(t.Context(), trouble(tt.token), rec.sink)
			wantPython(t, err, tt.kind, tt.message, "misbehave")
			var w *engine.WorkerError
			if errors.As(err, &w) {
				t.Errorf("the worker counts as dead: %v", err)
			}
			if rec.requests[0].Finish != engine.FinishLength {
				t.Error("the result from before is lost")
			}
			if q := rec.requests[1]; q.Finish != engine.FinishAbort || q.QueuedNs == 0 || q.FirstTokenNs != 0 {
				t.Errorf("request 1 ended as %s, queued %d, first token %d", q.Finish, q.QueuedNs, q.FirstTokenNs)
			}
			var threads []string
			if err := r.Call(t.Context(), "threads", nil, &threads); err != nil || len(threads) == 0 {
				t.Errorf("the worker does not answer any more: %q, %v", threads, err)
			}
			if err := r.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func TestHangingStep(t *testing.T) {
	t.Parallel()
	opt := onFakeVLLM(t)
	opt.StepTimeout = 300 * time.Millisecond
	r := open(t, tiny("a"), opt)
	plan := trouble(hangs)
	plan.Arrivals[1].OffsetNs = 0
	err := r.Run(t.Context(), plan, realTime().sink)
	w := workerError(t, err, "run", "gave no sign for 300ms and was killed")
	if !mentions(w.LogTail, "stepbench: engine open") {
		t.Errorf("log tail %q", w.LogTail)
	}
	assertGone(t, r.PID())
}

func TestCancelAHangingStep(t *testing.T) {
	t.Parallel()
	opt := onFakeVLLM(t)
	opt.StepTimeout = 2 * time.Second
	r := open(t, tiny("a"), opt)
	ctx, cancel := context.WithCancel(t.Context())
	rec := realTime()
	err := r.Run(ctx, trouble(hangs), func(b engine.Batch) error {
		if len(b.Requests) > 0 {
			time.AfterFunc(700*time.Millisecond, cancel)
		}
		return rec.sink(b)
	})
	workerError(t, err, "run", "gave no sign for 2s and was killed")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v does not say that it was cancelled", err)
	}
	if rec.requests[0].Finish != engine.FinishLength {
		t.Error("the result from before is lost")
	}
	assertGone(t, r.PID())
}

func TestOpenLocal_Errors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, model, shim   string
		kind, message, want string
	}{
		{"unknown model", "unknown", "", "OSError", "is not a local folder and is not a model identifier",
			"open model unknown: OSError: /models/unknown is not a local folder and is not a model identifier"},
		{"no memory", "oom", "", "MemoryError", "cannot allocate the KV cache",
			"open model oom: MemoryError: cannot allocate the KV cache"},
		{"no shim", "a", "/nonexistent/libstepbench.so", "", "",
			"load shim: stat /nonexistent/libstepbench.so: no such file or directory: run make build, or set STEPBENCH_SHIM"},
		{"shim is no library", "a", "doc.go", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opt := onFakeVLLM(t)
			opt.Host.Shim = tt.shim
			pid := reportPID(&opt)
			r, err := engine.OpenRemote(t.Context(), tiny(tt.model), opt)
			if r != nil || err == nil {
				t.Fatalf("engine %v, error %v", r, err)
			}
			if tt.want != "" && err.Error() != tt.want {
				t.Errorf("error %s\nwant  %s", err, tt.want)
			}
			if !errors.Is(err, engine.ErrEnvironment) {
				t.Errorf("error %v is not marked as one of the environment", err)
			}
			if tt.kind != "" {
				wantPython(t, err, tt.kind, tt.message, "arg_utils.py")
			} else if !strings.HasPrefix(err.Error(), "load shim") || !strings.Contains(err.Error(), "run make build") {
				t.Errorf("error %s", err)
			}
			assertGone(t, pid(t))
		})
	}
}

// Python of another build than the shim's.
func TestOpenLocalWithAForeignPython(t *testing.T) {
	t.Parallel()
	opt := onFakeVLLM(t)
	opt.Host.Python = stubPython(t)
	pid := reportPID(&opt)
	_, err := engine.OpenRemote(t.Context(), tiny("a"), opt)
	if err == nil || !strings.Contains(err.Error(), opt.Host.Python) || !strings.HasSuffix(err.Error(), "run make build") {
		t.Errorf("error %v", err)
	}
	assertGone(t, pid(t))
}

func TestTwoFakeVLLMsAtOnce(t *testing.T) {
	t.Parallel()
	a, b := open(t, tiny("a"), onFakeVLLM(t)), open(t, tiny("b"), onFakeVLLM(t))
	recA, recB := realTime(), realTime()
	done := make(chan error)
	go func() { done <- a.Run(t.Context(), engine.Plan{Arrivals: every(ms, 20, 3)}, recA.sink) }()
	if err := b.Run(t.Context(), engine.Plan{Arrivals: every(ms, 20, 4)}, recB.sink); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if recA.last().OutputTokens != 60 || recB.last().OutputTokens != 80 {
		t.Errorf("%d and %d tokens, want 60 and 80", recA.last().OutputTokens, recB.last().OutputTokens)
	}
}

// A feed through Python: final only, with logprobs, and each refused for its own.
func TestFeedOnFakeVLLM(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), onFakeVLLM(t))
	two, many := 2, 21
	reqs := make([]engine.Request, 600)
	for i := range reqs {
		reqs[i] = arrive(int64(i%100), 0, i%4+1).Request
		reqs[i].ID = int64(i)
	}
	reqs[3].Prompt = []int32{raises + 1} // vLLM refuses it
	reqs[4].Prompt = []int32{1000}       // outside the vocabulary
	reqs[5].Sampling.Temperature = math.Inf(1)
	reqs[6].Sampling.Logprobs = &many
	reqs[7].Sampling.Logprobs, reqs[7].Sampling.PromptLogprobs = &two, new(int)
	refusals := map[int64]string{
		3: "ValueError: request 3 cannot be served",
		4: "token 0 of the prompt is 1000, outside the vocabulary 0..999",
		5: "sampling parameters: json: unsupported value: +Inf",
		6: "ValueError: Requested sample logprobs of 21, more than 20",
	}
	rec, rest := realTime(), reqs
	err := r.Feed(t.Context(), engine.Feed{Concurrency: 50, KeepTokens: true}, func(_ context.Context, most int) (some []engine.Request, err error) {
		some, rest = rest[:min(most, len(rest))], rest[min(most, len(rest)):]
		if len(rest) == 0 {
			err = io.EOF
		}
		return some, err
	}, rec.sink)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range reqs {
		got := rec.requests[int64(i)]
		if got.Error != refusals[int64(i)] {
			t.Errorf("request %d: error %q, want %q", i, got.Error, refusals[int64(i)])
		}
		if got.Error == "" && (len(got.Tokens) != want.Sampling.MaxTokens || got.LastTokenNs == 0 || got.TokenNs != nil) {
			t.Errorf("request %d: %+v", i, got)
		}
	}
	got := rec.logprobs[7]
	first := rec.requests[7].Tokens[0] // of four
	if len(rec.logprobs) != 1 {
		t.Errorf("logprobs of %d requests, one asked", len(rec.logprobs))
	}
	want := &engine.Logprobs{Top: 2}
	for k := range int32(4) {
		want.Tokens = append(want.Tokens, first+k, 0, 1)
		want.Values = append(want.Values, -float32(first+k)/8, 0, -0.125)
	}
	if diff := cmp.Diff(want, got.Output); diff != "" {
		t.Errorf("logprobs (-want +got)\n%s", diff)
	}
	want = &engine.Logprobs{Tokens: []int32{2, 7}, Values: []float32{-0.25, -0.875}}
	if diff := cmp.Diff(want, got.Prompt); diff != "" {
		t.Errorf("prompt logprobs (-want +got)\n%s", diff)
	}
}

// A step that kills the process in a feed.
func TestFaultInAFeed(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), onFakeVLLM(t))
	rec, next := realTime(), int64(0)
	source := func(context.Context, int) ([]engine.Request, error) {
		next++
		q := arrive(next, 0, 2).Request
		if next == 300 {
			q.Prompt = []int32{faults}
		}
		return []engine.Request{q}, nil
	}
	err := r.Feed(t.Context(), engine.Feed{Concurrency: 4}, source, rec.sink)
	workerError(t, err, "run", "died: exit status 2")
	if _, done := rec.requests[300]; done || len(rec.order) < 290 || next > 304 {
		t.Errorf("%d results of %d requests, the killer's among them: %v", len(rec.order), next, done)
	}
}
