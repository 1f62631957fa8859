package workload

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/arrival"
)

var gpt2 = Limits{Vocab: 50257, MaxModelTokens: 1024, SpecialIDs: []int32{50256}}

func with(change func(*Flags)) Flags {
	f := DefaultFlags()
	change(&f)
	return f
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		flags  Flags
		limits Limits
	}{
		{"defaults", DefaultFlags(), gpt2},
		{"nothing known of the model", with(func(f *Flags) { f.InputTokens = 1 << 20 }), Limits{}},
		{"exactly the model's length", with(func(f *Flags) { f.InputTokens, f.OutputTokens = 1000, 24 }), gpt2},
		{"one request offline", with(func(f *Flags) { f.Requests, f.Pattern = 1, "offline" }), gpt2},
		{"infinite rate", with(func(f *Flags) { f.RatePerS = math.Inf(1) }), gpt2},
		{"final only", with(func(f *Flags) { f.RatePerS, f.FinalOnly = math.Inf(1), true }), gpt2},
		{"gamma", with(func(f *Flags) { f.Pattern, f.Shape = "gamma", 0.5 }), gpt2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.flags.Validate(tt.limits); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestValidate_Errors(t *testing.T) {
	tests := []struct {
		name  string
		flags Flags
		want  []string
	}{
		{"too long for the model", with(func(f *Flags) { f.InputTokens, f.OutputTokens = 1000, 100 }),
			[]string{"--input-len 1000 and --output-len 100: together 1100 tokens, the model's limit is 1024"}},
		{"lengths that overflow", with(func(f *Flags) { f.InputTokens, f.OutputTokens = math.MaxInt, math.MaxInt }), []string{"the model's limit is 1024"}},
		{"only warm-up", with(func(f *Flags) { f.Requests = 2 }), []string{"--requests 2: at least 3 are needed, the first 2 are warm-up"}},
		{"final only at a rate", with(func(f *Flags) { f.FinalOnly = true }), []string{"--final-only: without stamps of tokens only --rate inf"}},
		{"nothing offline", with(func(f *Flags) { f.Requests, f.Pattern = 0, "offline" }), []string{"--requests 0: at least 1"}},
		{"all at once", with(func(f *Flags) { *f = Flags{RatePerS: -3, Pattern: "poison", BurstSize: -1} }),
			[]string{"--requests 0", "--input-len 0", "--output-len 0", "rate -3", `unknown arrival pattern "poison"`, "burst size -1"}},
		{"more prompts than memory", with(func(f *Flags) { f.Requests, f.InputTokens = 1<<22, 512; f.RatePerS = 1e6 }), []string{"--requests 4194304 and --input-len 512: the prompts have more than 1073741824 tokens"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.flags.Validate(gpt2)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error\n%v\nlacks %q", err, want)
				}
			}
			if n := strings.Count(err.Error(), "\n") + 1; n != len(tt.want) && tt.name != "lengths that overflow" {
				t.Errorf("%d problems reported, want %d:\n%v", n, len(tt.want), err)
			}
			if _, err := New(tt.flags, gpt2); err == nil {
				t.Errorf("New accepted them")
			}
		})
	}
	if _, err := New(DefaultFlags(), Limits{}); err == nil || !strings.Contains(err.Error(), "vocabulary") {
		t.Errorf("New without a vocabulary: %v", err)
	}
}

func newSpec(t *testing.T, f Flags) Spec {
	t.Helper()
	s, err := New(f, gpt2)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPlan(t *testing.T) {
	s := newSpec(t, DefaultFlags())
	plan, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	offsets, err := arrival.Schedule(s.Arrivals)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Arrivals) != 16 || plan.MaxConcurrency != 0 || plan.KeepTokens {
		t.Fatalf("plan of %d arrivals, concurrency %d, tokens kept %v", len(plan.Arrivals), plan.MaxConcurrency, plan.KeepTokens)
	}
	for i, a := range plan.Arrivals {
		if a.ID != int64(i) || a.OffsetNs != offsets[i] || len(a.Prompt) != 128 ||
			a.Sampling.MaxTokens != 64 || !a.Sampling.IgnoreEOS || a.Sampling.Temperature != 0 {
			t.Errorf("arrival %d: id %d at %d ns, %d prompt tokens, sampling %+v", i, a.ID, a.OffsetNs, len(a.Prompt), a.Sampling)
		}
		for _, id := range a.Prompt {
			if id < 0 || id >= 50256 {
				t.Fatalf("arrival %d holds token id %d", i, id)
			}
		}
	}
}

// TestSpecRoundTrip: the spec kept with a result must give the same plan again.
func TestSpecRoundTrip(t *testing.T) {
	for _, f := range []Flags{
		DefaultFlags(),
		with(func(f *Flags) { f.RatePerS = math.Inf(1) }),
		with(func(f *Flags) { f.Pattern, f.Shape, f.Raw, f.Seed = "gamma", 0.5, true, math.MaxUint64 }),
	} {
		s := newSpec(t, f)
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Spec
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		want, err := s.Plan()
		if err != nil {
			t.Fatal(err)
		}
		got, err := back.Plan()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: plan after a round trip (-want +got):\n%s", s, diff)
		}
	}
}

func TestOfflineSpec(t *testing.T) {
	for _, f := range []Flags{
		with(func(f *Flags) { f.RatePerS = math.Inf(1) }),
		with(func(f *Flags) { f.Pattern = "offline" }),
	} {
		s := newSpec(t, f)
		if !s.Offline() || s.Arrivals.RatePerS != 0 || s.WarmUpRequests != 0 {
			t.Errorf("flags %+v gave %+v", f, s)
		}
	}
}
