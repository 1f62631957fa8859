package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"stepbench/engine"
	"stepbench/internal/golden"
)

const ms = int64(1e6)

// step takes 2 ms, of which 10 µs are unaccounted for.
func step(index, at int64) engine.Step {
	return engine.Step{
		Index: index, EnterNs: at, GILNs: at + 2_000, CallNs: at + 5_000, ReturnNs: at + 5_000 + 2*ms, ExitNs: at + 9_123 + 2*ms,
		ScheduleNs: 90_000, ExecuteNs: 1_000_000, SampleNs: 670_000, UpdateNs: 100_000, OutputNs: 60_000, StatsNs: 40_000, CoreNs: 30_000,
		BridgeNs: 9_500, Running: 2, TokenBudget: 2048, SeqBudget: 64, KVUsageFrac: 0.25,
	}
}

func sample() Trace {
	const start = 5_000 * ms
	prefill, mixed, decode, empty := step(0, start), step(1, start+3*ms), step(2, start+6*ms), step(3, start+9*ms)
	prefill.CtxReqs, prefill.CtxTokens, prefill.Waiting = 1, 64, 1
	mixed.CtxReqs, mixed.CtxTokens, mixed.GenReqs = 1, 32, 1
	decode.GenReqs, decode.GenTokens, decode.Op = 2, 2, 1
	decode.GraphMode, decode.PaddedTokens = engine.GraphFull, 8
	empty.ScheduleNs, empty.Running, empty.KVUsageFrac = 2_000*1000, 0, 0 // more than its wall time
	return Trace{
		Steps: []engine.Step{prefill, mixed, decode, empty},
		Requests: []engine.RequestResult{
			{ID: 7, PromptTokens: 64, OutputTokens: 3, Finish: engine.FinishLength, ArrivalNs: start - ms, QueuedNs: start - ms/2, ScheduledNs: start + 6_000, FirstTokenNs: start + 2*ms, LastTokenNs: start + 8*ms},
			{ID: 8, PromptTokens: 32, OutputTokens: 2, CachedTokens: 16, Finish: engine.FinishAbort, QueuedNs: start, ScheduledNs: start + 3*ms, FirstTokenNs: start + 5*ms, LastTokenNs: start + 8*ms},
			{ID: 9, PromptTokens: 9, Finish: engine.FinishError, Error: "too <long>", ArrivalNs: start},
			{ID: 10, PromptTokens: 8, OutputTokens: 1, Finish: engine.FinishLength, ArrivalNs: start + 8*ms, ScheduledNs: start + 9*ms, FirstTokenNs: start + 10*ms, LastTokenNs: start + 10*ms},
		},
		Events: []Event{
			{"device", "stream 7", "gemm<128, 64>", start + 100_000, start + 600_000},
			{"device", "stream 7", "attention", start + 600_000, start + 900_000},
			{"device", "stream 13", "Memcpy DtoH", start + 1_900_000, start + 1_900_001},
			{"device", "stream 7", "overlaps attention", start + 800_000, start + 1_000_000},
			{"device", "stream 7", "inside it", start + 850_000, start + 1_000_000},
			{"cells", "cell", "q64", start, start + 3*ms},
		},
		Counters: []Counter{{"power (W)", start + ms, 412.5}, {"power (W)", start + 4*ms, 430}},
		Metadata: map[string]string{"model": "gpt2", "device": "fake"},
	}
}

type event struct {
	Name string         `json:"name"`
	Ph   string         `json:"ph"`
	Ts   float64        `json:"ts"`
	Dur  float64        `json:"dur"`
	Pid  int            `json:"pid"`
	Tid  int64          `json:"tid"`
	Args map[string]any `json:"args"`
}

func write(t testing.TB, tr Trace) ([]byte, []event) {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, tr); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Unit   string  `json:"displayTimeUnit"`
		Events []event `json:"traceEvents"`
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, b.Bytes())
	}
	if doc.Unit != "ms" {
		t.Errorf("time unit %q", doc.Unit)
	}
	return b.Bytes(), doc.Events
}

func TestGolden(t *testing.T) {
	data, _ := write(t, sample())
	golden.Check(t, "testdata/trace.json", data)
}

// Slices of a track lie beside or inside each other, none before 0; viewers
// drop others.
func TestSlicesNest(t *testing.T) {
	_, events := write(t, sample())
	tracks := map[[2]int64][]event{}
	for _, e := range events {
		if e.Ts < 0 || e.Dur < 0 {
			t.Errorf("%s at %g for %g", e.Name, e.Ts, e.Dur)
		}
		if e.Ph == "X" {
			key := [2]int64{int64(e.Pid), e.Tid}
			tracks[key] = append(tracks[key], e)
		}
	}
	// Steps; two slots, one of them used twice; the cell and two streams, of which
	// one has kernels that overlap. Request 9 has no phase.
	if len(tracks) != 1+2+1+3 {
		t.Errorf("%d tracks", len(tracks))
	}
	const ns = 1e-3 / 2 // half of what a stamp resolves
	for key, list := range tracks {
		slices.SortStableFunc(list, func(a, b event) int {
			if d := a.Ts - b.Ts; math.Abs(d) > ns {
				return int(math.Copysign(1, d))
			}
			return int(math.Copysign(1, b.Dur-a.Dur))
		})
		var stack []event
		for _, e := range list {
			for len(stack) > 0 && stack[len(stack)-1].Ts+stack[len(stack)-1].Dur <= e.Ts+ns {
				stack = stack[:len(stack)-1]
			}
			if len(stack) > 0 {
				if outer := stack[len(stack)-1]; e.Ts+e.Dur > outer.Ts+outer.Dur+ns {
					t.Errorf("track %v: %s reaches out of %s", key, e.Name, outer.Name)
				}
			}
			stack = append(stack, e)
		}
	}
}

func TestContent(t *testing.T) {
	_, events := write(t, sample())
	count, names := map[string]int{}, map[string]event{}
	for _, e := range events {
		count[e.Ph+" "+e.Name]++
		if e.Ph != "M" && names[e.Name].Name == "" {
			names[e.Name] = e
		}
	}
	want := map[string]int{
		"X prefill 64 tokens": 1, "X mixed 32 tokens + 1": 1, "X decode 2": 1, "X empty": 1, "X LLMEngine.step": 4,
		"X schedule": 4, "X execute": 3, "X sample": 3, "X stats": 3, "X wait for the GIL": 4, "X walk results": 4,
		"X core": 3, "X request 7": 1, "X request 10": 1, "X queue": 3, "X prefill": 3, "X decode": 2, "X attention": 1, "X inside it": 1,
		"C running (requests)": 4, "C waiting (requests)": 4, "C KV cache in use (%)": 4, "C tokens in the step": 4, "C power (W)": 2,
	}
	for name, n := range want {
		if count[name] != n {
			t.Errorf("%q is there %d times, want %d", name, count[name], n)
		}
	}
	// The first request arrived a millisecond before the first step.
	if got := names["prefill 64 tokens"]; got.Ts != 1000 || got.Dur != 2009.123 || got.Args["unaccounted_us"] != 10.0 {
		t.Errorf("first step %+v", got)
	}
	if got := names["queue"]; got.Ts != 0 || got.Dur != 1006 {
		t.Errorf("first queue %+v", got)
	}
	if got := names["request 7"]; got.Ts != 0 || got.Dur != 9000 || got.Args["finish"] != "length" {
		t.Errorf("first request %+v", got)
	}
	if a, b := names["request 7"], names["request 10"]; a.Tid != b.Tid || a.Tid == names["request 8"].Tid {
		t.Errorf("requests 7, 8 and 10 in slots %d, %d and %d", a.Tid, names["request 8"].Tid, b.Tid)
	}
	if got := names["sample"]; got.Ts != 1000+5+90+1000 || got.Dur != 670 {
		t.Errorf("sampling follows execution: %+v", got)
	}
	if got := names["KV cache in use (%)"].Args["value"]; got != 25.0 {
		t.Errorf("KV cache %v", got)
	}
}

// Every event is one that viewers read: "Trace Event Format", Google 2016, for
// complete events (X), counters (C) and metadata (M).
func TestSchema(t *testing.T) {
	data, _ := write(t, sample())
	var doc struct {
		Unit     string                       `json:"displayTimeUnit"`
		Metadata map[string]any               `json:"otherData"`
		Events   []map[string]json.RawMessage `json:"traceEvents"`
	}
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{
		"X": {"name", "ph", "ts", "dur", "pid", "tid", "args"},
		"C": {"name", "ph", "ts", "pid", "tid", "args"},
		"M": {"name", "ph", "pid", "tid", "args"},
	}
	optional := map[string]bool{"X": true} // args
	named := map[string]string{"process_name": "name", "thread_name": "name", "process_sort_index": "sort_index", "thread_sort_index": "sort_index"}
	for _, e := range doc.Events {
		text := func(key string) (s string) { _ = json.Unmarshal(e[key], &s); return s }
		number := func(key string) float64 {
			var v float64
			if err := json.Unmarshal(e[key], &v); err != nil {
				t.Errorf("%s: %s is no number: %v", text("name"), key, err)
			}
			return v
		}
		keys := allowed[text("ph")]
		for _, key := range keys {
			if e[key] == nil && !(key == "args" && optional[text("ph")]) {
				t.Errorf("%s %s lacks %s", text("ph"), text("name"), key)
			}
		}
		for key := range e {
			if !slices.Contains(keys, key) {
				t.Errorf("%s %s has %s", text("ph"), text("name"), key)
			}
		}
		if text("name") == "" || number("pid") < 1 || number("pid") != math.Trunc(number("pid")) || number("tid") != math.Trunc(number("tid")) {
			t.Errorf("event %s", e)
		}
		var args map[string]any
		if e["args"] != nil {
			if err := json.Unmarshal(e["args"], &args); err != nil {
				t.Errorf("%s: args %s", text("name"), e["args"])
			}
		}
		switch text("ph") {
		case "X":
			if number("ts") < 0 || number("dur") <= 0 {
				t.Errorf("%s at %g for %g", text("name"), number("ts"), number("dur"))
			}
		case "C":
			for name, v := range args {
				if _, ok := v.(float64); !ok || len(args) != 1 {
					t.Errorf("counter %s: %s is %v", text("name"), name, v)
				}
			}
		case "M":
			if key := named[text("name")]; key == "" || args[key] == nil {
				t.Errorf("metadata %s with %v", text("name"), args)
			}
		}
	}
}

func TestEmpty(t *testing.T) {
	data, events := write(t, Trace{})
	if len(events) != 0 {
		t.Errorf("%d events of nothing: %s", len(events), data)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("disk full")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteError(t *testing.T) {
	err := Write(brokenWriter{}, sample())
	if !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "write trace: ") {
		t.Errorf("error %v", err)
	}
}
