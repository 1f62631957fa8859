package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

func request(id int64, length, output int) engine.Request {
	return engine.Request{ID: id, Prompt: make([]int32, length), Sampling: engine.Sampling{MaxTokens: output, IgnoreEOS: true}}
}

// A script runs its ops in order, tags each step, applies each op's limits,
// profiles the steps of the op that asks for it, and leaves nothing in flight.
func TestPlay(t *testing.T) {
	fake := &enginetest.Fake{Clock: &enginetest.Clock{}}
	var calls []string
	var windows [][2]int64
	fake.OnCall = func(method string, args any) (any, error) {
		calls = append(calls, method)
		if method == "profile_stop" {
			text, _ := json.Marshal(args)
			var stop struct {
				Windows [][2]int64
				Events  bool
			}
			if err := json.Unmarshal(text, &stop); err != nil {
				return nil, err
			}
			windows = stop.Windows
			answer := map[string]any{"unit": "op", "sum_ns": 5, "rows": []any{map[string]any{"name": "mm", "calls": 2, "self_ns": 5}}}
			if stop.Events {
				answer["events"] = []any{map[string]any{"name": "mm", "track": "thread 1", "start_ns": 7, "duration_ns": 2}}
			}
			return answer, nil
		}
		return true, nil
	}
	script := engine.Script{Ops: []engine.Op{
		{Submit: []engine.Request{request(1, 8, 100), request(2, 8, 100)}, Steps: 1},
		{Steps: 3},
		{Steps: 2, Profile: true, Abort: true, Collect: true},
		{Submit: []engine.Request{request(3, 8, 100)}, Steps: 1, Limits: engine.Limits{Tokens: 4}, Abort: true},
		{Submit: []engine.Request{request(4, 8, 100)}, Steps: 1, Profile: true, Events: true, Abort: true},
	}}
	var steps []engine.Step
	var profiles []engine.Profile
	var ended []engine.RequestResult
	err := enginetest.Engine{Fake: fake}.Play(context.Background(), script, func(b engine.Batch) error {
		steps, profiles, ended = append(steps, b.Steps...), append(profiles, b.Profiles...), append(ended, b.Requests...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Op              int32
		CtxTok, GenReqs int32
	}
	var got []row
	for _, s := range steps {
		got = append(got, row{s.Op, s.CtxTokens, s.GenReqs})
	}
	want := []row{{0, 16, 0}, {1, 0, 2}, {1, 0, 2}, {1, 0, 2}, {2, 0, 2}, {2, 0, 2}, {3, 4, 0}, {4, 8, 0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"gc", "profile_start", "profile_stop", "gc", "profile_start", "profile_stop", "gc"}, calls); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
	if len(profiles) != 2 || profiles[0].Op != 2 || profiles[0].Steps != 2 || profiles[0].SumNs != 5 || len(profiles[0].Rows) != 1 || profiles[0].Events != nil {
		t.Fatalf("profiles %+v", profiles)
	}
	if diff := cmp.Diff([]engine.ProfileEvent{{Name: "mm", Track: "thread 1", StartNs: 7, DurationNs: 2}}, profiles[1].Events); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
	if len(windows) != 1 || windows[0] != [2]int64{steps[7].CallNs, steps[7].ReturnNs} {
		t.Errorf("windows %v", windows)
	}
	if len(ended) != 4 {
		t.Errorf("%d requests ended, want 4", len(ended))
	}
	for _, r := range ended {
		if r.Finish != engine.FinishAbort {
			t.Errorf("request %d ended by %s", r.ID, r.Finish)
		}
	}
}

// A long op says that it is alive once in a second, between two of its steps; a
// short one and a profiled one are not interrupted.
func TestPlayHeartbeat(t *testing.T) {
	tests := []struct {
		name    string
		step    time.Duration
		op      engine.Op
		batches []int // steps in each
	}{
		{"short", 10 * time.Millisecond, engine.Op{Steps: 90}, []int{90}},
		{"long", 10 * time.Millisecond, engine.Op{Steps: 250}, []int{101, 100, 49}},
		{"steps longer than a second", 1500 * time.Millisecond, engine.Op{Steps: 3}, []int{1, 1, 1}},
		{"profiled", 1500 * time.Millisecond, engine.Op{Steps: 3, Profile: true}, []int{3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fake := newFake(tt.step)
			fake.OnCall = func(string, any) (any, error) { return map[string]any{}, nil }
			tt.op.Submit = []engine.Request{request(1, 8, 1000)}
			tt.op.Abort = true
			var got []int
			err := enginetest.Engine{Fake: fake}.Play(t.Context(), engine.Script{Ops: []engine.Op{tt.op}}, func(b engine.Batch) error {
				if n := len(b.Steps); n > 0 {
					got = append(got, n)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.batches, got); diff != "" {
				t.Errorf("steps in batches (-want +got)\n%s", diff)
			}
		})
	}
}

// A stop between steps ends the script, switches the collector on again and
// delivers what was measured.
func TestPlayStops(t *testing.T) {
	fake := &enginetest.Fake{Clock: &enginetest.Clock{}}
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("enough")
	var last any
	fake.OnCall = func(method string, args any) (any, error) { last = args; return true, nil }
	fake.StepErr = func(index int64) error {
		if index == 2 {
			cancel(cause)
		}
		return nil
	}
	steps := 0
	err := enginetest.Engine{Fake: fake}.Play(ctx, engine.Script{Ops: []engine.Op{
		{Submit: []engine.Request{request(1, 8, 100)}, Steps: 50},
	}}, func(b engine.Batch) error { steps += len(b.Steps); return nil })
	if !errors.Is(err, cause) || steps != 3 {
		t.Errorf("error %v after %d steps", err, steps)
	}
	if text, _ := json.Marshal(last); string(text) != `{"enabled":true,"collect":false}` {
		t.Errorf("the last call was %s", text)
	}
}
