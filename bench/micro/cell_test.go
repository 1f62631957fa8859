package micro

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

func names(cells []Cell) []string {
	var out []string
	for _, c := range cells {
		out = append(out, c.Name())
	}
	return out
}

func TestGridCells(t *testing.T) {
	tests := []struct {
		name string
		grid Grid
		want []string
	}{
		{"product", Grid{Phases: []Phase{Prefill, Decode}, Batches: []int{1, 8}, Contexts: []int{128, 1024}},
			[]string{"q128", "q1k", "8q128", "8q1k", "q1s128", "q1s1k", "8q1s128", "8q1s1k"}},
		{"chunks are not for decodes", Grid{Phases: []Phase{Prefill, Decode}, Batches: []int{2}, Contexts: []int{300}, Chunks: []int{100, 512}},
			[]string{"2q300-c100", "2q300-c512", "2q1s300"}},
		{"mixed", Grid{Phases: []Phase{Mixed}, Batches: []int{8}, Contexts: []int{1024}}, []string{"q1k_8q1s1k"}},
		{"mixed with chunk", Grid{Phases: []Phase{Mixed}, Batches: []int{8}, Contexts: []int{1024}, Chunks: []int{512}}, []string{"q512_8q1s1k"}},
		{"single batches", Grid{Singles: []Batch{{{8, 1, 1024}}, {{1, 2048, 2048}}}, Chunks: []int{512}}, []string{"8q1s1k", "q2k-c512"}},
		{"each once", Grid{Phases: []Phase{Decode}, Batches: []int{8}, Contexts: []int{1024}, Singles: []Batch{{{3, 1, 1024}, {5, 1, 1024}}}}, []string{"8q1s1k"}},
		{"prefill of one token", Grid{Phases: []Phase{Prefill}, Batches: []int{1}, Contexts: []int{1}}, []string{"q1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cells, err := tt.grid.Cells()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, names(cells)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, c := range cells {
				if len(tt.grid.Singles) == 0 && !c.Axes().Exact {
					t.Errorf("%s: axes %+v do not lead back to it", c.Name(), c.Axes())
				}
			}
		})
	}
	if _, err := (Grid{Phases: []Phase{Decode}, Batches: []int{1}, Contexts: []int{1}}).Cells(); err == nil || !strings.HasPrefix(err.Error(), "--context 1: ") {
		t.Errorf("a decode without context: %v", err)
	}
}

func TestAxes(t *testing.T) {
	tests := []struct {
		batch string
		want  Axes
	}{
		{"8q1s1k", Axes{Decode, 8, 1024, 0, true}},
		{"2q2k", Axes{Prefill, 2, 2048, 0, true}},
		{"q512_8q1s1k", Axes{Mixed, 8, 1024, 512, true}},
		{"2q512_8q1s1k", Axes{Mixed, 8, 1024, 1024, false}},
		{"q4s1k", Axes{Prefill, 1, 1024, 0, false}},
		{"4q1s2k_4q1s1k", Axes{Decode, 8, 2048, 0, false}},
	}
	for _, tt := range tests {
		b, err := ParseBatch(tt.batch)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, (Cell{Batch: b}).Axes()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.batch, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	limits := Limits{Positions: 1024, Tokens: 2048, Seqs: 64, KVTokens: 16384, KVBlock: 16}
	axes := func(phase Phase, batch, context, chunk int) Cell { return fromAxes(phase, batch, context, chunk)[0] }
	batch := func(text string) Cell {
		b, err := ParseBatch(text)
		if err != nil {
			t.Fatal(err)
		}
		return Cell{Batch: b}
	}
	tests := []struct {
		name string
		cell Cell
		want string // empty: can run
	}{
		{"fits", axes(Decode, 8, 1000, 0), ""},
		{"longest prompt", axes(Prefill, 1, 1023, 0), ""},
		{"prompt beyond the model", axes(Prefill, 1, 1024, 0),
			"--phase prefill --batch 1 --context 1024: beyond the 1024 positions of the model or --max-model-len: at most --context 1023 leaves room for its steps"},
		{"longest decode", axes(Decode, 1, 1018, 0), ""},
		{"decode beyond the model", axes(Decode, 1, 1019, 0),
			"--phase decode --batch 1 --context 1019: beyond the 1024 positions of the model or --max-model-len: at most --context 1018 leaves room for its steps"},
		{"shortest decode", axes(Decode, 1, 7, 0), ""},
		{"decode too short", axes(Decode, 1, 6, 0),
			"--phase decode --batch 1 --context 6: too short for 2 steps before its context: at least 7"},
		{"too many requests", axes(Decode, 65, 128, 0),
			"--phase decode --batch 65 --context 128: 65 requests in a step, --seq-budget allows 64"},
		{"mixed adds its prompt", axes(Mixed, 64, 128, 0),
			"--phase mixed --batch 64 --context 128: 65 requests in a step, --seq-budget allows 64"},
		{"prompts beyond the token budget", axes(Prefill, 3, 1000, 0),
			"--phase prefill --batch 3 --context 1000: 3000 tokens in a step, --token-budget allows 2048: raise it, or give --chunk"},
		{"in chunks", axes(Prefill, 3, 1000, 512), ""},
		{"chunk beyond the token budget", axes(Prefill, 5, 1000, 4096),
			"--phase prefill --batch 5 --context 1000 --chunk 4096: 4096 tokens in a step, --token-budget allows 2048: raise it, or give --chunk"},
		{"no such chunk", axes(Prefill, 1, 100, 512),
			"--phase prefill --batch 1 --context 100 --chunk 512: its prompts have 100 tokens, none makes a chunk of --chunk 512"},
		{"KV cache", axes(Decode, 32, 1000, 0),
			"--phase decode --batch 32 --context 1000: needs 32768 tokens of KV cache, --kv-cache-mib gives 16384"},
		{"KV cache in whole blocks", axes(Prefill, 62, 257, 512),
			"--phase prefill --batch 62 --context 257 --chunk 512: needs 16864 tokens of KV cache, --kv-cache-mib gives 16384"},
		{"one extend", batch("q4s100_8q1s100"), ""},
		{"two extends", batch("2q4s100"),
			"shape 2q4s100: 2 prompts would be continued in one step: vLLM gives a running prompt all of its rest before the next, so at most one can be, without --chunk"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ok, refused := Check([]Cell{tt.cell}, limits)
			switch {
			case len(ok)+len(refused) != 1:
				t.Fatalf("%d runnable and %d refused", len(ok), len(refused))
			case tt.want == "" && len(refused) > 0:
				t.Errorf("refused: %v", refused[0])
			case tt.want != "" && len(ok) > 0:
				t.Errorf("not refused, want %s", tt.want)
			case tt.want != "" && refused[0].Error() != tt.want:
				t.Errorf("got  %v\nwant %s", refused[0], tt.want)
			}
			// What a cell needs is enough for it.
			if tt.want == "" {
				if _, refused := Check([]Cell{tt.cell}, Needs([]Cell{tt.cell})); len(refused) > 0 {
					t.Errorf("under its own needs %+v: %v", Needs([]Cell{tt.cell}), refused[0])
				}
			}
		})
	}
	if ok, refused := Check([]Cell{axes(Decode, 1<<20, 1<<20, 0)}, Limits{}); len(ok) != 1 || len(refused) != 0 {
		t.Errorf("unknown limits refuse %v", refused)
	}
}

// A refusal for the KV cache says whose choice its size is.
func TestKVSource(t *testing.T) {
	cells := []Cell{{Batch: Batch{{32, 1, 1000}}}}
	for from, want := range map[KVSource]string{
		KVFlag:    "--kv-cache-mib gives 16384",
		KVDefault: "the default gives 16384 (raise with --kv-cache-mib)",
		KVEngine:  "vLLM chose 16384 (raise with --kv-cache-mib)",
	} {
		_, refused := Check(cells, Limits{KVTokens: 16384, KVFrom: from})
		if want = "needs 32544 tokens of KV cache, " + want; len(refused) != 1 || refused[0].Reason != want {
			t.Errorf("%+v, want %s", refused, want)
		}
	}
}

func TestConfigLimits(t *testing.T) {
	shape := &engine.ModelShape{Layers: 12, Heads: 12, KVHeads: 12, HeadDim: 64, MaxPositions: 1024}
	perToken := int64(2 * 12 * 12 * 64)
	tests := []struct {
		name string
		cfg  engine.Config
		want Limits
	}{
		{"nothing known", engine.Config{}, Limits{}},
		{"the model's positions", engine.Config{Model: engine.Model{Shape: shape}}, Limits{Positions: 1024}},
		{"flags first", engine.Config{Model: engine.Model{Shape: shape}, MaxModelLen: 512, MaxNumSeqs: 8, MaxNumBatchedTokens: 2048},
			Limits{Positions: 512, Seqs: 8, Tokens: 2048}},
		{"KV cache of the smallest elements", engine.Config{Model: engine.Model{Shape: shape}, KVCacheBytes: 1000 * perToken * 2},
			Limits{Positions: 1024, KVTokens: 1000}},
		{"KV cache of float32", engine.Config{Model: engine.Model{Shape: shape}, KVCacheBytes: 1000 * perToken * 2, DType: "float32"},
			Limits{Positions: 1024, KVTokens: 500}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, ConfigLimits(tt.cfg)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}
