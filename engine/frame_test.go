package engine_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bridge"
	"stepbench/engine"
)

func frame(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := engine.WriteFrame(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// header is a frame's header that promises size bytes.
func header(size uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte("stpb"), size)
}

func TestCommandRoundTrip(t *testing.T) {
	seed, zero := int64(42), int64(0)
	tests := []struct {
		name string
		c    engine.Command
	}{
		{"stop", engine.Command{Stop: true}},
		{"close", engine.Command{Close: true}},
		{"open", engine.Command{Open: &engine.OpenCommand{
			Config: []byte(`{"model":{"name":"tiny"},"extra":{"a":[1,"b",null]}}`), Host: engine.Host{Python: "/p", Shim: "/s"}}}},
		{"call", engine.Command{Call: &engine.CallCommand{Method: "audit", Args: []byte("null")}}},
		{"run an empty plan", engine.Command{Run: &engine.Plan{}}},
		{"run", engine.Command{Run: &engine.Plan{
			Arrivals: []engine.Arrival{
				{OffsetNs: 0, Request: engine.Request{ID: 0, Prompt: []int32{0, 1, math.MaxInt32}, Sampling: engine.Sampling{
					MaxTokens: 7, Temperature: 0.1, TopP: 0.9, TopK: 5, Seed: &seed, Stop: []string{"\n", "é\x00"}, IgnoreEOS: true}}},
				{OffsetNs: math.MaxInt64, Request: engine.Request{ID: -1, Sampling: engine.Sampling{MaxTokens: 1, Seed: &zero}}},
			},
			MaxConcurrency: 3, KeepTokens: true}}},
		{"feed", engine.Command{Feed: &engine.Feed{Concurrency: 7, KeepTokens: true}}},
		{"more for a feed", engine.Command{More: &engine.More{
			Requests: []engine.Request{{ID: 3, Prompt: []int32{5}, Sampling: engine.Sampling{
				MaxTokens: 2, MinP: 0.1, FrequencyPenalty: -0.5, PresencePenalty: 0.5, RepetitionPenalty: 1.1, MinTokens: 1,
				StopTokenIDs: []int32{0, 7}, Logprobs: new(int), PromptLogprobs: new(int), FinalOnly: true}}},
			Refused: []engine.Refused{{ID: 4, PromptTokens: 9, Error: "NaN"}}}}},
		{"the end of a feed", engine.Command{More: &engine.More{End: true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got engine.Command
			if err := engine.ReadFrame(bytes.NewReader(frame(t, tt.c)), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.c, got); diff != "" {
				t.Errorf("(-sent +received)\n%s", diff)
			}
		})
	}
}

func TestReportRoundTrip(t *testing.T) {
	tests := []struct {
		name string
		r    engine.Report
	}{
		{"done", engine.Report{Done: true}},
		{"info of nothing", engine.Report{Done: true, Info: &engine.Info{}}},
		{"info", engine.Report{Done: true, Info: &engine.Info{
			VLLMVersion: "0.26.0", VocabSize: 1000, Modules: []engine.Module{{Name: "_C.abi3.so", Path: "/x", SHA256: "00"}},
			Env: map[string]string{"VLLM_PLUGINS": ""}}}},
		{"reply", engine.Report{Done: true, Reply: []byte(`{"a":1}`)}},
		{"error", engine.Report{Done: true, Err: &engine.WireError{Text: "x", Stopped: true, Type: "E", Message: "m", Traceback: "t\n"}}},
		{"empty batch", engine.Report{Batch: &engine.Batch{}}},
		{"batch", engine.Report{Batch: &engine.Batch{
			StartNs: 5,
			Steps:   []engine.Step{{Index: 1, EnterNs: math.MaxInt64, BridgeNs: -7, KVUsageFrac: 0.25}, {}},
			Requests: []engine.RequestResult{{ID: 3, Finish: engine.FinishAbort, Error: "é", Corrupted: true,
				TokenNs: []int64{1, 2}, Tokens: []int32{0, 9}}},
			Progress: engine.Progress{Total: 9, OutputTokens: 1 << 40}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got engine.Report
			if err := engine.ReadFrame(bytes.NewReader(frame(t, tt.r)), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.r, got); diff != "" {
				t.Errorf("(-sent +received)\n%s", diff)
			}
		})
	}
}

func TestFramesFollowEachOther(t *testing.T) {
	var stream []byte
	for i := range 3 {
		stream = append(stream, frame(t, engine.Report{Reply: []byte{byte('0' + i)}})...)
	}
	in := bytes.NewReader(stream)
	for i := range 3 {
		var got engine.Report
		if err := engine.ReadFrame(in, &got); err != nil || string(got.Reply) != string(rune('0'+i)) {
			t.Fatalf("frame %d: %q, %v", i, got.Reply, err)
		}
	}
	if err := engine.ReadFrame(in, &engine.Report{}); err != io.EOF {
		t.Errorf("at the end: %v, want io.EOF itself", err)
	}
}

func TestReadFrame_Errors(t *testing.T) {
	whole := frame(t, engine.Report{Done: true, Reply: []byte("a reply of some length")})
	tests := []struct {
		name, input, want string
	}{
		{"text", "Traceback (most recent call last):\n", "broken frame: starts with 54 72 61 63"},
		{"half a header", string(whole[:5]), "broken frame: ended inside a header"},
		{"no payload", string(header(10)), "broken frame: ended after 0 of 10 bytes"},
		{"half a payload", string(whole[:len(whole)-6]), ""},
		{"4 GiB", string(header(math.MaxUint32)) + "x", "broken frame: length 4294967295 exceeds 1073741824"},
		{"just over the limit", string(header(engine.FrameLimit + 1)), "broken frame: length 1073741825 exceeds 1073741824"},
		{"empty payload", string(header(0)), "broken frame: EOF"},
		{"payload is no gob", string(header(4)) + "\xff\xff\xff\xff", ""},
		{"gob of another type", string(frame(t, []string{"x"})), ""},
		{"gob of another struct", string(frame(t, struct{ Unknown int }{1})), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got engine.Report
			err := engine.ReadFrame(strings.NewReader(tt.input), &got)
			if !errors.Is(err, engine.ErrFrame) {
				t.Fatalf("error %v, want ErrFrame", err)
			}
			if tt.want != "" && err.Error() != tt.want {
				t.Errorf("error %q\nwant  %q", err, tt.want)
			}
		})
	}
}

// A far side that promises much and sends little costs little.
func TestReadFrameDoesNotReserveWhatItIsPromised(t *testing.T) {
	input := append(header(engine.FrameLimit), make([]byte, 1000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := engine.ReadFrame(bytes.NewReader(input), &engine.Report{})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, engine.ErrFrame) {
		t.Fatalf("error %v, want ErrFrame", err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("allocated %d bytes for 1000", used)
	}
}

func TestWriteFrame_Errors(t *testing.T) {
	if err := engine.WriteFrame(io.Discard, func() {}); err == nil || !strings.HasPrefix(err.Error(), "encode func()") {
		t.Errorf("a function: error %v", err)
	}
	nan := engine.Command{Run: &engine.Plan{Arrivals: []engine.Arrival{{
		Request: engine.Request{Sampling: engine.Sampling{Temperature: math.NaN()}}}}}}
	if err := engine.WriteFrame(io.Discard, nan); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("temperature NaN: error %v", err)
	}
	r, w := io.Pipe()
	r.Close()
	if err := engine.WriteFrame(w, engine.Command{Stop: true}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("closed pipe: error %v", err)
	}
}

func TestErrorsOnTheWire(t *testing.T) {
	python := &bridge.PythonError{Type: "ValueError", Message: "bad", Traceback: "Traceback…\n"}
	tests := []struct {
		name string
		err  error
	}{
		{"plain", errors.New("plain")},
		{"stopped", engine.ErrStopped},
		{"stopped and more", errors.Join(engine.ErrStopped, errors.New("abort failed"))},
		{"python", python},
		{"environment", environment{python}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got engine.Report
			if err := engine.ReadFrame(bytes.NewReader(frame(t, engine.Report{Err: engine.ToWire(tt.err)})), &got); err != nil {
				t.Fatal(err)
			}
			if got.Err.Error() != tt.err.Error() {
				t.Errorf("text %q, want %q", got.Err, tt.err)
			}
			if errors.Is(got.Err, engine.ErrStopped) != errors.Is(tt.err, engine.ErrStopped) {
				t.Errorf("%q: stopped got lost or made up", got.Err)
			}
			if errors.Is(got.Err, engine.ErrEnvironment) != errors.Is(tt.err, engine.ErrEnvironment) {
				t.Errorf("%q: the mark of the environment got lost or made up", got.Err)
			}
			var p *bridge.PythonError
			if errors.As(got.Err, &p) != errors.As(tt.err, new(*bridge.PythonError)) || p != nil && *p != *python {
				t.Errorf("python error %+v", p)
			}
		})
	}
	if engine.ToWire(nil) != nil {
		t.Error("no error became one")
	}
}

// environment marks its error as one of the environment.
type environment struct{ error }

func (e environment) Unwrap() []error { return []error{e.error, engine.ErrEnvironment} }

func FuzzReadFrame(f *testing.F) {
	f.Add(frame(f, engine.Report{Done: true, Info: &engine.Info{VLLMVersion: "0.26.0"}}))
	f.Add(frame(f, engine.Report{Batch: &engine.Batch{Steps: []engine.Step{{Index: 1}}, Requests: []engine.RequestResult{{ID: 1, TokenNs: []int64{1}}}}}))
	f.Add(frame(f, engine.Report{Done: true, Err: &engine.WireError{Text: "x"}}))
	f.Add(frame(f, engine.Command{Run: &engine.Plan{Arrivals: []engine.Arrival{arrive(1, 2, 3)}}}))
	f.Add(header(math.MaxUint32))
	f.Add(header(0))
	f.Add([]byte("stp"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, input []byte) {
		var r engine.Report
		err := engine.ReadFrame(bytes.NewReader(input), &r)
		if err != nil && err != io.EOF && !errors.Is(err, engine.ErrFrame) {
			t.Fatalf("error %v is neither io.EOF nor ErrFrame", err)
		}
		if err == nil { // what was read can be sent on
			var again engine.Report
			if err := engine.ReadFrame(bytes.NewReader(frame(t, r)), &again); err != nil {
				t.Fatalf("a report did not survive a second trip: %v", err)
			}
		}
		var c engine.Command
		if err := engine.ReadFrame(bytes.NewReader(input), &c); err != nil && err != io.EOF && !errors.Is(err, engine.ErrFrame) {
			t.Fatalf("error %v is neither io.EOF nor ErrFrame", err)
		}
	})
}
