package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// answering gives a fixed answer to every control method.
type answering struct {
	*enginetest.Fake
	text string
}

func (a answering) Call(_ string, _, reply any) error { return json.Unmarshal([]byte(a.text), reply) }

func TestRemoteFeed(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), pythonless(t, "stepper"))
	for feed := range 2 { // a worker serves any number of feeds and plans
		rec := realTime()
		source, _ := numbered(1500, 2)
		odd := func(ctx context.Context, most int) ([]engine.Request, error) {
			reqs, err := source(ctx, most)
			for i := range reqs {
				switch reqs[i].ID {
				case 7:
					reqs[i].Sampling.Temperature = math.NaN()
				case 8:
					reqs[i].Prompt = nil
				case 9:
					reqs[i].Sampling.Logprobs = &feed
				}
			}
			return reqs, err
		}
		if err := r.Feed(t.Context(), engine.Feed{KeepTokens: true}, odd, rec.sink); err != nil {
			t.Fatal(err)
		}
		if p := rec.last(); len(rec.order) != 1500 || len(rec.requests) != 1500 || p.Finished != 1498 || p.Failed != 2 || p.Admitted != 1500 {
			t.Errorf("feed %d: %d results, progress %+v", feed, len(rec.order), p)
		}
		if q := rec.requests[7]; q.Finish != engine.FinishError || q.PromptTokens != 3 ||
			q.Error != "sampling parameters: json: unsupported value: NaN" {
			t.Errorf("request 7: %+v", q)
		}
		if q := rec.requests[8]; q.Error != "the prompt is empty" {
			t.Errorf("request 8: %+v", q)
		}
		if l := rec.logprobs[9].Output; len(rec.logprobs) != 1 || l == nil || l.Top != feed || l.Len() != 2 {
			t.Errorf("logprobs %+v", rec.logprobs)
		}
		if q := rec.requests[1499]; !cmp.Equal(q.Tokens, []int32{(1 + 2 + 1499%1000) % 1000, (1 + 2 + 1499%1000 + 1) % 1000}) {
			t.Errorf("request 1499 has tokens %d", q.Tokens)
		}
		again := realTime()
		if err := r.Run(t.Context(), engine.Plan{Arrivals: every(0, 2, 2)}, again.sink); err != nil || again.last().Finished != 2 || len(again.steps) == 0 {
			t.Errorf("a plan after the feed: %+v, %v", again.last(), err)
		}
	}
}

// A source that has nothing for longer than the worker may be silent.
func TestRemoteFeedFromASlowSource(t *testing.T) {
	t.Parallel()
	opt := pythonless(t, "stepper")
	opt.StepTimeout = 1500 * time.Millisecond // an idle worker speaks each second
	r := open(t, tiny("a"), opt)
	calls := 0
	rec := realTime()
	err := r.Feed(t.Context(), engine.Feed{}, func(context.Context, int) ([]engine.Request, error) {
		if calls++; calls == 2 {
			time.Sleep(2500 * time.Millisecond)
			return []engine.Request{arrive(1, 0, 1).Request}, io.EOF
		}
		return []engine.Request{arrive(0, 0, 1).Request}, nil
	}, rec.sink)
	if err != nil || rec.last().Finished != 2 {
		t.Errorf("%v after %+v", err, rec.last())
	}
	if rec.last().EmptyNs < int64(time.Second) {
		t.Errorf("the engine was empty for %d ns", rec.last().EmptyNs)
	}
}

func TestRemoteFeedEndsEarly(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), pythonless(t, "stepper"))
	interrupted, full, broken := errors.New("interrupted"), errors.New("disk full"), errors.New("line 7 is broken")
	tests := []struct {
		name string
		want error
		end  func(cancel context.CancelCauseFunc, fail chan<- error) error
	}{
		{"the context", interrupted, func(cancel context.CancelCauseFunc, _ chan<- error) error { cancel(interrupted); return nil }},
		{"the sink", full, func(context.CancelCauseFunc, chan<- error) error { return full }},
		{"the source", broken, func(_ context.CancelCauseFunc, fail chan<- error) error { fail <- broken; return nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			fail := make(chan error, 100)
			source, _ := numbered(1_000_000, 5)
			failing := func(ctx context.Context, most int) ([]engine.Request, error) {
				select {
				case err := <-fail:
					return nil, err
				default:
				}
				reqs, err := source(ctx, most)
				for i := range reqs {
					if reqs[i].ID == 5 {
						reqs[i].Sampling.MaxTokens = 1_000_000
					}
				}
				return reqs, err
			}
			rec := realTime()
			err := r.Feed(ctx, engine.Feed{Concurrency: 16}, failing, func(b engine.Batch) error {
				if len(b.Requests) > 0 && rec.requests != nil {
					if err := tt.end(cancel, fail); err != nil {
						return err
					}
				}
				return rec.sink(b)
			})
			if err != tt.want {
				t.Errorf("error %v, want %v alone", err, tt.want)
			}
			if q, delivered := rec.requests[5]; delivered != (tt.want != full) || delivered && q.Finish != engine.FinishAbort {
				t.Errorf("the request that would not end: delivered %v, ended as %s", delivered, q.Finish)
			}
			again := realTime()
			more, _ := numbered(40, 2)
			if err := r.Feed(t.Context(), engine.Feed{Concurrency: 5}, more, again.sink); err != nil || again.last().Finished != 40 || again.last().Admitted != 40 {
				t.Errorf("the next feed: %+v, %v", again.last(), err)
			}
		})
	}
}

// What is outstanding when a worker dies is what its caller thinks.
func TestWorkerIsKilledInAFeed(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), pythonless(t, "stepper"))
	rec := realTime()
	source, given := numbered(1_000_000, 3)
	err := r.Feed(t.Context(), engine.Feed{Concurrency: 10}, source, func(b engine.Batch) error {
		if len(rec.order) >= 20 {
			_ = syscall.Kill(r.PID(), syscall.SIGKILL)
		}
		return rec.sink(b)
	})
	workerError(t, err, "run", "died: signal: killed")
	if lost := given.Load() - int64(len(rec.order)); lost < 1 || lost > 10 {
		t.Errorf("%d outstanding of %d with at most 10 at once", lost, given.Load())
	}
	for id, q := range rec.requests {
		if q.Finish != engine.FinishLength || id >= given.Load() {
			t.Errorf("request %d ended as %s", id, q.Finish)
		}
	}
	assertGone(t, r.PID())
	err = r.Feed(t.Context(), engine.Feed{}, source, rec.sink)
	workerError(t, err, "run", "died: signal: killed")
}

// Prompts larger than a frame should be go in several.
func TestRemoteFeedOfLongPrompts(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("a"), pythonless(t, "stepper"))
	var reqs []engine.Request
	for id := range int64(5) {
		reqs = append(reqs, engine.Request{ID: id, Prompt: make([]int32, 600_000), Sampling: engine.Sampling{MaxTokens: 1}})
	}
	rec := realTime()
	err := r.Feed(t.Context(), engine.Feed{}, func(context.Context, int) ([]engine.Request, error) { return reqs, io.EOF }, rec.sink)
	if err != nil || rec.last().Finished != 5 || rec.last().CtxTokens != 3_000_000 {
		t.Errorf("%v after %+v", err, rec.last())
	}
}

// A worker that does not read is found in a feed as in a run.
func TestFeedToAWorkerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	opt := pythonless(t, "does not read")
	opt.StepTimeout = 300 * time.Millisecond
	r := open(t, tiny("a"), opt)
	next := int64(0)
	source := func(context.Context, int) ([]engine.Request, error) {
		next++
		return []engine.Request{{ID: next, Prompt: make([]int32, 1<<20), Sampling: engine.Sampling{MaxTokens: 1}}}, nil
	}
	err := r.Feed(t.Context(), engine.Feed{}, source, realTime().sink)
	workerError(t, err, "run", "gave no sign for 300ms and was killed")
	assertGone(t, r.PID())
}
