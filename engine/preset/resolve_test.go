package preset

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

// writeFiles makes a folder below dir; contents by path.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for file, content := range files {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const llamaConfig = `{"architectures": ["LlamaForCausalLM"], "vocab_size": 10, "hidden_size": 8, "intermediate_size": 16,
	"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32}`

func TestResolve_Folders(t *testing.T) {
	work := t.TempDir()
	t.Chdir(work)
	writeFiles(t, work, map[string]string{
		"go.mod":                  "module stepbench\n",
		"mine/config.json":        llamaConfig,
		"other/config.json":       `{"architectures": ["MambaForCausalLM"]}`,
		"noise/config.json":       `{"architectures": ["MambaForCausalLM"], "stepbench_synthetic": true}`,
		"models/real/config.json": llamaConfig,
		"models/gpt2/config.json": llamaConfig, // presets go first
		"sub/deeper/not-a-model":  "",
	})
	shape := &engine.ModelShape{
		Architecture: "LlamaForCausalLM", Layers: 1, Hidden: 8, Intermediate: 16, Heads: 2, KVHeads: 2,
		HeadDim: 4, Vocab: 10, MaxPositions: 32, Parameters: 2*80 + 4*64 + 3*128 + 16 + 8,
	}
	llamaHash, otherHash := hash([]byte(llamaConfig)), hash([]byte(`{"architectures": ["MambaForCausalLM"]}`))
	tests := []struct {
		name, model, chdir string
		want               engine.Model
	}{
		{name: "existing relative path", model: "mine", want: engine.Model{Path: "mine", Shape: shape, ConfigSHA256: llamaHash}},
		{name: "dot path", model: "./mine", want: engine.Model{Path: "mine", Shape: shape, ConfigSHA256: llamaHash}},
		{name: "absolute path", model: filepath.Join(work, "mine"), want: engine.Model{Path: "mine", Shape: shape, ConfigSHA256: llamaHash}},
		{name: "parent path", model: "../mine", chdir: "sub", want: engine.Model{Path: "mine", Shape: shape, ConfigSHA256: llamaHash}},
		{name: "unknown architecture", model: "other", want: engine.Model{Path: "other", ConfigSHA256: otherHash}},
		{name: "random weights asked for", model: "noise", want: engine.Model{Path: "noise", Synthetic: true, ConfigSHA256: hash([]byte(`{"architectures": ["MambaForCausalLM"], "stepbench_synthetic": true}`))}},
		{name: "converted", model: "real", want: engine.Model{Path: "models/real", Shape: shape, ConfigSHA256: llamaHash}},
		{name: "converted, from below the checkout", model: "real", chdir: "sub/deeper", want: engine.Model{Path: "models/real", Shape: shape, ConfigSHA256: llamaHash}},
		{name: "hub", model: "meta-llama/Llama-2-7b-hf", want: engine.Model{Path: "meta-llama/Llama-2-7b-hf"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(filepath.Join(work, tt.chdir))
			tt.want.Name = tt.model
			if tt.name != "hub" {
				tt.want.Path = filepath.Join(work, tt.want.Path)
			}
			cache := t.TempDir()
			if diff := cmp.Diff(tt.want, mustResolve(t, tt.model, cache)); diff != "" {
				t.Errorf("model (-want +got):\n%s", diff)
			}
			if entries, _ := os.ReadDir(cache); len(entries) != 0 {
				t.Errorf("cache holds %v, want nothing written for this model", entries)
			}
		})
	}
	if m := mustResolve(t, "gpt2", t.TempDir()); !m.Synthetic {
		t.Errorf("gpt2 is %s, want the preset although models/gpt2 exists", m.Path)
	}
}

func TestResolve_Errors(t *testing.T) {
	work := t.TempDir()
	t.Chdir(work)
	writeFiles(t, work, map[string]string{
		"empty/notes.txt":    "",
		"file":               "",
		"broken/config.json": "{",
		"list/config.json":   "[]",
	})
	const choose = "give a preset (tiny, gpt2, smollm2-135m, llama-2-7b, llama-2-13b; NAME:N for N layers), " +
		"smollm2-135m-instruct (after make model), a model folder, or a hub name ORG/NAME"
	tests := []struct{ name, model, want string }{
		{"no name", "", "no model given: " + choose},
		{"unknown", "falcon", `unknown model "falcon": ` + choose},
		{"near a preset", "gtp2", `unknown model "gtp2": did you mean "gpt2"? ` + choose},
		{"near a preset, cut", "lama-2-7b:4", `unknown model "lama-2-7b:4": did you mean "llama-2-7b:4"? ` + choose},
		{"near by its start", "SmolLM2", `unknown model "SmolLM2": did you mean "smollm2-135m"? ` + choose},
		{"near the real one", "smollm2-135-instruct", `unknown model "smollm2-135-instruct": did you mean "smollm2-135m-instruct"? ` + choose},
		{"no hub name", "org/name/more", `unknown model "org/name/more": ` + choose},
		{"too many layers", "gpt2:13", `model "gpt2:13": gpt2 has 12 layers: give gpt2:N with N from 1 to 12`},
		{"no layers", "tiny:0", `model "tiny:0": "0" is not a number of layers: write NAME:N with N from 1`},
		{"empty cut", "gpt2:", `model "gpt2:": "" is not a number of layers: write NAME:N with N from 1`},
		{"odd cut", "gpt2:+2", `model "gpt2:+2": "+2" is not a number of layers: write NAME:N with N from 1`},
		{"real model absent", "smollm2-135m-instruct", `model "smollm2-135m-instruct" is not in models/: run make model`},
		{"real model absent, by path", "models/smollm2-135m-instruct", `model "models/smollm2-135m-instruct": no folder WORK/models/smollm2-135m-instruct: run make model`},
		{"real model cut", "smollm2-135m-instruct:3", `model "smollm2-135m-instruct:3": only presets can be cut to N layers: tiny, gpt2, smollm2-135m, llama-2-7b, llama-2-13b`},
		{"absent folder", "./gone", `model "./gone": no folder WORK/gone: give a folder that holds config.json`},
		{"file", "file", `model "file": WORK/file is a file: give the folder that holds config.json`},
		{"no config.json", "empty", `model "empty": no WORK/empty/config.json: give a Hugging Face model folder`},
		{"broken config.json", "broken", `model "broken": WORK/broken/config.json is not a JSON object: unexpected end of JSON input`},
		{"config.json is a list", "list", `model "list": WORK/list/config.json is not a JSON object: json: cannot unmarshal array into Go value of type map[string]json.RawMessage`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cache := t.TempDir()
			_, err := Resolve(context.Background(), tt.model, cache)
			if err == nil {
				t.Fatalf("no error, want %s", tt.want)
			}
			if got := strings.ReplaceAll(err.Error(), work, "WORK"); got != tt.want {
				t.Errorf("error\n got %s\nwant %s", got, tt.want)
			}
			if entries, _ := os.ReadDir(cache); len(entries) != 0 {
				t.Errorf("cache holds %v after an error", entries)
			}
		})
	}
}

func TestEditDistance(t *testing.T) {
	tests := []struct {
		name, a, b string
		want       int
	}{
		{"equal", "gpt2", "gpt2", 0},
		{"empty", "", "gpt2", 4},
		{"swap", "gtp2", "gpt2", 2},
		{"insert and substitute", "kitten", "sitting", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if there, back := editDistance(tt.a, tt.b), editDistance(tt.b, tt.a); there != tt.want || back != tt.want {
				t.Errorf("got %d and %d back, want %d", there, back, tt.want)
			}
		})
	}
}
