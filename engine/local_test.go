package engine_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bridge"
	"stepbench/engine"
)

func TestCheckCounters(t *testing.T) {
	if err := engine.CheckCounters(engine.CounterNames); err != nil {
		t.Error(err)
	}
	swapped := append([]string{engine.CounterNames[1], engine.CounterNames[0]}, engine.CounterNames[2:]...)
	for name, theirs := range map[string][]string{"none": nil, "one less": engine.CounterNames[1:], "another order": swapped} {
		if err := engine.CheckCounters(theirs); !errors.Is(err, bridge.ErrABI) || !strings.HasSuffix(err.Error(), "run make build") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Each counter lands in the field that its name says.
func TestStepFromCounters(t *testing.T) {
	cells := [bridge.Counters]int64{}
	for i := range cells {
		cells[i] = int64(100 + i)
	}
	cells[15] = 250_000_000
	got := engine.StepOf(&bridge.View{EnterNs: 1, GILNs: 2, CallNs: 3, ReturnNs: 4, ExitNs: 5, Counters: cells})
	want := engine.Step{
		EnterNs: 1, GILNs: 2, CallNs: 3, ReturnNs: 4, ExitNs: 5,
		ScheduleNs: 100, ExecuteNs: 101, SampleNs: 102, UpdateNs: 103, OutputNs: 104, StatsNs: 105,
		CtxReqs: 106, CtxTokens: 107, GenReqs: 108, GenTokens: 109, Running: 110, Waiting: 111, Preempted: 112,
		TokenBudget: 113, SeqBudget: 114, KVUsageFrac: 0.25,
		CoreNs: 116, GraphMode: 117, PaddedTokens: 118,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestStatsFromARow(t *testing.T) {
	got := engine.StatsOf([]float64{1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7, 8, 1, 0})
	want := engine.RequestStats{
		ArrivalS: 1.5, QueuedS: 2.5, ScheduledS: 3.5, FirstTokenS: 4.5, LastTokenS: 5.5, FirstTokenLatencyS: 6.5,
		GenerationTokens: 7, CachedTokens: 8, Corrupted: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Zero means vLLM's default and is not sent, except where zero has a meaning.
func TestSamplingWire(t *testing.T) {
	zero := int64(0)
	tests := []struct {
		name string
		s    engine.Sampling
		want string
	}{
		{"greedy", engine.Sampling{MaxTokens: 5}, `{"max_tokens":5,"temperature":0}`},
		{"nothing", engine.Sampling{}, `{"max_tokens":0,"temperature":0}`},
		{"everything", engine.Sampling{MaxTokens: 1, Temperature: 0.5, TopP: 0.9, TopK: 3, Seed: &zero, Stop: []string{"\n"}, IgnoreEOS: true},
			`{"ignore_eos":true,"max_tokens":1,"seed":0,"stop":["\n"],"temperature":0.5,"top_k":3,"top_p":0.9}`},
		{"of OpenAI's bodies", engine.Sampling{MaxTokens: 1, MinP: 0.1, FrequencyPenalty: -0.5, PresencePenalty: 0.5,
			RepetitionPenalty: 1.1, MinTokens: 2, StopTokenIDs: []int32{7}},
			`{"frequency_penalty":-0.5,"max_tokens":1,"min_p":0.1,"min_tokens":2,"presence_penalty":0.5,` +
				`"repetition_penalty":1.1,"stop_token_ids":[7],"temperature":0}`},
		{"final only", engine.Sampling{MaxTokens: 1, FinalOnly: true}, `{"final_only":true,"max_tokens":1,"temperature":0}`},
		{"logprobs", engine.Sampling{MaxTokens: 1, Logprobs: new(int), PromptLogprobs: new(int)},
			`{"final_only":true,"logprobs":0,"max_tokens":1,"prompt_logprobs":0,"temperature":0}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(engine.SamplingWire(tt.s))
			if err != nil || string(got) != tt.want {
				t.Errorf("%s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}
