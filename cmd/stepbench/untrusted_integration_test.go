//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// strange is a model folder by someone else: the tiny preset's, in which everything
// that could run code leaves a trace when it does.
type strange struct{ config, tokenizer map[string]any }

func (s *strange) write(t *testing.T, trace string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	from := tinyModel(t).Path
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit := func(name string, changes map[string]any) {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]any{}
		if err := json.Unmarshal(text, &keys); err != nil {
			t.Fatal(err)
		}
		for key, value := range changes {
			if keys[key] = value; value == nil {
				delete(keys, key)
			}
		}
		if text, err = json.Marshal(keys); err != nil {
			t.Fatal(err)
		}
		put(name, strings.ReplaceAll(string(text), "TRACE", trace))
	}
	edit("config.json", s.config)
	edit("tokenizer_config.json", s.tokenizer)
	edit("tokenizer.json", nil)
	put("stranger.py", fmt.Sprintf("open(%q, 'w').close()\n", trace))
	// os.system("touch TRACE"), in pickle's oldest protocol.
	put("pytorch_model.bin", fmt.Sprintf("cposix\nsystem\n(S'touch %s'\ntR.", trace))
	return folder
}

// Names of code in stranger.py, as transformers looks for it.
var (
	ownModel     = map[string]string{"AutoConfig": "stranger.Config", "AutoModelForCausalLM": "stranger.Model"}
	ownTokenizer = map[string]any{"AutoTokenizer": []any{"stranger.Tokenizer", "stranger.Tokenizer"}}
)

// TestUntrustedModelFolder: nothing in a model folder runs unless it is asked for.
func TestUntrustedModelFolder(t *testing.T) {
	program := buildStepbench(t)
	// A way to os.system from a template that is not in a sandbox.
	const escape = "{{ cycler.__init__.__globals__.os.system('touch TRACE') }}"
	tests := []struct {
		name   string
		folder strange
		args   []string
		batch  bool
		exits  []int
		says   string
		runs   bool // code of the folder
	}{
		{name: "code beside a model that vLLM knows", folder: strange{config: map[string]any{"auto_map": ownModel}}, exits: []int{0}},
		{name: "code of a model that vLLM does not know", folder: strange{config: map[string]any{"auto_map": ownModel, "model_type": "stranger"}},
			exits: []int{exitEnvironment}, says: "trust_remote_code"},
		{name: "the same, asked for", folder: strange{config: map[string]any{"auto_map": ownModel, "model_type": "stranger"}},
			args: []string{"--engine-arg", "trust_remote_code=true"}, exits: []int{exitEnvironment}, says: "stranger", runs: true},
		{name: "pickles", folder: strange{config: map[string]any{"stepbench_synthetic": nil}},
			exits: []int{exitUsage}, says: "pytorch_model.bin is a pickle"},
		{name: "pickles, asked for: vLLM lets them hold weights only", folder: strange{config: map[string]any{"stepbench_synthetic": nil}},
			args: []string{"--engine-arg", "load_format=auto"}, exits: []int{exitEnvironment}, says: "pickle"},
		{name: "a tokenizer's code", folder: strange{tokenizer: map[string]any{"auto_map": ownTokenizer, "tokenizer_class": "Tokenizer"}},
			batch: true, exits: []int{0, exitEnvironment}},
		{name: "a tokenizer's code, asked for", folder: strange{tokenizer: map[string]any{"auto_map": ownTokenizer, "tokenizer_class": "Tokenizer"}},
			args: []string{"--engine-arg", "trust_remote_code=true"}, batch: true, exits: []int{exitEnvironment}, says: "stranger", runs: true},
		{name: "a chat template", folder: strange{tokenizer: map[string]any{"chat_template": escape}},
			batch: true, exits: []int{exitFailedRows}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			work := t.TempDir()
			trace := filepath.Join(work, "trace")
			args := []string{"--model", tt.folder.write(t, trace), "--eager", "--kv-cache-mib", "64", "--max-num-seqs", "4", "--max-num-batched-tokens", "512"}
			if args = append(args, tt.args...); tt.batch {
				rows := filepath.Join(work, "rows.jsonl")
				if err := os.WriteFile(rows, []byte(`{"messages":[{"role":"user","content":"hi"}]}`), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append([]string{"batch", "--max-tokens", "2"}, append(args, rows, filepath.Join(work, "out"))...)
			} else {
				args = append([]string{"run", "--requests", "4", "--input-len", "16", "--output-len", "2", "--out", filepath.Join(work, "out")}, args...)
			}
			cmd := exec.Command(program, args...)
			out, _ := cmd.CombinedOutput()
			t.Logf("%s\n%s", cmd, out)
			if code := cmd.ProcessState.ExitCode(); !slices.Contains(tt.exits, code) || !strings.Contains(string(out), tt.says) {
				t.Errorf("exit code %d, want one of %v and %q", code, tt.exits, tt.says)
			}
			if _, err := os.Stat(trace); (err == nil) != tt.runs {
				t.Errorf("code of the folder has run: %v, want %v", err == nil, tt.runs)
			}
		})
	}
}

// exposedBeyond leaves the ports out that torch's Gloo opens for each group of ranks:
// it has no other way, and they are only on the loopback interface. Nor does what this
// test was started with count.
func exposedBeyond(t *testing.T, pids ...int) []string {
	t.Helper()
	inherited := exposed(t, os.Getpid())
	return slices.DeleteFunc(exposed(t, pids...), func(f string) bool {
		return strings.HasPrefix(f, "TCP 127.0.0.1:") || slices.Contains(inherited, f)
	})
}

// TestNothingIsReachable: other users and machines can reach nothing of a worker.
func TestNothingIsReachable(t *testing.T) {
	s := begin(t, nil, "--requests", "2000", "--rate", "20")
	if found := exposedBeyond(t, s.cmd.Process.Pid, s.worker(t)); len(found) > 0 {
		t.Errorf("others can reach %q", found)
	}
}
