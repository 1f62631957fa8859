package bridge

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// composition is the part of the counters that does not depend on time, in the
// order of probe.py.
type composition struct {
	CtxReqs, CtxTokens, GenReqs, GenTokens    int64
	Running, Waiting, Preempted               int64
	TokenBudget, SeqBudget, KVUsagePartPerBil int64
}

func (v *View) composition() composition {
	c := v.Counters[6:]
	return composition{c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9]}
}

// The fake's token is the sum of the prompt plus the number of tokens so far.
func TestStepSequence(t *testing.T) {
	f := open(t)
	f.mustSubmit(t, `[{"max_tokens": 3}, {"max_tokens": 2}]`,
		request{id: 7, tokens: []int32{1, 2, 3, 4, 5, 6}}, request{id: 8, tokens: []int32{500, 500, 9}, params: 1})
	steps := []struct {
		name        string
		tokens, seq int64
		outputs     []Output
		newTokens   []int32
		composition composition
	}{
		{
			name: "a chunk of the first prompt", tokens: 4, seq: 2,
			composition: composition{CtxReqs: 1, CtxTokens: 4, Running: 1, Waiting: 1, TokenBudget: 4, SeqBudget: 2},
		},
		{
			name: "its rest; no second sequence allowed", tokens: 4, seq: 1,
			outputs:     []Output{{ID: 7, TokenLen: 1, Stats: -1}},
			newTokens:   []int32{21},
			composition: composition{CtxReqs: 1, CtxTokens: 2, Running: 1, Waiting: 1, TokenBudget: 4, SeqBudget: 1},
		},
		{
			name:        "one decodes, one prefills, limits of the engine",
			outputs:     []Output{{ID: 7, TokenLen: 1, Stats: -1}, {ID: 8, TokenOff: 1, TokenLen: 1, Stats: -1}},
			newTokens:   []int32{22, 9},
			composition: composition{1, 3, 1, 1, 2, 0, 0, engineTokens, engineSeqs, 0},
		},
		{
			name: "both end",
			outputs: []Output{
				{ID: 7, TokenLen: 1, Finish: 2, Stats: 0}, {ID: 8, TokenOff: 1, TokenLen: 1, Finish: 2, Stats: 1},
			},
			newTokens:   []int32{23, 10},
			composition: composition{0, 0, 2, 2, 0, 0, 0, engineTokens, engineSeqs, 0},
		},
		{
			name:        "nothing to do",
			composition: composition{TokenBudget: engineTokens, SeqBudget: engineSeqs},
		},
	}
	var started, ended int64
	for i, step := range steps {
		v, err := f.step(step.tokens, step.seq)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		equal(t, step.name+": outputs", slices.Clone(v.Outputs), step.outputs)
		equal(t, step.name+": tokens", slices.Clone(v.Tokens), step.newTokens)
		equal(t, step.name+": composition", v.composition(), step.composition)
		if step.name == "both end" {
			ended = v.ExitNs
			wantStats(t, v.Stats, started, ended)
		} else if len(v.Stats) != 0 {
			t.Errorf("%s: statistics %v", step.name, v.Stats)
		}
		if i == 0 {
			started = v.EnterNs
		}
	}
}

// wantStats checks the rows of the two requests of TestStepSequence.
func wantStats(t *testing.T, stats []float64, startNs, endNs int64) {
	t.Helper()
	if len(stats) != 2*StatsWidth {
		t.Fatalf("%d statistics, want %d", len(stats), 2*StatsWidth)
	}
	first, second := stats[:StatsWidth], stats[StatsWidth:]
	// arrival, queued, scheduled, first token, last token, latency, tokens, cached, corrupted, spare
	for i, row := range [][]float64{first, second} {
		times := row[1:5]
		if !slices.IsSorted(times) || times[0] <= 0 || times[1] < float64(startNs)/1e9 || times[3] > float64(endNs)/1e9 {
			t.Errorf("row %d: times %v are not in order within the steps", i, times)
		}
		rest := append([]float64{row[0]}, row[5:]...)
		equal(t, "row without times", rest, []float64{1007.5 + float64(i), 0, 3 - float64(i), 0, 0, 0})
	}
	if first[2] >= second[2] {
		t.Errorf("scheduled at %v and %v, but the second waited", first[2], second[2])
	}
}

func TestStepStamps(t *testing.T) {
	f := open(t)
	f.mustSubmit(t, `[{"max_tokens": 2}]`, request{id: 1, tokens: []int32{671}}) // sleeps 50 ms in each step
	before := f.NowNs()
	for range 2 {
		v, err := f.step(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		after := f.NowNs()
		stamps := []int64{before, v.EnterNs, v.GILNs, v.CallNs, v.ReturnNs, v.ExitNs, after}
		if !slices.IsSorted(stamps) {
			t.Errorf("stamps are not in order: %v", stamps)
		}
		// The sleep lies in the engine's step and in its execute part.
		execute := v.Counters[1]
		if inside := v.ReturnNs - v.CallNs; execute < 50e6 || inside < execute {
			t.Errorf("slept 50 ms: %d ns in step, %d in execute", inside, execute)
		}
		before = after
	}
}

// A view outlives one further step, but not its memory a second one.
func TestStepViewLives(t *testing.T) {
	f := open(t)
	f.mustSubmit(t, `[{"max_tokens": 2}, {"max_tokens": 9}]`,
		request{id: 1, tokens: []int32{100}}, request{id: 2, tokens: []int32{200}, params: 1})
	copied := func(v View) View {
		v.Outputs, v.Tokens, v.Stats = slices.Clone(v.Outputs), slices.Clone(v.Tokens), slices.Clone(v.Stats)
		return v
	}
	var last, want View
	for i := range 9 {
		v, err := f.step(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			equal(t, "view after the next step", last, want)
			if last.Tokens[0] == v.Tokens[0] {
				t.Fatalf("step %d gave the tokens of the step before: the test shows nothing", i)
			}
		}
		last, want = v, copied(v)
	}
}

// Outputs of one step grow beyond what the arenas hold at first.
func TestStepGrows(t *testing.T) {
	f := open(t)
	var requests []request
	for n := 1; n <= engineSeqs; n *= 2 {
		for len(requests) < n {
			id := int64(1000 + len(requests))
			requests = append(requests, request{id: id, tokens: []int32{int32(id)}})
		}
		f.mustSubmit(t, `[{"max_tokens": 1}]`, requests...)
		v, err := f.step(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Outputs) != n || len(v.Tokens) != n || len(v.Stats) != n*StatsWidth {
			t.Fatalf("%d requests: %d outputs, %d tokens, %d statistics", n, len(v.Outputs), len(v.Tokens), len(v.Stats))
		}
		for i, o := range v.Outputs {
			want := Output{ID: int64(1000 + i), TokenOff: int32(i), TokenLen: 1, Finish: 2, Stats: int32(i)}
			if o != want || v.Tokens[i] != int32(i) || v.Stats[i*StatsWidth] != 2000.5+float64(i) {
				t.Fatalf("output %d of %d is %+v, token %d, arrival %v", i, n, o, v.Tokens[i], v.Stats[i*StatsWidth])
			}
		}
	}
}

// Each limit is set and taken back on its own, and at once.
func TestStepLimits(t *testing.T) {
	f := open(t)
	limits := []struct{ tokens, seqs int64 }{
		{0, 0}, {4, 0}, {0, 0}, {0, 3}, {0, 0}, {4, 3}, {4, 0}, {4, 3}, {0, 3}, {5, 3}, {5, 3},
		{engineTokens, engineSeqs}, {1, 1}, {0, 0},
	}
	for i, limit := range limits {
		v, err := f.step(limit.tokens, limit.seqs)
		if err != nil {
			t.Fatal(err)
		}
		want := composition{TokenBudget: limit.tokens, SeqBudget: limit.seqs}
		if limit.tokens == 0 {
			want.TokenBudget = engineTokens
		}
		if limit.seqs == 0 {
			want.SeqBudget = engineSeqs
		}
		equal(t, fmt.Sprintf("step %d", i), v.composition(), want)
	}
}

func TestStepLimits_Errors(t *testing.T) {
	tests := []struct {
		name        string
		tokens, seq int64
		want        string
	}{
		{"too many tokens", engineTokens + 1, 0, "ValueError: token limit 2049 is outside 0..2048"},
		{"too few tokens", -1, 0, "ValueError: token limit -1 is outside 0..2048"},
		{"too many sequences", 0, engineSeqs + 1, "ValueError: sequence limit 257 is outside 0..256"},
		{"too few sequences", 5, -(1 << 40), "ValueError: sequence limit -1099511627776 is outside 0..256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t)
			f.mustSubmit(t, `[{"max_tokens": 1}]`, request{id: 1, tokens: []int32{10}})
			_, err := f.step(tt.tokens, tt.seq)
			wantError(t, err, tt.want)
			v, err := f.step(0, 0) // the limits are as they were, and no step was lost
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "composition", v.composition(),
				composition{CtxReqs: 1, CtxTokens: 1, TokenBudget: engineTokens, SeqBudget: engineSeqs})
		})
	}
}

func TestStep_Errors(t *testing.T) {
	tests := []struct {
		name  string
		token int32
		want  PythonError
	}{
		{"exception", 666, PythonError{Type: "RuntimeError", Message: "the kernel failed"}},
		{"system exit", 670, PythonError{Type: "SystemExit", Message: "3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t)
			f.mustSubmit(t, `[{"max_tokens": 1}]`, request{id: 1, tokens: []int32{tt.token}})
			_, err := f.step(0, 0)
			var got *PythonError
			if !errors.As(err, &got) {
				t.Fatalf("%v is no *PythonError", err)
			}
			wantTraceback(t, got, "fake/vllm/v1/engine/llm_engine.py")
			wantTraceback(t, got, "stepbench_adapter/probe.py")
			equal(t, "error", PythonError{Type: got.Type, Message: got.Message}, tt.want)
			equal(t, "text", got.Error(), tt.want.Type+": "+tt.want.Message)

			// With the culprit gone the engine goes on.
			if _, err := f.call("abort", "[1]"); err != nil {
				t.Fatal(err)
			}
			f.mustSubmit(t, `[{"max_tokens": 1}]`, request{id: 2, tokens: []int32{10}})
			v, err := f.step(0, 0)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "tokens", v.Tokens, []int32{10})
		})
	}
}

func TestWrongThread(t *testing.T) {
	f := open(t)
	want := "called on another thread than the one that started Python"
	var v View
	err := f.Step(0, 0, &v) // on the test's own goroutine
	wantError(t, err, want)
	equal(t, "view", v, View{})
	n, err := f.Submit(oneRequest(1, 5))
	wantError(t, err, want)
	_, err = f.Call("threads", []byte("null"))
	wantError(t, err, want)
	_, err = f.Open([]byte(engineConfig))
	wantError(t, err, want)
	if n != 0 || !errors.Is(err, ErrThread) {
		t.Errorf("%d taken; ErrThread: %v", n, errors.Is(err, ErrThread))
	}
	// Nothing of it reached the engine.
	if v, err := f.step(0, 0); err != nil || len(v.Outputs) != 0 {
		t.Errorf("the next step gives %v %v", v.Outputs, err)
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	f := open(t)
	f.mustSubmit(t, `[{"max_tokens": 100000}]`, request{id: 1, tokens: []int32{1}}, request{id: 2, tokens: []int32{2}})
	var allocs float64
	var err error
	onMain(func() {
		var v View
		allocs = testing.AllocsPerRun(100, func() { err = errors.Join(err, f.Step(0, 0, &v)) })
	})
	if err != nil || allocs != 0 {
		t.Errorf("%v allocations per step, %v", allocs, err)
	}
}
