//go:build integration

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/batch"
)

// killBatch is a batch to be killed.
type killBatch struct {
	program string
	args    []string // all but the output directory
	env     []string
	rows    int
}

// start runs the batch into out, which may hold a part of it already.
func (k *killBatch) start(t *testing.T, out string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(k.program, append(append([]string{"batch"}, k.args...), out)...)
	cmd.Env = append(os.Environ(), k.env...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &said
}

// outputs are the tokens of every row.
func outputs(all map[int64]*batch.Result) map[int64][]int32 {
	tokens := map[int64][]int32{}
	for i, r := range all {
		if r.Failure == nil {
			tokens[i] = r.Choices[0].Tokens
		}
	}
	return tokens
}

// childrenOf are a process's children, by what they are.
func childrenOf(pid int) (worker, tokenizer int) {
	tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(text)) {
			line, _ := os.ReadFile("/proc/" + field + "/cmdline")
			child, _ := strconv.Atoi(field)
			switch {
			case bytes.Contains(line, []byte("\x00worker\x00")):
				worker = child
			case bytes.Contains(line, []byte("tokenizer")):
				tokenizer = child
			}
		}
	}
	return worker, tokenizer
}

// hasResults says that the first result is on disk.
func hasResults(out string) bool {
	parts, _ := filepath.Glob(filepath.Join(out, "part-*"))
	journals, _ := filepath.Glob(filepath.Join(out, "journal-*"))
	for _, path := range journals {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return true
		}
	}
	return len(parts) > 0
}

var victims = []string{"parent", "worker", "both", "tokenizer"}

// TestBatchSurvivesKills kills a batch, its worker, both, or a process that makes
// its tokens, at random moments between shortly before its first result and its
// end, each time in a new directory, and goes on with it. STEPBENCH_KILLS is how
// often. The worker runs a stand-in for vLLM, or with STEPBENCH_KILL_VLLM=1 vLLM
// itself with the smallest model.
func TestBatchSurvivesKills(t *testing.T) {
	kills := 5
	if text := os.Getenv("STEPBENCH_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("STEPBENCH_KILLS %q is no number", text)
		}
	}
	dir := t.TempDir()
	k := killBatch{program: buildStepbench(t), rows: 4000} // some of a second
	in := filepath.Join(dir, "in.jsonl")
	k.args = []string{"--max-tokens", "8", "--output-format", "jsonl"}
	if os.Getenv("STEPBENCH_KILL_VLLM") == "" {
		k.args = append(k.args, "--model", bareModel(t), "--part-rows", "300")
		k.env = []string{"PYTHONPATH=" + abs("../../csrc/testdata/fake"), "PYTHONDONTWRITEBYTECODE=1"}
	} else {
		k.rows = 400
		k.args = append(k.args, "--model", "tiny", "--part-rows", "30", "--eager", "--ignore-eos", "--kv-cache-mib", "64", "--max-num-seqs", "4")
	}
	k.args = append(k.args, in)
	var lines strings.Builder
	for i := range k.rows {
		fmt.Fprintf(&lines, "{\"prompt\":\"question %d, please\"}\n", i)
	}
	write(t, in, lines.String())

	undisturbed := filepath.Join(dir, "undisturbed")
	begun := time.Now()
	cmd, said := k.start(t, undisturbed)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	first := time.Duration(0)
	for running := true; running; {
		select {
		case err := <-done:
			if running = false; err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
		case <-time.After(5 * time.Millisecond):
			if first == 0 && hasResults(undisturbed) {
				first = time.Since(begun)
			}
		}
	}
	whole := time.Since(begun)
	if first == 0 {
		first = whole
	}
	want := outputs(resultsOf(t, undisturbed))
	if len(want) != k.rows {
		t.Fatalf("%d of %d rows have outputs", len(want), k.rows)
	}

	random := rand.New(rand.NewPCG(1, uint64(kills)))
	struck, kept := map[string]int{}, 0
	for n := range kills {
		out := filepath.Join(dir, "out")
		victim := victims[n%len(victims)]
		earliest := first * 8 / 10
		after := earliest + time.Duration(random.Float64()*float64(whole-earliest))
		cmd, said := k.start(t, out)
		time.Sleep(after)
		worker, tokenizer := childrenOf(cmd.Process.Pid)
		opening := !hasResults(out)
		hit := false
		kill := func(pid int) {
			if pid > 1 {
				hit = syscall.Kill(pid, syscall.SIGKILL) == nil || hit
			}
		}
		switch victim {
		case "parent":
			kill(cmd.Process.Pid)
		case "worker":
			kill(worker)
		case "both":
			kill(worker)
			kill(cmd.Process.Pid)
		case "tokenizer":
			kill(tokenizer)
		}
		err := cmd.Wait()
		if hit {
			struck[victim]++
		}
		if err != nil {
			// On a machine that has become slower since, what is killed may still be opening,
			// and what does not open is not tried again.
			died := said.String()
			opening = opening && (strings.Contains(died, "open the tokenizer") || strings.Contains(died, "during open"))
			if !opening && (victim == "worker" || victim == "tokenizer") {
				t.Errorf("kill %d, of the %s after %v: %v\n%s", n, victim, after, err, said)
			}
			if worker > 1 {
				gone(t, worker)
			}
			kept += len(resultsOf(t, out))
			again, said := k.start(t, out)
			if err := again.Wait(); err != nil {
				t.Fatalf("kill %d, of the %s after %v: going on: %v\n%s", n, victim, after, err, said)
			}
		}
		if diff := cmp.Diff(want, outputs(resultsOf(t, out))); diff != "" {
			t.Fatalf("kill %d, of the %s after %v: rows (-undisturbed +killed)\n%s", n, victim, after, diff)
		}
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, first result after %v, end after %v: struck in time %v; %d rows were kept over restarts", kills, first, whole, struck, kept)
}
