//go:build integration

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// killed is one process of it.
type killed struct {
	*exec.Cmd
	found int64 // bytes of results, at its start
	said  bytes.Buffer
	ended chan struct{}
	err   error // set before ended is closed
}

// start runs the batch into out, which may hold a part of it already.
func (k *killBatch) start(t *testing.T, out string) *killed {
	t.Helper()
	p := &killed{Cmd: exec.Command(k.program, append(append([]string{"batch"}, k.args...), out)...), found: stored(out), ended: make(chan struct{})}
	p.Env = append(os.Environ(), k.env...)
	p.Stdout, p.Stderr = &p.said, &p.said
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.Wait()
	}()
	return p
}

// until waits for a condition, or for the end of p, and says which it was.
func (p *killed) until(holds func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.ended:
			return false
		case <-tick.C:
			if holds() {
				return true
			}
		}
	}
}

// strike kills what victim names, and says whether it was there.
func (p *killed) strike(victim string, worker, tokenizer int) (hit bool) {
	kill := func(pid int) {
		if pid > 1 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			hit = true
		}
	}
	if victim == "worker" || victim == "both" {
		kill(worker)
	}
	if victim == "tokenizer" {
		kill(tokenizer)
	}
	if victim == "parent" || victim == "both" {
		hit = p.Process.Kill() == nil || hit // an error if it has ended
	}
	return hit
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

// stored is how many bytes of results are on disk.
func stored(out string) (sum int64) {
	parts, _ := filepath.Glob(filepath.Join(out, "part-*"))
	journals, _ := filepath.Glob(filepath.Join(out, "journal-*"))
	for _, path := range append(parts, journals...) {
		if info, err := os.Stat(path); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

func hasResults(out string) bool { return stored(out) > 0 }

var victims = []string{"parent", "worker", "both", "tokenizer"}

const killsOfOne = 5 // batch; then it may end

// TestBatchSurvivesKills kills a batch, its worker, both, or a process that makes its
// tokens, where a random share of its results is on disk, or a while before the first.
// Each batch is killed killsOfOne times, and ends with the rows of an undisturbed one.
// STEPBENCH_KILLS is how many kills there are. The worker runs a stand-in for vLLM, or
// with STEPBENCH_KILL_VLLM=1 vLLM itself with the smallest model.
func TestBatchSurvivesKills(t *testing.T) {
	kills := killsOfOne
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
	p := k.start(t, undisturbed)
	p.until(func() bool { return hasResults(undisturbed) })
	first := time.Since(begun)
	if <-p.ended; p.err != nil {
		t.Fatalf("%v\n%s", p.err, &p.said)
	}
	want, all := outputs(resultsOf(t, undisturbed)), stored(undisturbed)
	if len(want) != k.rows {
		t.Fatalf("%d of %d rows have outputs", len(want), k.rows)
	}

	random := rand.New(rand.NewPCG(1, uint64(kills)))
	struck, kept := map[string]int{}, 0
	for n := 0; n < kills; n += killsOfOne {
		out := filepath.Join(dir, "out")
		p := k.start(t, out)
		shares := make([]float64, min(killsOfOne, kills-n))
		for i := range shares {
			shares[i] = random.Float64()*1.1 - 0.1
		}
		slices.Sort(shares)
		opening := false // at the last kill of a worker or a tokenizer
		goOn := func() {
			died := p.said.String()
			if !opening || !strings.Contains(died, "open the tokenizer") && !strings.Contains(died, "during open") {
				t.Fatalf("%v\n%s", p.err, died)
			}
			p, opening = k.start(t, out), false // what does not open is not tried again
		}
		for i, share := range shares {
			reached := func() bool { return stored(out) > max(p.found, int64(share*float64(all))) }
			if share < 0 {
				reached = after(time.Duration((1 + 3*share) * float64(first)))
			}
			if !p.until(reached) {
				if p.err == nil {
					break
				}
				goOn()
				p.until(reached)
			}
			victim := victims[i%len(victims)]
			worker, tokenizer := childrenOf(p.Process.Pid)
			opening = !hasResults(out)
			hit := p.strike(victim, worker, tokenizer)
			t.Logf("kill %d, of the %s at %d of %d bytes: hit %t", n+i, victim, stored(out), all, hit)
			if !hit {
				continue
			}
			struck[victim]++
			if victim == "worker" || victim == "tokenizer" {
				continue // it goes on by itself
			}
			<-p.ended
			if worker > 1 {
				gone(t, worker)
			}
			kept += len(resultsOf(t, out))
			p = k.start(t, out)
		}
		if <-p.ended; p.err != nil {
			goOn()
			if <-p.ended; p.err != nil {
				t.Fatalf("going on: %v\n%s", p.err, &p.said)
			}
		}
		if diff := cmp.Diff(want, outputs(resultsOf(t, out))); diff != "" {
			t.Fatalf("rows (-undisturbed +killed)\n%s", diff)
		}
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills: struck in time %v; %d rows were kept over restarts", kills, struck, kept)
}

func after(d time.Duration) func() bool {
	at := time.Now().Add(d)
	return func() bool { return time.Now().After(at) }
}
