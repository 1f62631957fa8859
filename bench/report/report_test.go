package report

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepbench/bench/record"
	"stepbench/bench/telemetry"
	"stepbench/bench/workload"
	"stepbench/bench/workload/workloadtest"
	"stepbench/engine"
	"stepbench/internal/golden"
)

// newRecord simulates a run with everything a report can show.
func newRecord(t *testing.T, change func(*workload.Flags, *workloadtest.Engine)) *record.Record {
	t.Helper()
	flags, e := workload.DefaultFlags(), workloadtest.Default()
	flags.Requests = 40
	if change != nil {
		change(&flags, &e)
	}
	spec, err := workload.New(flags, workload.Limits{Vocab: 50257, MaxModelTokens: 1024})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := spec.Plan()
	if err != nil {
		t.Fatal(err)
	}
	rec := &record.Record{Source: record.FromParquet}
	rec.Requests, rec.Steps = e.Run(plan)
	rec.Manifest = record.Manifest{
		SchemaVersion: record.SchemaVersion, MethodVersion: record.MethodVersion, State: record.Complete,
		Tool: record.Tool{Version: "0.1.0", Commit: "abc1234", Go: "go1.26"}, Command: "run",
		Args:     []string{"stepbench", "run", "--model", "gpt2", "--out", "my results"},
		Host:     record.Host{OS: "linux", Arch: "amd64", Kernel: "6.1.0", CPUModel: "AMD EPYC", CPUs: 2, MemoryBytes: 8 << 30},
		StartUTC: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), StartNs: e.StartNs,
		Engine: engine.Config{Model: engine.Model{Name: "gpt2", Synthetic: true, Shape: &engine.ModelShape{
			Architecture: "GPT2LMHeadModel", Layers: 12, Hidden: 768, Parameters: 124_439_808}}},
		Info: &engine.Info{
			VLLMVersion: "0.26.0", TorchVersion: "2.11.0", PythonVersion: "3.11.7", Platform: "cpu", Device: "AMD EPYC",
			DType: "bfloat16", AttentionBackend: "CPU_ATTN", GraphMode: "none", MaxModelLen: 1024, MaxNumSeqs: 8,
			MaxNumBatchedTokens: 2048, VocabSize: 50257, KVBlocks: 512, KVBlockSize: 128, OpenSeconds: 20.5, CompileSeconds: 3.25,
		},
	}
	rec.Manifest.SetWorkload(spec)
	rec.Manifest.Telemetry = &record.Telemetry{
		SampleHz: 10, Samples: 200, SamplerCPUFrac: telemetry.Of(0.0024), ParentCPUNs: telemetry.Of[int64](300e6),
		RSSBytes: telemetry.Of[int64](1 << 30), Threads: telemetry.Of[int64](49),
		Change: telemetry.Change{
			IntervalNs: 20e9, CPUWorkS: telemetry.Of(39.0), CPUStealS: telemetry.Of(1.0),
			Processes: []telemetry.ProcessChange{{PID: 7, IntervalNs: 20e9, CPUNs: telemetry.Of[int64](36e9)}},
		},
	}
	return rec
}

// onGPU adds what a device says, and one that says nothing.
func onGPU(rec *record.Record) *record.Record {
	t := rec.Manifest.Telemetry
	t.Truncated, t.Change.Throttling.StoppedNs = true, telemetry.Of[int64](2e9)
	t.Change.Devices = []telemetry.DeviceChange{
		{UUID: "GPU-1", IntervalNs: 20e9, EnergyJ: telemetry.Of(4000.0), PowerCapNs: telemetry.Of[int64](5e9), SWThermalNs: telemetry.Of[int64](1e9), HWThermalNs: telemetry.Of[int64](1e9)},
		{UUID: "GPU-2", IntervalNs: 20e9, Problem: "NVML: *lost*"},
	}
	for _, clock := range []float64{1980, 1755, 1980} {
		rec.Samples = append(rec.Samples, telemetry.Sample{Devices: []telemetry.DeviceReading{{UUID: "GPU-1", Gauges: telemetry.Gauges{
			SMClockMHz: telemetry.Of(clock), SMUtilFrac: telemetry.Of(clock / 2000), MemoryUsedBytes: telemetry.Of(int64(clock) << 26),
		}}}})
	}
	return rec
}

func TestMarkdownGolden(t *testing.T) {
	tests := []struct {
		name string
		rec  *record.Record
	}{
		{"complete", newRecord(t, nil)},
		{"gpu", onGPU(newRecord(t, nil))},
		{"offline", newRecord(t, func(f *workload.Flags, _ *workloadtest.Engine) { f.RatePerS = math.Inf(1) })},
		{"interrupted", func() *record.Record {
			rec := newRecord(t, func(f *workload.Flags, e *workloadtest.Engine) { f.RatePerS, e.AbortNs = 8, 3e9 })
			rec.Manifest.State, rec.Manifest.Error = record.Interrupted, "interrupted by the user"
			return rec
		}()},
		{"invalid", func() *record.Record {
			rec := newRecord(t, func(f *workload.Flags, e *workloadtest.Engine) { f.Requests, f.RatePerS, e.MaxSeqs = 120, 8, 1 })
			rec.Requests[10].OutputTokens = 3
			rec.Requests[11].FirstTokenNs = 0
			rec.Manifest.Warnings = []string{"the machine was busy:\nload 7.5"}
			return rec
		}()},
		{"truncated", func() *record.Record {
			rec := newRecord(t, func(f *workload.Flags, e *workloadtest.Engine) {
				f.Pattern, f.Requests, f.RatePerS = "constant", 250, 10
			})
			w := rec.Manifest.Workload
			w.Profile, w.WarmUpRequests, w.TailRequests, w.Arrivals.Requests = "standard", 30, 10, 240
			for i := range rec.Requests { // until 7 s, all take 2 s longer
				if r := &rec.Requests[i]; r.ID < 50 {
					r.LastTokenNs, r.DeliveredNs = r.LastTokenNs+2e9, r.DeliveredNs+2e9
				}
				if r := &rec.Requests[i]; r.ID == 235 || r.ID == 249 {
					r.Finish, r.LastTokenNs, r.DeliveredNs = engine.FinishAbort, 0, 0
				}
			}
			return rec
		}()},
		{"tensor parallel", func() *record.Record {
			rec := newRecord(t, nil)
			spread(rec, 2, 1)
			return rec
		}()},
		{"pipeline", func() *record.Record {
			rec := newRecord(t, nil)
			spread(rec, 2, 2)
			rec.Manifest.Info.QueuedBatches = 2
			return rec
		}()},
		{"never opened", &record.Record{Source: record.FromParquet, Manifest: record.Manifest{
			State: record.Failed, Error: "open engine: no memory\nTraceback: none", Command: "run", Args: []string{"stepbench", "run"},
			Engine: engine.Config{Model: engine.Model{Name: "a|b"}}, StartUTC: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			Tool: record.Tool{Version: "0.1.0", Go: "go1.26"}, SchemaVersion: 1,
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join("testdata", strings.ReplaceAll(tt.name, " ", "_"))
			golden.Check(t, name+".md", []byte(Markdown(tt.rec)))
			golden.Check(t, name+".txt", []byte(Brief(tt.rec)))
		})
	}
}

// spread makes the run's engine one of several ranks.
func spread(rec *record.Record, tp, pp int) {
	m := &rec.Manifest
	m.Engine.TP, m.Engine.PP = tp, pp
	for i := range tp * pp {
		m.Info.Ranks = append(m.Info.Ranks, engine.Rank{Rank: i, TP: i % tp, PP: i / tp, PID: 100 + i, Threads: 2, CPUs: []int{2 * i, 2*i + 1}})
		m.Ranks = append(m.Ranks, engine.RankUse{Rank: i, CPUNs: int64(i+1) * 5e9, RSSBytes: 2 << 30})
	}
}

func TestImbalance(t *testing.T) {
	for _, tt := range []struct {
		x    []float64
		want float64
	}{{nil, 0}, {[]float64{0, 0}, 0}, {[]float64{3, 3}, 1}, {[]float64{1, 3}, 1.5}} {
		if got := Imbalance(tt.x); got != tt.want {
			t.Errorf("imbalance of %v: %g, want %g", tt.x, got, tt.want)
		}
	}
	if got := spans([]int{0, 1, 2, 5, 7, 8}); got != "0-2,5,7-8" {
		t.Errorf("spans %s", got)
	}
}

// TestKilledRun: a run read from its journal says so.
func TestKilledRun(t *testing.T) {
	rec := newRecord(t, nil)
	rec.Manifest.State, rec.Source = record.Running, record.FromJournal
	rec.Notes = []string{"the last line was cut off"}
	text := Markdown(rec)
	for _, want := range []string{"**UNFINISHED.**", "- Warning: the last line was cut off"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
}

// TestWrite goes through a run directory and back.
func TestWrite(t *testing.T) {
	rec := newRecord(t, nil)
	dir := filepath.Join(t.TempDir(), "run")
	run, err := record.Create(dir, rec.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Sink()(engine.Batch{StartNs: rec.Manifest.StartNs, Requests: rec.Requests, Steps: rec.Steps}); err != nil {
		t.Fatal(err)
	}
	if err := run.Finish(record.Complete, nil); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Markdown(rec) {
		t.Errorf("the report from disk differs from the one from memory:\n%s", got)
	}
	if err := Write(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("report of no run: %v", err)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 0.0014: "0.001", 0.12345: "0.123", 0.9996: "1.00", 1: "1.00", 9.994: "9.99", 9.996: "10.0",
		99.94: "99.9", 99.96: "100", 1234567.8: "1234568", -1.234: "-1.23",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%g) = %s, want %s", v, got, want)
		}
	}
}

func TestShell(t *testing.T) {
	got := Shell([]string{"stepbench", "run", "--out", "it's mine", "", "--rate=2"})
	if want := `stepbench run --out 'it'\''s mine' '' --rate=2`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
