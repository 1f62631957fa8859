package bottleneck

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/internal/golden"
)

func p(x float64) *float64 { return &x }

// steady is evidence of a run without a bottleneck; tests change one part.
func steady(change func(*Evidence)) Evidence {
	e := Evidence{
		WindowS: 60, Requests: 300, Device: &Budget{Busy: 0.80, Host: 0.08, Between: 0.02, Empty: 0.10},
		QueueFrac: 0.10, PrefillFrac: 0.25, DecodeFrac: 0.65, PrefillIdleFrac: p(0.10), DecodeIdleFrac: p(0.10),
		OpenLoop: true, OfferedPerS: 5, AchievedPerS: 5, KVUsageP95: 0.4, LatencyCV: p(0.2), MeanBatch: 6, MaxSeqs: 64, MaxTokens: 8192,
	}
	if change != nil {
		change(&e)
	}
	return e
}

var vectors = []struct {
	name     string
	evidence Evidence
	want     map[Class]float64 // severity to one decimal
	primary  Class
}{
	{"idle between requests", Evidence{
		Requests: 100, Device: &Budget{Busy: 0.523, Host: 0.04, Between: 0.01, Empty: 0.427}, QueueFrac: 0.01, PrefillFrac: 0.17, DecodeFrac: 0.82,
		InterferenceFrac: 0.05, PrefillIdleFrac: p(0.05), DecodeIdleFrac: p(0.10), OpenLoop: true, MeanBatch: 2,
	}, map[Class]float64{Prefill: 2.0, Decode: 7.0, HostBound: 0.9, QueueBuildUp: 0.1, LowUtilisation: 4.8}, LowUtilisation},
	{"overloaded", Evidence{
		Requests: 100, OpenLoop: true, OfferedPerS: 20, AchievedPerS: 2.84, Saturated: true, MeanBatch: 4, MaxSeqs: 4,
		QueueFrac: 0.8, PrefillFrac: 0.05, DecodeFrac: 0.15, Waiting: &Waiting{Seqs: 0.97, Compute: 0.03},
	}, map[Class]float64{QueueBuildUp: 8.6}, QueueBuildUp},
	{"slow host", Evidence{
		Requests: 100, Device: &Budget{Busy: 0.34, Host: 0.66}, PrefillFrac: 0.1, DecodeFrac: 0.9,
		PrefillIdleFrac: p(0.3), DecodeIdleFrac: p(0.7), MeanBatch: 8,
	}, map[Class]float64{Prefill: 0.7, Decode: 2.7, HostBound: 6.6}, HostBound},
}

// TestVectors are worked examples of the definitions.
func TestVectors(t *testing.T) {
	for _, tt := range vectors {
		t.Run(tt.name, func(t *testing.T) {
			r := Classify(tt.evidence)
			for class, want := range tt.want {
				if got := math.Round(10*r.Of(class).Severity) / 10; got != want {
					t.Errorf("%s: severity %g, want %g", class, got, want)
				}
			}
			if r.Primary != tt.primary {
				t.Errorf("primary %q (%s), want %q", r.Primary, r.Reason, tt.primary)
			}
			data, err := json.MarshalIndent(r, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "testdata/"+strings.ReplaceAll(tt.name, " ", "-")+".json", append(data, '\n'))
		})
	}
}

func TestPresent(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Evidence)
		class  Class
		want   bool
	}{
		{"prefill below", func(e *Evidence) { e.PrefillFrac, e.DecodeFrac = 0.33, 0.57 }, Prefill, false}, // 0.33 × 0.9
		{"prefill", func(e *Evidence) { e.PrefillFrac, e.DecodeFrac = 0.34, 0.56 }, Prefill, true},
		{"prefill by interference", func(e *Evidence) { e.InterferenceFrac = 0.15 }, Prefill, true},
		{"decode below", func(e *Evidence) { e.PrefillFrac, e.DecodeFrac = 0.24, 0.66 }, Decode, false},
		{"decode", func(e *Evidence) { e.PrefillFrac, e.DecodeFrac = 0.22, 0.68 }, Decode, true},
		{"host below", func(e *Evidence) { e.DecodeIdleFrac = p(0.26) }, HostBound, false},
		{"host", func(e *Evidence) { e.DecodeIdleFrac = p(0.28) }, HostBound, true},
		{"device busy", func(e *Evidence) { e.Device.Busy, e.Device.Empty = 0.61, 0.29 }, LowUtilisation, false},
		{"device idle", func(e *Evidence) { e.Device.Busy, e.Device.Empty = 0.59, 0.31 }, LowUtilisation, true},
		{"queue below", func(e *Evidence) { e.QueueFrac, e.DecodeFrac = 0.19, 0.56 }, QueueBuildUp, false},
		{"queue", func(e *Evidence) { e.QueueFrac, e.DecodeFrac = 0.21, 0.54 }, QueueBuildUp, true},
		{"fell behind without being saturated", func(e *Evidence) { e.AchievedPerS = 3 }, QueueBuildUp, false},
		{"saturated", func(e *Evidence) { e.AchievedPerS, e.Saturated = 3, true }, QueueBuildUp, true},
		{"full cache that delays nobody", func(e *Evidence) { e.KVUsageP95 = 0.92 }, MemoryPressure, false},
		{"cache full all the time", func(e *Evidence) { e.KVUsageP95 = 1 }, MemoryPressure, true},
		{"concurrency denied", func(e *Evidence) { e.KVDenied = 0.11 }, MemoryPressure, true},
		{"recomputed", func(e *Evidence) { e.KVDenied, e.Recomputed = 0.06, 0.05 }, MemoryPressure, true},
		{"out of memory", func(e *Evidence) { e.OutOfMemory = true }, MemoryPressure, true},
		{"spread at the onset", func(e *Evidence) { e.LatencyCV = p(0.5) }, HighVariance, false},
		{"spread", func(e *Evidence) { e.LatencyCV = p(0.51) }, HighVariance, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Classify(steady(tt.change))
			f := r.Of(tt.class)
			if f.Present != tt.want {
				t.Errorf("%s with x %.4f, onset %.4f: present %v", tt.class, f.X, f.Onset, f.Present)
			}
			if (len(f.Advice) > 0) != tt.want {
				t.Errorf("advice %q", f.Advice)
			}
		})
	}
}

func TestPrimary(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Evidence)
		want   Class
		co     []Class
		reason string
	}{
		{"balanced", nil, "", nil, "nothing reaches its onset; the largest share is decode with 0.59"},
		{"invalid", func(e *Evidence) { e.Invalid, e.OutOfMemory = "clocks mixed", true }, "", nil, "the run is invalid: clocks mixed"},
		{"out of memory before saturation", func(e *Evidence) { e.OutOfMemory, e.Saturated = true, true }, MemoryPressure, nil, "out of memory"},
		{"saturated by sequences", func(e *Evidence) { e.Saturated, e.Waiting = true, &Waiting{Seqs: 0.6, KV: 0.4} }, QueueBuildUp, nil, "fell behind"},
		{"saturated by the cache", func(e *Evidence) { e.Saturated, e.Waiting = true, &Waiting{Seqs: 0.4, KV: 0.6} }, MemoryPressure, nil, "60 % of the step time"},
		{"idle for want of load", func(e *Evidence) { e.Device = &Budget{Busy: 0.3, Host: 0.2, Between: 0.1, Empty: 0.4} }, LowUtilisation, nil, "nothing to do"},
		{"idle for want of speed", func(e *Evidence) {
			e.Device = &Budget{Busy: 0.3, Host: 0.5, Between: 0.1, Empty: 0.1}
			e.PrefillIdleFrac, e.DecodeIdleFrac = p(0.6), p(0.6)
		}, HostBound, nil, "largest share, 0.54"},
		{"two of a kind", func(e *Evidence) { e.PrefillFrac, e.DecodeFrac, e.QueueFrac = 0.40, 0.24, 0.36 }, Prefill, []Class{QueueBuildUp}, "0.36"},
		{"close, but not a kind", func(e *Evidence) { e.PrefillFrac, e.DecodeFrac, e.QueueFrac = 0.52, 0.10, 0.38 }, Prefill, nil, "0.47"},
		{"equal queue and host", func(e *Evidence) {
			e.PrefillFrac, e.DecodeFrac, e.QueueFrac, e.DecodeIdleFrac = 0.10, 0.60, 0.30, p(0.5)
		}, HostBound, []Class{QueueBuildUp}, "0.31"},
		{"only spread", func(e *Evidence) { e.LatencyCV = p(0.9) }, HighVariance, nil, "latency spreads"},
		{"variance gives way", func(e *Evidence) { e.LatencyCV, e.KVDenied = p(3), 0.2 }, MemoryPressure, nil, "0.20"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Classify(steady(tt.change))
			if r.Primary != tt.want || !strings.Contains(r.Reason, tt.reason) {
				t.Errorf("primary %q (%s), want %q (%s)", r.Primary, r.Reason, tt.want, tt.reason)
			}
			if diff := cmp.Diff(tt.co, r.CoPrimary); diff != "" {
				t.Errorf("co-primary (-want +got):\n%s", diff)
			}
			if r.Balanced != (tt.name == "balanced") {
				t.Errorf("balanced %v", r.Balanced)
			}
		})
	}
}

// TestUnknown: what the records do not tell is no number, and decides nothing.
func TestUnknown(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*Evidence)
		unknown []Class
	}{
		{"everything known", nil, nil},
		{"no device time", func(e *Evidence) { e.Device, e.PrefillIdleFrac, e.DecodeIdleFrac = nil, nil, nil }, []Class{HostBound, LowUtilisation}},
		{"closed loop", func(e *Evidence) { e.OpenLoop, e.QueueFrac, e.DecodeFrac = false, 0, 0.75 }, []Class{QueueBuildUp}},
		{"few requests", func(e *Evidence) { e.LatencyCV = nil }, []Class{HighVariance}},
		{"no steps", func(e *Evidence) { e.MeanBatch = 0 }, []Class{MemoryPressure}},
		{"nothing", func(e *Evidence) { *e = Evidence{} }, Classes},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Classify(steady(tt.change))
			var unknown []Class
			for _, f := range r.Classes {
				if f.Unknown == "" {
					continue
				}
				unknown = append(unknown, f.Class)
				if f.X != 0 || f.Present || f.Word != "unknown" || f.Advice != nil {
					t.Errorf("%s is unknown (%s), but %+v", f.Class, f.Unknown, f)
				}
			}
			if diff := cmp.Diff(tt.unknown, unknown); diff != "" {
				t.Errorf("unknown classes (-want +got):\n%s", diff)
			}
			if tt.name == "nothing" && (r.Balanced || r.Primary != "" || !strings.Contains(r.Reason, "do not tell")) {
				t.Errorf("a report of nothing: %+v", r)
			}
		})
	}
}

// TestIdentity draws evidence at random: prefill, decode, host and queue share
// all of the latency, and every severity is in range.
func TestIdentity(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	share := func() *float64 { x := rng.Float64(); return &x }
	for range 5_000 {
		cut := []float64{rng.Float64(), rng.Float64()}
		slices.Sort(cut)
		e := Evidence{
			Requests: 1 + rng.IntN(1000), QueueFrac: cut[0], PrefillFrac: cut[1] - cut[0], DecodeFrac: 1 - cut[1],
			InterferenceFrac: rng.Float64(), PrefillIdleFrac: share(), DecodeIdleFrac: share(), OpenLoop: true,
			OfferedPerS: 20 * rng.Float64(), AchievedPerS: 25 * rng.Float64(), Saturated: rng.IntN(2) == 0, OutOfMemory: rng.IntN(20) == 0,
			KVDenied: 2 * rng.Float64(), Recomputed: 2 * rng.Float64(), KVUsageP95: 1.2 * rng.Float64(), LatencyCV: p(rng.ExpFloat64()), MeanBatch: 1,
			Device: &Budget{Busy: rng.Float64()},
		}
		r := Classify(e)
		sum := r.Of(Prefill).X + r.Of(Decode).X + r.Of(HostBound).X + e.QueueFrac
		if math.Abs(sum-1) > 1e-12 {
			t.Fatalf("x_prefill + x_decode + x_host + r_q = %v for %+v", sum, e)
		}
		present := false
		for _, f := range r.Classes {
			if !(f.Severity >= 0 && f.Severity <= 10) || f.Severity != 10*f.X || f.Word != Word(f.Severity) {
				t.Fatalf("%+v for %+v", f, e)
			}
			if f.X < 1 && math.Abs(f.Bound*(1-f.X)-1) > 1e-9 || f.X == 1 && f.Bound != 0 {
				t.Fatalf("bound %v at x %v", f.Bound, f.X)
			}
			present = present || f.Present && f.Class != LowUtilisation
		}
		if present && r.Primary == "" || r.Balanced && r.Primary != "" {
			t.Fatalf("primary %q, balanced %v, though a class is present: %+v", r.Primary, r.Balanced, e)
		}
		if r.Primary != "" && !r.Of(r.Primary).Present && !(e.Saturated || e.OutOfMemory) {
			t.Fatalf("primary %q is not present: %+v", r.Primary, e)
		}
	}
}

func TestWord(t *testing.T) {
	for severity, want := range map[float64]string{0: "none", 0.99: "none", 1: "low", 2.99: "low", 3: "moderate", 5.99: "moderate", 6: "high", 7.99: "high", 8: "critical", 10: "critical"} {
		if got := Word(severity); got != want {
			t.Errorf("severity %g is %q, want %q", severity, got, want)
		}
	}
}

func TestAdvice(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Evidence)
		class  Class
		want   string
	}{
		{"prompts disturb", func(e *Evidence) { e.InterferenceFrac = 0.3 }, Prefill, "--max-num-batched-tokens"},
		{"prompts alone", func(e *Evidence) { e.PrefillFrac, e.DecodeFrac = 0.6, 0.3 }, Prefill, "--enable-prefix-caching"},
		{"at the bandwidth", func(e *Evidence) { e.PrefillFrac, e.DecodeFrac, e.BandwidthFrac = 0.1, 0.8, p(0.7) }, Decode, "--max-num-seqs"},
		{"slow kernels", func(e *Evidence) { e.PrefillFrac, e.DecodeFrac, e.BandwidthFrac = 0.1, 0.8, p(0.3) }, Decode, "30 % of the copy bandwidth"},
		{"bandwidth unknown", func(e *Evidence) { e.PrefillFrac, e.DecodeFrac = 0.1, 0.8 }, Decode, "--speculative-config"},
		{"launches", func(e *Evidence) { e.DecodeIdleFrac = p(0.5) }, HostBound, "--cudagraph-capture-sizes"},
		{"graphs already", func(e *Evidence) { e.DecodeIdleFrac, e.FullGraphs = p(0.5), true }, HostBound, "one graph already"},
		{"interpreter on a CPU", func(e *Evidence) { e.DecodeIdleFrac, e.OnCPU = p(0.5), true }, HostBound, "VLLM_CPU_OMP_THREADS_BIND"},
		{"no load", func(e *Evidence) { e.Device = &Budget{Busy: 0.2, Empty: 0.8} }, LowUtilisation, "more load"},
		{"idle host", func(e *Evidence) { e.Device = &Budget{Busy: 0.2, Host: 0.8} }, LowUtilisation, "--async-scheduling"},
		{"limit of sequences", func(e *Evidence) { e.QueueFrac, e.Waiting = 0.3, &Waiting{Seqs: 1} }, QueueBuildUp, "--max-num-seqs (now 64)"},
		{"limit of tokens", func(e *Evidence) { e.QueueFrac, e.Waiting = 0.3, &Waiting{Tokens: 1} }, QueueBuildUp, "--max-num-batched-tokens (now 8192)"},
		{"limit of the cache", func(e *Evidence) { e.QueueFrac, e.Waiting = 0.3, &Waiting{KV: 1} }, QueueBuildUp, "--gpu-memory-utilization"},
		{"no limit", func(e *Evidence) { e.QueueFrac, e.Waiting = 0.3, &Waiting{Compute: 1} }, QueueBuildUp, "--data-parallel-size"},
		{"nothing waited", func(e *Evidence) { e.QueueFrac = 0.3 }, QueueBuildUp, "--data-parallel-size"},
		{"cache", func(e *Evidence) { e.KVDenied = 0.3 }, MemoryPressure, "--kv-cache-dtype"},
		{"cache on a CPU", func(e *Evidence) { e.KVDenied, e.OnCPU = 0.3, true }, MemoryPressure, "VLLM_CPU_KVCACHE_SPACE"},
		{"slow mixed steps", func(e *Evidence) { e.LatencyCV, e.Slow = p(1), &SlowITL{N: 9, Mixed: 0.9, AllMixed: 0.2} }, HighVariance, "--long-prefill-token-threshold"},
		{"all steps mixed", func(e *Evidence) { e.LatencyCV, e.Slow = p(1), &SlowITL{N: 9, Mixed: 0.9, AllMixed: 0.9} }, HighVariance, "changing clocks"},
		{"slow preemption", func(e *Evidence) { e.LatencyCV, e.Slow = p(1), &SlowITL{N: 9, Preempted: 0.9} }, HighVariance, "--gpu-memory-utilization"},
		{"waits", func(e *Evidence) { e.LatencyCV, e.QueueFrac = p(1), 0.4 }, HighVariance, "--data-parallel-size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Classify(steady(tt.change))
			if advice := strings.Join(r.Of(tt.class).Advice, "\n"); !strings.Contains(advice, tt.want) {
				t.Errorf("advice on %s:\n%s\nlacks %q", tt.class, advice, tt.want)
			}
		})
	}
}
