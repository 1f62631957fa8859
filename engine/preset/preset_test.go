package preset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
	"stepbench/internal/golden"
)

func mustResolve(t *testing.T, name, cacheDir string) engine.Model {
	t.Helper()
	m, err := Resolve(context.Background(), name, cacheDir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestResolve_Presets(t *testing.T) {
	tests := []struct {
		name string
		want engine.ModelShape
	}{
		// Parameters of whole models are the published totals.
		{"tiny", engine.ModelShape{Architecture: "LlamaForCausalLM", Layers: 2, Hidden: 128, Intermediate: 256, Heads: 4, KVHeads: 2, HeadDim: 32, Vocab: 1024, MaxPositions: 2048, Parameters: 426_624}},
		{"gpt2", engine.ModelShape{Architecture: "GPT2LMHeadModel", Layers: 12, Hidden: 768, Intermediate: 3072, Heads: 12, KVHeads: 12, HeadDim: 64, Vocab: 50257, MaxPositions: 1024, Parameters: 124_439_808}},
		{"gpt2:2", engine.ModelShape{Architecture: "GPT2LMHeadModel", Layers: 2, Hidden: 768, Intermediate: 3072, Heads: 12, KVHeads: 12, HeadDim: 64, Vocab: 50257, MaxPositions: 1024, Parameters: 124_439_808 - 10*7_087_872}},
		{"smollm2-135m", engine.ModelShape{Architecture: "LlamaForCausalLM", Layers: 30, Hidden: 576, Intermediate: 1536, Heads: 9, KVHeads: 3, HeadDim: 64, Vocab: 49152, MaxPositions: 8192, Parameters: 134_515_008}},
		{"llama-2-7b", engine.ModelShape{Architecture: "LlamaForCausalLM", Layers: 32, Hidden: 4096, Intermediate: 11008, Heads: 32, KVHeads: 32, HeadDim: 128, Vocab: 32000, MaxPositions: 4096, Parameters: 6_738_415_616}},
		{"llama-2-7b:32", engine.ModelShape{Architecture: "LlamaForCausalLM", Layers: 32, Hidden: 4096, Intermediate: 11008, Heads: 32, KVHeads: 32, HeadDim: 128, Vocab: 32000, MaxPositions: 4096, Parameters: 6_738_415_616}},
		{"llama-2-13b", engine.ModelShape{Architecture: "LlamaForCausalLM", Layers: 40, Hidden: 5120, Intermediate: 13824, Heads: 40, KVHeads: 40, HeadDim: 128, Vocab: 32000, MaxPositions: 4096, Parameters: 13_015_864_320}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := mustResolve(t, tt.name, t.TempDir())
			if diff := cmp.Diff(&tt.want, m.Shape); diff != "" {
				t.Errorf("shape (-want +got):\n%s", diff)
			}
			config, err := os.ReadFile(filepath.Join(m.Path, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			if m.Name != tt.name || !m.Synthetic || m.ConfigSHA256 != hash(config) || !filepath.IsAbs(m.Path) {
				t.Errorf("got %+v, want its name, synthetic, the hash of config.json and an absolute path", m)
			}
			// The folder says by itself what it is.
			again := mustResolve(t, m.Path, "")
			if !again.Synthetic || !cmp.Equal(m.Shape, again.Shape) || again.ConfigSHA256 != m.ConfigSHA256 {
				t.Errorf("folder given as a path: got %+v, want %+v", again, m)
			}
		})
	}
}

// The files are part of what is measured: a change must be seen.
func TestPresetFiles(t *testing.T) {
	var sums bytes.Buffer
	for _, name := range append(Names(), "gpt2:2") {
		m := mustResolve(t, name, t.TempDir())
		for _, file := range []string{"config.json", "tokenizer.json", "tokenizer_config.json"} {
			data, err := os.ReadFile(filepath.Join(m.Path, file))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&sums, "%s  %s/%s\n", hash(data), filepath.Base(m.Path), file)
		}
	}
	golden.Check(t, "testdata/presets.sha256", sums.Bytes())
}

// A cut changes the number of layers and nothing else.
func TestConfig_Cut(t *testing.T) {
	for _, p := range presets {
		t.Run(p.name, func(t *testing.T) {
			decode := func(layers int) map[string]any {
				data, _, err := p.config(layers)
				if err != nil {
					t.Fatal(err)
				}
				var keys map[string]any
				if err := json.Unmarshal(data, &keys); err != nil {
					t.Fatal(err)
				}
				return keys
			}
			whole, cut := decode(0), decode(1)
			if cut[p.layersKey] != 1.0 || whole[p.layersKey] == 1.0 {
				t.Errorf("%s is %v whole and %v cut, want 1 cut", p.layersKey, whole[p.layersKey], cut[p.layersKey])
			}
			cut[p.layersKey] = whole[p.layersKey]
			if diff := cmp.Diff(whole, cut); diff != "" {
				t.Errorf("other keys differ (-whole +cut):\n%s", diff)
			}
		})
	}
}

func TestResolve_Concurrent(t *testing.T) {
	cache := t.TempDir()
	paths := make([]string, 16)
	var wg sync.WaitGroup
	for i := range paths {
		wg.Go(func() {
			m, err := Resolve(context.Background(), "tiny", cache)
			if err != nil {
				t.Error(err)
			}
			paths[i] = m.Path
		})
	}
	wg.Wait()
	if len(slices.Compact(slices.Clone(paths))) != 1 {
		t.Errorf("paths %v, want one", paths)
	}
	entries, err := os.ReadDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(paths[0]) {
		t.Errorf("cache holds %v, want only %s", entries, paths[0])
	}
}

// A rename that comes second finds a folder and takes it.
func TestWriteFolder_Twice(t *testing.T) {
	cache := t.TempDir()
	files := map[string][]byte{"a": []byte("1")}
	first, err := writeFolder(cache, "m", files)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(first, "a"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := writeFolder(cache, "m", files)
	if err != nil {
		t.Fatal(err)
	}
	again, err := os.Stat(filepath.Join(second, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if first != second || !os.SameFile(info, again) {
		t.Errorf("second call wrote %s anew, want %s untouched", second, first)
	}
}

func TestResolve_Damaged(t *testing.T) {
	tests := []struct {
		name, file string
		damage     func(path string) error
	}{
		{"changed", "config.json", func(path string) error { return os.WriteFile(path, []byte("{}"), 0o644) }},
		{"removed", "tokenizer.json", os.Remove},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cache := t.TempDir()
			path := filepath.Join(mustResolve(t, "tiny", cache).Path, tt.file)
			if err := tt.damage(path); err != nil {
				t.Fatal(err)
			}
			_, err := Resolve(context.Background(), "tiny", cache)
			want := `model "tiny": ` + path + " was changed or removed: delete the folder and run again"
			if err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

func TestResolve_Cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	cache := t.TempDir()
	if _, err := Resolve(ctx, "tiny", cache); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if entries, _ := os.ReadDir(cache); len(entries) != 0 {
		t.Errorf("cache holds %v after a cancelled call", entries)
	}
}

func FuzzParseCut(f *testing.F) {
	for _, seed := range []string{"gpt2", "gpt2:2", "gpt2:", ":1", "gpt2:0", "gpt2:-1", "gpt2:+1", "gpt2:01", "gpt2:1:2", "a:99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		base, layers, err := parseCut(name)
		if err != nil {
			return
		}
		again := base
		if layers != 0 {
			again += ":" + strconv.Itoa(layers)
		}
		if again != name || layers < 0 {
			t.Errorf("parseCut(%q) = %q, %d: writes back as %q", name, base, layers, again)
		}
	})
}
