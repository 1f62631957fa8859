//go:build integration && soak

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/archive"
	"stepbench/bench/batch/output"
	"stepbench/engine"
)

// Both soaks run the command in this process, so that its goroutines and heap can
// be told, with real vLLM in worker processes.

// soakNumber reads how long a soak is.
func soakNumber(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s %q: want a number from 1", variable, text)
	}
	return n
}

// soakPair is one pair of workers for all comparisons.
type soakPair struct {
	stepbench string // the program whose workers they are
	mu        sync.Mutex
	asked     int
	arms      [2]abtest.Arm
}

// arm hands the workers out in turn. Both run the same kernels, so it does not
// matter whose a worker is.
func (p *soakPair) arm(ctx context.Context, cfg engine.Config, opt engine.WorkerOptions, _ int) (abtest.Arm, error) {
	p.mu.Lock()
	slot := p.asked % 2
	p.asked++
	kept := p.arms[slot]
	p.mu.Unlock()
	if kept != nil {
		return keptArm{kept}, nil
	}
	opt.Command = []string{p.stepbench, "worker"}
	arm, err := engine.OpenRemote(ctx, cfg, opt)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arms[slot] = arm
	return keptArm{arm}, nil
}

// trim has the workers give back what they freed: what grows then is held.
func (p *soakPair) trim(t *testing.T) {
	t.Helper()
	for _, arm := range p.arms {
		if err := arm.Call(t.Context(), "trim", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *soakPair) close() {
	for _, arm := range p.arms {
		if arm != nil {
			_ = arm.Close()
		}
	}
}

// TestSoakAB compares stock kernels with themselves, again and again with one pair
// of workers, for STEPBENCH_SOAK_SECONDS. A comparison keeps its bursts until its
// verdict, so that one of an hour would grow by design; what it must not do is to
// leave anything behind.
func TestSoakAB(t *testing.T) {
	seconds := soakNumber(t, "STEPBENCH_SOAK_SECONDS", 3600)
	pair := &soakPair{stepbench: buildStepbench(t)}
	start := openArm
	openArm = pair.arm
	t.Cleanup(func() { openArm = start; pair.close() })
	dir := filepath.Join(t.TempDir(), "results")
	compare := func() (quads int) {
		var stderr bytes.Buffer
		code := run([]string{
			"stepbench", "ab", "stock", "stock", "--model", "tiny", "--eager", "--shapes", "4q1s64,q64", "--plan", "quick",
			"--max-model-len", "256", "--kv-cache-mib", "64", "--prompts", "4", "--output-len", "8", "--out", dir,
		}, io.Discard, &stderr)
		// The verdict of one launch is INCONCLUSIVE, or INVALID on a disturbed machine.
		_, ev, err := archive.Open(dir)
		if err != nil {
			t.Fatalf("exit %d: %v\n%s", code, err, stderr.String())
		}
		if ev.Failure != nil || ev.Interrupted || len(ev.Launches) != 1 || ev.Outputs.Status != "IDENTICAL" {
			t.Fatalf("exit %d, failure %v, outputs %s\n%s", code, ev.Failure, ev.Outputs.Status, stderr.String())
		}
		for _, b := range ev.Launches[0].Bursts {
			if b.Quad > 0 && b.Position == 4 {
				quads++
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		pair.trim(t)
		return quads
	}
	compare() // opens the workers
	s := beginSoak()
	comparisons, quads := 0, 0
	for time.Since(s.begin) < time.Duration(seconds)*time.Second {
		quads += compare()
		comparisons++
	}
	s.end()
	s.check(t, "ab", fmt.Sprintf("%d comparisons with %d A/B quads by one pair of workers", comparisons, quads), "worker 1", "worker 2")
}

// TestSoakBatch answers STEPBENCH_SOAK_ROWS rows. Its worker is the python
// executable, which needs no program that a test is not. Parts are small, so that
// some are sealed during the warm-up, and the KV cache too, so that it is filled
// by then.
func TestSoakBatch(t *testing.T) {
	rows := soakNumber(t, "STEPBENCH_SOAK_ROWS", 100_000)
	// glibc raises these two by itself, puts tensors between small objects from then on,
	// and keeps the holes, some 230 MiB in a worker, of which malloc_trim gives most back.
	// At fixed values freed tensors go back at once, and what grows is held.
	t.Setenv("MALLOC_MMAP_THRESHOLD_", "65536")
	t.Setenv("MALLOC_TRIM_THRESHOLD_", "131072")
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out")
	var lines strings.Builder
	for i := range rows {
		fmt.Fprintf(&lines, "{\"prompt\":\"question %d%s\"}\n", i, strings.Repeat(", please", i%17))
	}
	write(t, in, lines.String())
	lines.Reset()

	var stderr bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run([]string{
			"stepbench", "batch", "--model", "tiny", "--eager", "--ignore-eos", "--max-tokens", "8", "--kv-cache-mib", "64",
			"--host", "python", "--tokenizers", "1", "--part-rows", strconv.Itoa(max(1, rows/20)), in, out,
		}, io.Discard, &stderr)
	}()
	var s *soak
	code := -1
	for code < 0 {
		select {
		case code = <-done:
		case <-time.After(100 * time.Millisecond):
			if s == nil && hasResults(out) {
				s = beginSoak()
			}
		}
	}
	if s == nil {
		t.Fatalf("exit %d\n%s", code, stderr.String())
	}
	s.end()
	m, err := output.ReadManifest(out)
	if err != nil || code != exitOK || m.Counts.Done != int64(rows) || m.Counts.Failed != 0 {
		t.Errorf("exit %d, %v, %+v, want %d rows\n%s", code, err, m.Counts, rows, stderr.String())
	}
	s.check(t, "batch", fmt.Sprintf("A batch of %d rows", m.Counts.Done), "tokenizer 1", "worker 1")
}
