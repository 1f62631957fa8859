package suite

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stepbench/internal/golden"
)

func TestDryRun(t *testing.T) {
	tests := []struct {
		name, suite string
		machine     Machine
	}{
		{"quick-cpu", "quick", Machine{MemoryBytes: 24 << 30}},
		{"full-cpu", "full", Machine{MemoryBytes: 24 << 30}},
		{"full-one-gpu", "full", Machine{GPUs: 1, MemoryBytes: 140 << 30}},
		{"full-two-gpus-of-24-gib", "full", Machine{GPUs: 2, MemoryBytes: 24 << 30}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, ok := builtIn(tt.suite)
			if !ok {
				t.Fatalf("no suite %s", tt.suite)
			}
			var out bytes.Buffer
			if err := layOut(t, text, tt.machine).Describe(&out); err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "testdata/"+tt.name+".txt", out.Bytes())
		})
	}
}

// TestParallelismOnACPU: ranks share it if the suite says so, and the engine gets
// what it needs for them.
func TestParallelismOnACPU(t *testing.T) {
	const text = "name = \"ranks\"\npatterns = [\"offline\"]\nparallelism = [\"tp=1\", \"tp=2\", \"tp=2,pp=2\"]\n"
	if m := layOut(t, text, Machine{}); len(m.Engines) != 1 || len(m.NotRun) != 2 || !strings.Contains(m.NotRun[0].Why, "cpu_ranks = true") {
		t.Errorf("without cpu_ranks: %d engines, not run %+v", len(m.Engines), m.NotRun)
	}
	m := layOut(t, "cpu_ranks = true\n"+text, Machine{})
	if len(m.NotRun) > 0 || len(m.Engines) != 3 {
		t.Fatalf("%d engines, not run %+v", len(m.Engines), m.NotRun)
	}
	for i, want := range [][2]int{{1, 1}, {2, 1}, {2, 2}} {
		if c := m.Engines[i].Config; c.TP != want[0] || c.PP != want[1] || len(c.Extra) > 0 {
			t.Errorf("engine %s: %+v", m.Engines[i].Name, c)
		}
	}
	// Ranks on a CPU share its memory, devices have their own.
	const large = "cpu_ranks = true\nname = \"large\"\nmodels = [\"llama-2-13b\"]\npatterns = [\"offline\"]\nparallelism = [\"tp=2\"]\n"
	if m := layOut(t, large, Machine{MemoryBytes: 20 << 30}); len(m.NotRun) != 1 {
		t.Errorf("on a CPU of 20 GiB: not run %+v", m.NotRun)
	}
	if m := layOut(t, large, Machine{GPUs: 2, MemoryBytes: 20 << 30}); len(m.NotRun) != 0 {
		t.Errorf("on two GPUs of 20 GiB: not run %+v", m.NotRun)
	}
}

// TestRayIsElsewhere: its devices are not this machine's.
func TestRayIsElsewhere(t *testing.T) {
	const text = "name = \"ray\"\npatterns = [\"offline\"]\nparallelism = [\"tp=8,pp=2\"]\n[engine]\nexecutor = \"ray\"\n"
	if m := layOut(t, text, Machine{GPUs: 8}); len(m.NotRun) > 0 || m.Engines[0].Config.Executor != "ray" {
		t.Errorf("%+v, not run %+v", m.Engines, m.NotRun)
	}
}

// TestKeys: at one repeat all points draw from the same keys, at the next from
// others.
func TestKeys(t *testing.T) {
	m := layOut(t, small, Machine{})
	for _, p := range m.Points {
		if len(p.Repeats) != 2 || p.Repeats[0].Flags.Seed != 1 || p.Repeats[1].Flags.Seed != 2 {
			t.Errorf("point %s: repeats %+v", p.ID, p.Repeats)
		}
	}
}

func TestCross(t *testing.T) {
	m := layOut(t, small+"mode = \"cross\"\npatterns = [\"poisson\", \"offline\"]\nconcurrency = [4]\n", Machine{})
	// For each of two models and two datasets: two rates of poisson, offline
	// once, since it has no rate, and a closed loop once.
	if len(m.Points) != 2*2*4 || len(m.Engines) != 2 {
		t.Errorf("%d points on %d engines, want 16 on 2", len(m.Points), len(m.Engines))
	}
	ids := map[string]bool{}
	for _, p := range m.Points {
		if ids[p.ID] || fileName(p.ID) != p.ID {
			t.Errorf("id %q is taken or unfit for a file", p.ID)
		}
		ids[p.ID] = true
		if open := p.Pattern == "poisson"; open != (p.RatePerS > 0) || (p.Pattern == "closed") != (p.Concurrency > 0) {
			t.Errorf("point %+v", p)
		}
	}
}

func TestWindow(t *testing.T) {
	m := layOut(t, `
name = "window"
rates = [2.5]
warmup_s = 5.0
window_s = 20.0
`, Machine{})
	p := m.Points[0]
	if p.WarmUp != 13 || p.Repeats[0].Flags.Requests != 63 {
		t.Errorf("%d of warm-up and %d requests, want 13 and 63", p.WarmUp, p.Repeats[0].Flags.Requests)
	}
}

func TestTooLongForAModelIsNotRun(t *testing.T) {
	m := layOut(t, `
name = "long"
models = ["gpt2", "llama-2-7b"]
datasets = ["random-short", "c4"]
mode = "cross"
[model.gpt2]
max_model_len = 512
`, Machine{})
	if len(m.Points) != 3 || len(m.NotRun) != 1 || !strings.Contains(m.NotRun[0].Why, "limit is 512") {
		t.Errorf("%d points, not run %+v", len(m.Points), m.NotRun)
	}
	if i := slices.IndexFunc(m.Points, func(p Point) bool { return p.StandIn }); i < 0 {
		t.Error("no point says that random tokens stand in for c4")
	}
}

func TestNewManifest_Errors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown model", "name = \"x\"\nmodels = [\"gpt5\"]\n", `model gpt5: no model "gpt5"`},
		{"unknown dataset", "name = \"x\"\ndatasets = [\"wikipedia\"]\n", `dataset "wikipedia" is neither`},
		{"too few requests", "name = \"x\"\nrequests = 1\n", "--requests 1: at least 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse("x.toml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := NewManifest(f, tt.text, Machine{Config: config}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestRefusedByVLLM: a layout that vLLM would refuse is told before its engine
// opens.
func TestRefusedByVLLM(t *testing.T) {
	m := layOut(t, small+"parallelism = [\"tp=5\"]\n", Machine{GPUs: 8})
	if len(m.NotRun) == 0 || !strings.Contains(m.NotRun[0].Why, "must be divisible by tensor parallel size (5)") {
		t.Errorf("not run %+v", m.NotRun)
	}
}

// TestExamples: the suites in docs run whole on the machines that they are for.
func TestExamples(t *testing.T) {
	for _, tt := range []struct {
		file            string
		machine         Machine
		points, engines int
	}{
		{"parallel-cpu.toml", Machine{}, 4, 4},
		{"multi-gpu.toml", Machine{GPUs: 4}, 60, 10},
	} {
		t.Run(tt.file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("../../docs/suites", tt.file))
			if err != nil {
				t.Fatal(err)
			}
			m := layOut(t, string(text), tt.machine)
			if len(m.Points) != tt.points || len(m.Engines) != tt.engines || len(m.NotRun) > 0 {
				t.Errorf("%d points on %d engines, not run %+v", len(m.Points), len(m.Engines), m.NotRun)
			}
		})
	}
}
