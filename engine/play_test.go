package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

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
			if err := json.Unmarshal(text, &windows); err != nil {
				return nil, err
			}
			return map[string]any{"unit": "op", "sum_ns": 5, "rows": []any{map[string]any{"name": "mm", "calls": 2, "self_ns": 5}}}, nil
		}
		return true, nil
	}
	script := engine.Script{Ops: []engine.Op{
		{Submit: []engine.Request{request(1, 8, 100), request(2, 8, 100)}, Steps: 1},
		{Steps: 3},
		{Steps: 2, Profile: true, Abort: true, Collect: true},
		{Submit: []engine.Request{request(3, 8, 100)}, Steps: 1, Limits: engine.Limits{Tokens: 4}, Abort: true},
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
	want := []row{{0, 16, 0}, {1, 0, 2}, {1, 0, 2}, {1, 0, 2}, {2, 0, 2}, {2, 0, 2}, {3, 4, 0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"gc", "profile_start", "profile_stop", "gc", "gc"}, calls); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
	if len(profiles) != 1 || profiles[0].Op != 2 || profiles[0].Steps != 2 || profiles[0].SumNs != 5 || len(profiles[0].Rows) != 1 {
		t.Errorf("profiles %+v", profiles)
	}
	if len(windows) != 2 || windows[0] != [2]int64{steps[4].CallNs, steps[4].ReturnNs} {
		t.Errorf("windows %v", windows)
	}
	if len(ended) != 3 {
		t.Errorf("%d requests ended, want 3", len(ended))
	}
	for _, r := range ended {
		if r.Finish != engine.FinishAbort {
			t.Errorf("request %d ended by %s", r.ID, r.Finish)
		}
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
