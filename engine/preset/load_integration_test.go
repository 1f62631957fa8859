//go:build integration

package preset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// loaded is what testdata/load.py prints for one folder.
type loaded struct {
	Parameters int64 `json:"parameters"`
	Loaders    []struct {
		Name      string   `json:"name"`
		IDs       [][]int  `json:"ids"`
		Texts     []string `json:"texts"`
		Chat      string   `json:"chat"`
		ChatIDs   []int    `json:"chat_ids"`
		Special   [3]int   `json:"special"` // begin, end, padding
		NoToken   string   `json:"no_token"`
		MaxLength int      `json:"max_length"`
	} `json:"loaders"`
}

// Every preset opens in transformers and in vLLM's tokenizer loader, gives
// there the ids that it gives here, and has the parameters that it says.
func TestLoad(t *testing.T) {
	python := os.Getenv("STEPBENCH_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".venv", "bin", "python")
	}
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("no Python with vLLM: run make setup or set STEPBENCH_PYTHON: %v", err)
	}
	var texts []string
	for _, tt := range roundTrips {
		texts = append(texts, tt.text)
	}
	names := append(Names(), "gpt2:2", "llama-2-13b:1")
	args := []string{filepath.Join("testdata", "load.py")}
	cache := t.TempDir()
	for _, name := range names {
		args = append(args, mustResolve(t, name, cache).Path)
	}
	stdin, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.Bytes())
	}

	lines := bufio.NewScanner(bytes.NewReader(stdout))
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if !lines.Scan() {
				t.Fatalf("load.py printed nothing for this model: %v\n%s", lines.Err(), stderr.Bytes())
			}
			var got loaded
			if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
				t.Fatalf("%v in %q", err, lines.Text())
			}
			base, layers, err := parseCut(name)
			if err != nil {
				t.Fatal(err)
			}
			p, _ := lookup(base)
			_, shape, err := p.config(layers)
			if err != nil {
				t.Fatal(err)
			}
			if got.Parameters != shape.Parameters {
				t.Errorf("transformers counts %d parameters, want %d", got.Parameters, shape.Parameters)
			}
			r := newReader(t, p)
			var ids [][]int
			for _, text := range texts {
				ids = append(ids, r.encode(text))
			}
			const chat = imStart + "user\nSay yes." + imEnd + "\n" + imStart + "assistant\n"
			for _, l := range got.Loaders {
				if diff := cmp.Diff(ids, l.IDs); diff != "" {
					t.Errorf("%s: ids (-want +got):\n%s", l.Name, diff)
				}
				if diff := cmp.Diff(texts, l.Texts); diff != "" {
					t.Errorf("%s: texts (-want +got):\n%s", l.Name, diff)
				}
				if l.Chat != chat {
					t.Errorf("%s: chat renders as %q, want %q", l.Name, l.Chat, chat)
				}
				if diff := cmp.Diff(r.encode(chat), l.ChatIDs); diff != "" {
					t.Errorf("%s: ids of the chat (-want +got):\n%s", l.Name, diff)
				}
				if want := [3]int{p.bos, p.eos, p.eos}; l.Special != want {
					t.Errorf("%s: begin, end, padding %v, want %v", l.Name, l.Special, want)
				}
				if l.NoToken != "" {
					t.Errorf("%s: an id without a token decodes to %q, want nothing", l.Name, l.NoToken)
				}
				if l.MaxLength != shape.MaxPositions {
					t.Errorf("%s: max length %d, want %d", l.Name, l.MaxLength, shape.MaxPositions)
				}
			}
			if len(got.Loaders) != 2 {
				t.Errorf("%d loaders, want transformers and vLLM", len(got.Loaders))
			}
		})
	}
}
