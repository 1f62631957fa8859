package suite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"stepbench/bench/micro/microtest"
	"stepbench/bench/record"
	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// shapes of the models that tests name; others do not resolve.
var shapesByName = map[string]engine.ModelShape{
	"tiny":        {Architecture: "LlamaForCausalLM", Layers: 2, Hidden: 64, Intermediate: 128, Heads: 2, KVHeads: 2, HeadDim: 32, Vocab: 256, MaxPositions: 512, Parameters: 98_624},
	"gpt2":        {Architecture: "GPT2LMHeadModel", Layers: 12, Hidden: 768, Intermediate: 3072, Heads: 12, KVHeads: 12, HeadDim: 64, Vocab: 50257, MaxPositions: 1024, Parameters: 124_439_808},
	"gpt2:2":      {Architecture: "GPT2LMHeadModel", Layers: 2, Hidden: 768, Intermediate: 3072, Heads: 12, KVHeads: 12, HeadDim: 64, Vocab: 50257, MaxPositions: 1024, Parameters: 53_500_000},
	"llama-2-7b":  {Layers: 32, Hidden: 4096, Intermediate: 11008, Heads: 32, KVHeads: 32, HeadDim: 128, Vocab: 32000, MaxPositions: 4096, Parameters: 6_738_415_616},
	"llama-2-13b": {Layers: 40, Hidden: 5120, Intermediate: 13824, Heads: 40, KVHeads: 40, HeadDim: 128, Vocab: 32000, MaxPositions: 4096, Parameters: 13_015_864_320},
}

// config resolves the models above.
func config(model string, o EngineOptions) (engine.Config, error) {
	shape, ok := shapesByName[model]
	if !ok {
		return engine.Config{}, fmt.Errorf("no model %q", model)
	}
	return engine.Config{
		Model: engine.Model{Name: model, Shape: &shape}, DType: o.DType, EnforceEager: o.Eager != nil && *o.Eager,
		MaxModelLen: o.MaxModelLen, Executor: engine.Executor(o.Executor), SkipTokenizer: true, Extra: o.Args,
	}, nil
}

// worker is the scripted engine, on virtual time.
type worker struct {
	*microtest.Player
	// onRun, if not nil, comes before each plan; an error ends it. The warm-up is
	// plan 0.
	onRun func(plan int) error
	runs  int
}

func newWorker() *worker {
	w := &worker{Player: microtest.New(microtest.DefaultCost(), 1)}
	w.About.VocabSize = 50257
	w.OnCall = func(method string, _ any) (any, error) {
		if method != "ceilings" {
			return nil, fmt.Errorf("no method %s", method)
		}
		return map[string]float64{"copy_bytes_per_s": 2e10, "matmul_flop_per_s": 1e11}, nil
	}
	return w
}

func (w *worker) Run(ctx context.Context, plan engine.Plan, sink engine.Sink) error {
	w.runs++
	if w.onRun != nil {
		if err := w.onRun(w.runs - 1); err != nil {
			return err
		}
	}
	return enginetest.Engine{Fake: w.Fake}.Run(ctx, plan, sink)
}

func (w *worker) Call(_ context.Context, method string, args, reply any) error {
	return w.Fake.Call(method, args, reply)
}

// silent is a Progress that keeps the stages.
type silent struct{ stages []string }

func (s *silent) Stage(format string, args ...any) {
	s.stages = append(s.stages, fmt.Sprintf(format, args...))
}
func (s *silent) Update(engine.Progress) {}

const small = `
name = "small"
repeats = 2
requests = 5
sample_hz = 0.0
models = ["gpt2", "gpt2:2"]
datasets = ["random-short", "random-medium"]
rates = [5.0, 20.0]
`

func layOut(t testing.TB, text string, m Machine) *Manifest {
	t.Helper()
	f, err := Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if m.Config == nil {
		m.Config = config
	}
	out, err := NewManifest(f, text, m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// deps open the workers that make returns, one after another.
func deps(progress Progress, make func(opened int, cfg engine.Config) (Worker, error)) (Deps, *int) {
	opened := new(int)
	return Deps{
		Open: func(_ context.Context, cfg engine.Config) (Worker, error) {
			*opened++
			return make(*opened, cfg)
		},
		Manifest: func() record.Manifest { return record.Manifest{Tool: record.Tool{Version: "test"}, Command: "run"} },
		Progress: progress,
	}, opened
}

func always(int, engine.Config) (Worker, error) { return newWorker(), nil }

// readStates gives the state of every repeat by its directory.
func readStates(t testing.TB, dir string) map[string]record.State {
	t.Helper()
	m, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]record.State{}
	for _, p := range m.Points {
		for _, r := range p.Repeats {
			states[r.Dir] = r.State
		}
	}
	return states
}

// stamps are the modification times of the records' manifests: unchanged ones
// were kept.
func stamps(t testing.TB, dir string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	paths, err := filepath.Glob(filepath.Join(dir, PointsDir, "*", "*", record.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(dir, filepath.Dir(path))
		out[filepath.ToSlash(rel)] = info.ModTime().UnixNano()
	}
	return out
}
