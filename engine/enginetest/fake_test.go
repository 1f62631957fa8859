package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

// drive submits requests and steps n times, describing each step.
func drive(t *testing.T, f *Fake, n int, limits engine.Limits, reqs ...engine.Request) (steps []engine.Step, described []string) {
	t.Helper()
	refused, err := f.Submit(reqs, make([]int64, len(reqs)))
	if err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	for range n {
		r, err := f.Step(limits)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, r.Step)
		described = append(described, fmt.Sprintf("ctx %d/%d gen %d/%d running %d waiting %d",
			r.CtxReqs, r.CtxTokens, r.GenReqs, r.GenTokens, r.Running, r.Waiting))
	}
	return steps, described
}

func request(id int64, prompt, outputs int) engine.Request {
	return engine.Request{ID: id, Prompt: make([]int32, prompt), Sampling: engine.Sampling{MaxTokens: outputs}}
}

func TestSchedule(t *testing.T) {
	tests := []struct {
		name   string
		fake   Fake
		limits engine.Limits
		reqs   []engine.Request
		want   []string
	}{
		{"no limits", Fake{}, engine.Limits{}, []engine.Request{request(0, 10, 2), request(1, 20, 3)}, []string{
			"ctx 2/30 gen 0/0 running 2 waiting 0",
			"ctx 0/0 gen 2/2 running 1 waiting 0",
			"ctx 0/0 gen 1/1 running 0 waiting 0",
			"ctx 0/0 gen 0/0 running 0 waiting 0",
		}},
		{"prompts in chunks", Fake{MaxTokens: 16}, engine.Limits{}, []engine.Request{request(0, 10, 2), request(1, 20, 1)}, []string{
			"ctx 2/16 gen 0/0 running 2 waiting 0",
			"ctx 1/14 gen 1/1 running 0 waiting 0",
		}},
		{"sequences wait", Fake{MaxSeqs: 1}, engine.Limits{}, []engine.Request{request(0, 4, 2), request(1, 4, 1)}, []string{
			"ctx 1/4 gen 0/0 running 1 waiting 1",
			"ctx 0/0 gen 1/1 running 0 waiting 1",
			"ctx 1/4 gen 0/0 running 0 waiting 0",
		}},
		{"limits of a step", Fake{MaxTokens: 16, MaxSeqs: 8}, engine.Limits{Tokens: 8, Seqs: 1},
			[]engine.Request{request(0, 10, 1), request(1, 2, 1)}, []string{
				"ctx 1/8 gen 0/0 running 1 waiting 1",
				"ctx 1/2 gen 0/0 running 0 waiting 1",
				"ctx 1/2 gen 0/0 running 0 waiting 0",
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.fake.Clock = &Clock{}
			_, got := drive(t, &tt.fake, len(tt.want), tt.limits, tt.reqs...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestStepTimes(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name string
		time func(engine.Step) time.Duration
		want []time.Duration
	}{
		{"free", nil, []time.Duration{0, 0}},
		{"constant", Constant(3 * ms), []time.Duration{3 * ms, 3 * ms}},
		{"list", Durations(ms, 5*ms), []time.Duration{ms, 5 * ms, 5 * ms}},
		{"stall", Stall(1, 500*ms, Constant(ms)), []time.Duration{ms, 501 * ms, ms}},
		{"by composition", func(s engine.Step) time.Duration { return time.Duration(s.CtxTokens+s.GenReqs) * ms },
			[]time.Duration{7 * ms, ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clock := &Clock{}
			f := &Fake{Clock: clock, StepTime: tt.time}
			steps, _ := drive(t, f, len(tt.want), engine.Limits{}, request(0, 7, 9))
			for i, s := range steps {
				if s.WallNs() != tt.want[i].Nanoseconds() || s.UnaccountedNs() != 0 {
					t.Errorf("step %d took %d ns, %d unaccounted, want %d and 0", i, s.WallNs(), s.UnaccountedNs(), tt.want[i])
				}
				if s.EnterNs > s.GILNs || s.GILNs > s.CallNs || s.CallNs > s.ReturnNs || s.ReturnNs > s.ExitNs {
					t.Errorf("step %d: stamps out of order", i)
				}
			}
			if last := steps[len(steps)-1]; clock.NowNs() != last.ExitNs {
				t.Errorf("the clock is at %d after a step that ended at %d", clock.NowNs(), last.ExitNs)
			}
		})
	}
}

// A result outlives one further step, as the real engine's does, and no more.
func TestResultsAlternate(t *testing.T) {
	f := &Fake{Clock: &Clock{}}
	if _, err := f.Submit([]engine.Request{request(0, 1, 9)}, []int64{0}); err != nil {
		t.Fatal(err)
	}
	var got []engine.StepResult
	for range 3 {
		r, err := f.Step(engine.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if got[1].Tokens[0] != 1 || &got[0].Tokens[0] != &got[2].Tokens[0] || &got[1].Tokens[0] == &got[2].Tokens[0] {
		t.Error("the results' memory does not alternate")
	}
}

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	f := &Fake{Clock: &Clock{}, StepErr: func(index int64) error {
		if index == 1 {
			return broken
		}
		return nil
	}}
	drive(t, f, 1, engine.Limits{}, request(0, 1, 9))
	if _, err := f.Step(engine.Limits{}); !errors.Is(err, broken) || err.Error() != "step 1: broken" {
		t.Errorf("step: %v", err)
	}
	if r, err := f.Step(engine.Limits{}); err != nil || len(r.Outputs) != 1 {
		t.Errorf("the step after: %d outputs, %v", len(r.Outputs), err)
	}
	if _, err := f.Submit([]engine.Request{request(1, 1, 9)}, []int64{0}); err != nil {
		t.Fatal(err)
	}
	stats, err := f.Abort([]int64{0, 1, 77})
	if err != nil || len(stats) != 2 || stats[0].GenerationTokens != 2 || stats[1].ScheduledS != 0 {
		t.Errorf("abort: %+v, %v", stats, err)
	}
	if r, err := f.Step(engine.Limits{}); err != nil || len(r.Outputs) != 0 || r.Phase() != "empty" {
		t.Errorf("a step after the abort: %d outputs, %v", len(r.Outputs), err)
	}
	refused, err := f.Submit([]engine.Request{request(2, 0, 1), request(3, 1, 0), request(4, 1, 1)}, make([]int64, 3))
	if err != nil || len(refused) != 2 || refused[0] == nil || refused[1] == nil {
		t.Errorf("refused %v, %v", refused, err)
	}
}

func TestFinalOnly(t *testing.T) {
	one := 1
	final := request(0, 3, 2)
	final.Sampling.FinalOnly = true
	scored := request(1, 3, 2)
	scored.Sampling.PromptLogprobs = &one
	f := &Fake{Clock: &Clock{}, Forgetful: true}
	drive(t, f, 1, engine.Limits{}, final, scored, request(2, 3, 2))
	r, err := f.Step(engine.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var lengths []int32
	for _, o := range r.Outputs {
		lengths = append(lengths, o.TokenLen)
	}
	if diff := cmp.Diff([]int32{2, 2, 1}, lengths); diff != "" || f.Arrivals != nil {
		t.Errorf("tokens of the outputs (-want +got)\n%s", diff)
	}
	var taken map[int64]any
	for i, want := range []int{1, 0} { // they are given once
		if err := f.Call("take_logprobs", []int64{0, 1, 2}, &taken); err != nil || len(taken) != want {
			t.Errorf("call %d: logprobs of %v, %v", i, taken, err)
		}
		taken = nil
	}
}

func TestMortal(t *testing.T) {
	tests := []struct {
		name    string
		after   int
		kills   int64 // id of the request
		results int
	}{
		{"lives", 0, -1, 50},
		{"after some results", 20, -1, 20},
		{"after the first", 1, -1, 1},
		{"by a request", 0, 30, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &Mortal{
				Engine: Engine{&Fake{Clock: &Clock{}, StepTime: Constant(time.Millisecond)}}, After: tt.after,
				Kills: func(r engine.Request) bool { return r.ID == tt.kills },
			}
			given, got := int64(0), 0
			source := func(context.Context, int) ([]engine.Request, error) {
				if given == 50 {
					return nil, io.EOF
				}
				given++
				return []engine.Request{request(given-1, 3, 2)}, nil
			}
			err := m.Feed(t.Context(), engine.Feed{Concurrency: 8}, source, func(b engine.Batch) error {
				got += len(b.Requests)
				return nil
			})
			var died *engine.WorkerError
			if errors.As(err, &died) != (tt.results != 50) || (err == nil) != (tt.results == 50) {
				t.Errorf("error %v", err)
			}
			// What was outstanding, and what ended with it and was not delivered.
			if tt.results >= 0 && got != tt.results || got < int(given)-2*8 || got > 50 {
				t.Errorf("%d results of %d requests, want %d", got, given, tt.results)
			}
			if tt.results != 50 {
				if again := m.Feed(t.Context(), engine.Feed{}, source, nil); !errors.As(again, &died) {
					t.Errorf("it rose again: %v", again)
				}
			}
			if err := m.Call(t.Context(), "x", nil, nil); (err == nil) != (tt.results == 50) {
				t.Errorf("call: %v", err)
			}
		})
	}
}
