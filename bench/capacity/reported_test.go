package capacity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"stepbench/engine"
	"stepbench/internal/golden"
)

// manifest is what memory depends on in a run's manifest.
type manifest struct {
	Config engine.Config `json:"engine"`
	Info   *engine.Info  `json:"engine_info"`
}

// figure is an estimate beside what vLLM reported, in bytes of a rank.
type figure struct {
	rank               int
	name               string
	estimate, reported int64
	strict             bool
}

func (f figure) off() float64 { return float64(f.estimate)/float64(f.reported) - 1 }

// figures of every rank of which vLLM reported the memory. Weights and the KV cache
// must fit within 5 %; activations and what is outside torch are small beside them
// and only shown.
func (m manifest) figures() []figure {
	var out []figure
	l := Layout{max(1, m.Config.TP), max(1, m.Config.PP)}
	ranks := m.Info.Ranks
	if len(ranks) == 0 {
		ranks = []engine.Rank{{Memory: m.Info.Memory}}
	}
	element, _ := engine.ElementBytes(m.Info.DType)
	for _, r := range ranks {
		if r.Memory.TotalBytes == 0 || m.Config.Model.Shape == nil || element == 0 {
			continue
		}
		lim := Limits{ElementBytes: element, Utilization: m.Info.GPUMemoryUtilization, MaxBatchedTokens: m.Info.MaxNumBatchedTokens, MaxSeqs: m.Info.MaxNumSeqs, ContextTokens: 1}
		got := l.stage(m.Config.Model.Shape, Device{MemoryBytes: r.Memory.TotalBytes}, lim, r.PP)
		for _, f := range []figure{
			{r.Rank, "weights", got.WeightBytes, r.Memory.WeightsBytes, true},
			{r.Rank, "peak activation", got.ActivationBytes, r.Memory.PeakActivationBytes, false},
			{r.Rank, "outside torch", got.NonTorchBytes, r.Memory.NonTorchBytes, false},
			{r.Rank, "available for KV cache", got.KVBytes, r.Memory.AvailableKVBytes, true},
		} {
			if f.reported > 0 {
				out = append(out, f)
			}
		}
	}
	return out
}

// TestReportedMemory compares every manifest below docs/benchmarks whose engine
// reported its memory.
func TestReportedMemory(t *testing.T) {
	paths, err := filepath.Glob(records + "memory/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d manifests with vLLM's memory report\n", len(paths))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m manifest
		if err := json.Unmarshal(text, &m); err != nil || m.Info == nil {
			t.Fatalf("%s: %v, or no engine_info", path, err)
		}
		figures := m.figures()
		if len(figures) == 0 {
			t.Errorf("%s: vLLM reported no memory", path)
		}
		for _, f := range figures {
			fmt.Fprintf(&out, "%s rank %d: %-22s estimate %8.3f reported %8.3f GiB (%+.1f %%)\n", filepath.Base(path), f.rank, f.name,
				float64(f.estimate)/gib, float64(f.reported)/gib, 100*f.off())
			if f.strict && math.Abs(f.off()) > 0.05 {
				t.Errorf("%s rank %d: %s is %.1f %% off", path, f.rank, f.name, 100*f.off())
			}
		}
	}
	golden.Check(t, "testdata/reported-memory.txt", out.Bytes())
}

// TestFigures: each rank is compared with the estimate for its own stage.
func TestFigures(t *testing.T) {
	s := shape(t, "llama-2-7b")
	l := Layout{1, 2}
	m := manifest{
		Config: engine.Config{Model: engine.Model{Shape: s}, PP: 2},
		Info: &engine.Info{DType: "float16", MaxNumBatchedTokens: 2048, MaxNumSeqs: 128, GPUMemoryUtilization: 0.5, Ranks: []engine.Rank{
			{Rank: 0, PP: 0, Memory: engine.Memory{TotalBytes: 80 << 30, WeightsBytes: 2 * l.Weights(s, 0).Total(), AvailableKVBytes: 33 << 30}},
			{Rank: 1, PP: 1, Memory: engine.Memory{TotalBytes: 80 << 30, WeightsBytes: l.Weights(s, 1).Total()}},
		}},
	}
	got := m.figures()
	if len(got) != 3 {
		t.Fatalf("%d figures of 3: %+v", len(got), got)
	}
	if got[0].off() != 0 || math.Abs(got[1].off()) > 0.02 || math.Abs(got[2].off()-1) > 1e-9 || got[2].rank != 1 {
		t.Errorf("off by %v, %v and %v, want 0, about 0 and 1", got[0].off(), got[1].off(), got[2].off())
	}
}
