package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/dataset"
	"stepbench/bench/workload/workloadtest"
)

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// letters is a tokeniser with a token a letter.
func letters(_ context.Context, texts []string) ([][]int32, error) {
	out := make([][]int32, len(texts))
	for i, t := range texts {
		for _, r := range t {
			out[i] = append(out[i], r)
		}
	}
	return out, nil
}

func TestNamedDatasets(t *testing.T) {
	tests := []struct {
		name, dataset string
		want          Length // of every request, or the least
		standIn       bool
	}{
		{"default", "", Length{InputTokens: 128, OutputTokens: 64}, false},
		{"short", "random-short", Length{InputTokens: 128, OutputTokens: 64}, false},
		{"medium", "random-medium", Length{InputTokens: 512, OutputTokens: 128}, false},
		{"c4 without a file", "c4", Length{InputTokens: 768, OutputTokens: 192}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSpec(t, with(func(f *Flags) { f.Dataset, f.Requests = tt.dataset, 40 }))
			plan, err := s.Prepare(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			longer := 0
			for i, a := range plan.Arrivals {
				got := Length{InputTokens: len(a.Prompt), OutputTokens: a.Sampling.MaxTokens}
				if got != s.Planned(int64(i)) {
					t.Errorf("request %d is %+v, planned %+v", i, got, s.Planned(int64(i)))
				}
				if got.InputTokens < tt.want.InputTokens || got.OutputTokens != tt.want.OutputTokens || got.InputTokens+got.OutputTokens > 1024 {
					t.Errorf("request %d is %+v, want %+v", i, got, tt.want)
				}
				if got.InputTokens > tt.want.InputTokens {
					longer++
				}
			}
			if (longer > 0) != tt.standIn || (s.StandIn != "") != tt.standIn || strings.Contains(s.String(), "stand-in") != tt.standIn {
				t.Errorf("%d longer prompts, stand-in %q, in words %q", longer, s.StandIn, s)
			}
			if s.NeedsText() || with(func(f *Flags) { f.Dataset = tt.dataset }).NeedsText() {
				t.Error("needs a tokeniser")
			}
		})
	}
}

func TestPrepareText(t *testing.T) {
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "{\"prompt\":%q,\"output_tokens\":%d}\n", strings.Repeat("x", i+1), 20-i)
	}
	f := with(func(f *Flags) { f.Dataset, f.Requests = "jsonl:"+file(t, "own.jsonl", b.String()), 12 })
	s := newSpec(t, f)
	if !s.NeedsText() || !f.NeedsText() || s.StandIn != "" {
		t.Errorf("spec %+v", s)
	}
	if _, err := s.Plan(); err == nil || !strings.Contains(err.Error(), "prepare them") {
		t.Errorf("Plan before Prepare: %v", err)
	}
	plan, err := s.Prepare(context.Background(), letters)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Arrivals) != 12 || len(s.Data.Lengths) != 12 || len(s.Data.SHA256) != 64 || s.Data.Rows != 20 || s.Data.Tokenised == 0 {
		t.Fatalf("%d arrivals, data %+v", len(plan.Arrivals), s.Data)
	}
	for i, a := range plan.Arrivals {
		if n := len(a.Prompt); a.Prompt[0] != 'x' || a.Sampling.MaxTokens != 21-n || s.Planned(a.ID) != (Length{InputTokens: n, OutputTokens: 21 - n}) {
			t.Errorf("request %d: %d tokens in, %d out, planned %+v", i, n, a.Sampling.MaxTokens, s.Planned(a.ID))
		}
	}
	// What was run must be what was planned, each request for itself.
	in := Input{Spec: s, StartNs: workloadtest.Default().StartNs}
	in.Requests, in.Steps = workloadtest.Default().Run(plan)
	if g := gate(t, in, "planned lengths"); g.Status != Pass {
		t.Errorf("gate %+v", g)
	}
	in.Requests[3].OutputTokens++
	if g := gate(t, in, "planned lengths"); g.Status != Fail {
		t.Errorf("gate after a token too many: %+v", g)
	}
}

func gate(t *testing.T, in Input, name string) Gate {
	t.Helper()
	for _, g := range ptr(Summarize(in)).Gates {
		if g.Name == name {
			return g
		}
	}
	t.Fatalf("no gate %q", name)
	return Gate{}
}

func TestPrepareTrace(t *testing.T) {
	path := file(t, "azure.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n"+
		"2023-11-16 18:00:00,2000,9\n2023-11-16 18:00:01,10,2\n2023-11-16 18:00:02.5,20,3\n2023-11-16 18:00:04,30,0\n2023-11-16 18:00:06,40,5\n")
	s := newSpec(t, with(func(f *Flags) { f.Dataset, f.TimeScale = path, 0.5 }))
	plan, err := s.Prepare(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, a := range plan.Arrivals {
		got = append(got, a.OffsetNs, int64(len(a.Prompt)), int64(a.Sampling.MaxTokens))
	}
	want := []int64{0, 10, 2, 0.75e9, 20, 3, 2.5e9, 40, 5}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("offset, input, output (-want +got):\n%s", diff)
	}
	if s.Arrivals.Requests != 3 || s.Dataset != "azure" || s.Unscheduled() || !strings.Contains(s.String(), "as in the trace, times × 0.5") {
		t.Errorf("%s: %+v", s, s)
	}
	if diff := cmp.Diff(map[string]int{"longer than the model allows": 1, "no output tokens": 1}, s.Data.LeftOut); diff != "" {
		t.Error(diff)
	}
	in := Input{Spec: s, StartNs: workloadtest.Default().StartNs}
	in.Requests, in.Steps = workloadtest.Default().Run(plan)
	if sum := Summarize(in); sum.Counts.Planned != 3 || sum.Counts.Completed != 3 || !sum.Valid() {
		t.Errorf("counts %+v, gates %+v", sum.Counts, sum.Gates)
	}
	// A second time, from the spec as it was kept.
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Spec
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	again, err := back.Prepare(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(plan, again) || back.Data.SHA256 != s.Data.SHA256 {
		t.Errorf("the spec that was kept gives another plan:\n%s", cmp.Diff(plan, again))
	}
	two := file(t, "two.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00,1,1\n2023-11-16 18:00:01,1,1\n")
	short := newSpec(t, with(func(f *Flags) { f.Dataset = two }))
	if _, err := short.Prepare(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "2 usable requests, at least 3 are needed") {
		t.Errorf("a trace of warm-up alone: %v", err)
	}
}

func TestDatasetFlags_Errors(t *testing.T) {
	trace := file(t, "a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00,1,1\n")
	tests := []struct {
		name  string
		flags Flags
		want  string
	}{
		{"no such dataset", with(func(f *Flags) { f.Dataset = "c5" }), `--dataset: dataset "c5" is neither a file nor one of random, random-short`},
		{"malformed file", with(func(f *Flags) { f.Dataset = "azure:" + file(t, "b.csv", "a,b\n") }), "line 1, field TIMESTAMP: no such column"},
		{"missing file", with(func(f *Flags) { f.Dataset = "jsonl:none" }), "--dataset: open none"},
		{"c4 too long for the model", with(func(f *Flags) { f.Dataset = "c4"; f.OutputTokens = 1 }), "--dataset c4 has 768 input and 192 output tokens: together 960 tokens, the model's limit is 512"},
		{"time scale without a trace", with(func(f *Flags) { f.TimeScale = 2 }), "--time-scale 2: it belongs to a trace"},
		{"time scale of nothing", with(func(f *Flags) { f.Dataset, f.TimeScale = trace, -1 }), "--time-scale -1: must be above 0"},
		{"closed loop of a trace", with(func(f *Flags) { f.Dataset, f.Concurrency = trace, 2 }), "a trace has arrival times of its own"},
		{"negative concurrency", with(func(f *Flags) { f.Concurrency = -2 }), "--concurrency -2"},
		{"empty service level", with(func(f *Flags) { f.SLO = &SLO{} }), "--slo: a service level without limits"},
		{"no output length", with(func(f *Flags) {
			f.Dataset, f.OutputTokens = file(t, "o.jsonl", `{"token_ids":[1]}`), 0
		}), "--output-len 0: at least 1 token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.flags.Validate(Limits{Vocab: 100, MaxModelTokens: 512})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v\nwant one problem with %q", err, tt.want)
			}
		})
	}
}

func TestLengthsText(t *testing.T) {
	l := Lengths{{InputTokens: 811, OutputTokens: 192}, {InputTokens: 811, OutputTokens: 192}, {InputTokens: 768, OutputTokens: 192}}
	data, err := json.Marshal(Data{Lengths: l})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"lengths":"811/192x2 768/192"}`; string(data) != want {
		t.Errorf("JSON %s, want %s", data, want)
	}
	var back Data
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, back.Lengths); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"1", "1/", "a/b", "1/2x", "1/2x-3", "1/2x99999999", "1/2/3", "-1/2"} {
		if err := new(Lengths).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}

func FuzzLengths(f *testing.F) {
	for _, s := range []string{"811/192x2 768/192", "", "1/2x1000", "1/2x200000", "1/2x99999999999", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l, back Lengths
		if l.UnmarshalText([]byte(text)) != nil {
			return
		}
		out, err := l.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := back.UnmarshalText(out); err != nil || !slices.Equal(l, back) { // cmp takes a second for 200,000
			t.Fatalf("%q gives %q, which gives %v, %v", text, out, back, err)
		}
	})
}

var _ dataset.Tokenise = letters
