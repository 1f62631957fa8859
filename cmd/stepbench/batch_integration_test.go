//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"stepbench/bench/batch"
	"stepbench/bench/batch/output"
	"stepbench/bridge"
)

// chatMessage is a message as a dataset's Parquet file holds it.
type chatMessage struct {
	Role    string `json:"role" parquet:"role"`
	Content string `json:"content" parquet:"content"`
}

const (
	chatRows   = 40
	chatTokens = 12 // as in testdata/chat.py
)

// chats are questions of different lengths.
func chats() (all [][]chatMessage) {
	subjects := []string{"a cat", "the sea", "two friends", "an old house", "winter", "music", "a train", "bread"}
	questions := []string{"Tell me about %s.", "Write a short poem on %s, which I will read to my friends.", "What is %s?", "Name something like %s.", "%s?"}
	for _, q := range questions {
		for _, s := range subjects {
			all = append(all, []chatMessage{{"system", "Be brief."}, {"user", fmt.Sprintf(q, s)}})
		}
	}
	return all
}

// writeChats puts one half in OpenAI Batch form, the other in Parquet.
func writeChats(t *testing.T, dir string) (jsonl, table string) {
	t.Helper()
	type row struct {
		ID       string        `parquet:"id"`
		Messages []chatMessage `parquet:"messages,list"`
	}
	var lines bytes.Buffer
	var rows []row
	for i, chat := range chats() {
		id := fmt.Sprintf("chat-%d", i)
		if i >= chatRows/2 {
			rows = append(rows, row{id, chat})
			continue
		}
		err := json.NewEncoder(&lines).Encode(map[string]any{
			"custom_id": id, "method": "POST", "url": "/v1/chat/completions",
			"body": map[string]any{"model": "m", "messages": chat, "max_tokens": chatTokens},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	jsonl, table = filepath.Join(dir, "chats.jsonl"), filepath.Join(dir, "chats.parquet")
	if err := os.WriteFile(jsonl, lines.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := parquet.WriteFile(table, rows); err != nil {
		t.Fatal(err)
	}
	return jsonl, table
}

// resultsOf are those that a batch has kept so far, by index; none twice.
func resultsOf(t *testing.T, dir string) map[int64]*batch.Result {
	t.Helper()
	all := map[int64]*batch.Result{}
	if !output.Exists(dir) {
		return all
	}
	for r, err := range output.Results(dir, output.Stored) {
		if err != nil {
			t.Fatal(err)
		}
		if all[r.Index] != nil {
			t.Errorf("row %d has two results", r.Index)
		}
		all[r.Index] = r
	}
	return all
}

// A batch is killed in its middle and gone on with: no row is lost or double,
// and every text is that of vllm.LLM.chat.
func TestBatchWithRealVLLM(t *testing.T) {
	program, dir := buildStepbench(t), t.TempDir()
	model := abs("../../models/smollm2-135m-instruct")
	jsonl, table := writeChats(t, dir)
	out := filepath.Join(dir, "out")
	start := func() (*exec.Cmd, *bytes.Buffer) {
		var said bytes.Buffer
		cmd := exec.Command(program, "batch", "--model", model, "--dtype", "float32", "--eager", "--max-model-len", "512", "--max-num-seqs", "8",
			"--kv-cache-mib", "256", "--max-tokens", fmt.Sprint(chatTokens), "--output-format", "jsonl", jsonl, table, out)
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd, &said
	}
	first, said := start()
	worker := 0
	for deadline := time.Now().Add(5 * time.Minute); len(resultsOf(t, out)) < 8; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no rows were answered:\n%s", said)
		}
	}
	worker = childOf(first.Process.Pid)
	_ = first.Process.Kill()
	_ = first.Wait()
	if worker != 0 {
		gone(t, worker)
	}
	before := resultsOf(t, out)
	if len(before) == 0 || len(before) == chatRows {
		t.Fatalf("killed with %d of %d rows done: not in the middle", len(before), chatRows)
	}

	second, said := start()
	if _ = second.Wait(); second.ProcessState.ExitCode() != exitOK {
		t.Fatalf("exit %d, want 0:\n%s", second.ProcessState.ExitCode(), said)
	}
	results := resultsOf(t, out)
	if len(results) != chatRows || !strings.Contains(said.String(), fmt.Sprintf("%d rows are done", len(before))) {
		t.Errorf("%d results, want %d:\n%s", len(results), chatRows, said)
	}
	for i, was := range before {
		if now := results[i]; now == nil || now.Choices[0].Text != was.Choices[0].Text || now.Choices[0].E2ES != was.Choices[0].E2ES {
			t.Errorf("row %d was answered twice", i)
		}
	}
	for i, want := range chatTexts(t, model, dir) {
		r := results[int64(i)]
		if r == nil || r.Failure != nil || r.ID != fmt.Sprintf("chat-%d", i) || r.Choices[0].Text != want {
			t.Errorf("row %d: %+v, LLM.chat says %q", i, r, want)
		}
	}
	t.Logf("%d rows before the kill\n%s", len(before), said)
}

// chatTexts are LLM.chat's answers in plain Python.
func chatTexts(t *testing.T, model, dir string) (texts []string) {
	t.Helper()
	python, err := bridge.FindPython("")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(chats())
	if err != nil {
		t.Fatal(err)
	}
	file, answers := filepath.Join(dir, "chats.json"), filepath.Join(dir, "answers.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python.Executable, "testdata/chat.py", model, file, answers)
	cmd.Env = append(os.Environ(), "VLLM_CPU_KVCACHE_SPACE=1", "VLLM_ENABLE_V1_MULTIPROCESSING=0")
	if log, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("plain Python: %v\n%s", err, log)
	}
	if text, err = os.ReadFile(answers); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &texts); err != nil || len(texts) != chatRows {
		t.Fatalf("plain Python wrote %q: %v", text, err)
	}
	return texts
}
