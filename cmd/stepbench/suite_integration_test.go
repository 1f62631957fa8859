//go:build integration

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepbench/bench/analysis"
	"stepbench/bench/record"
	"stepbench/bench/suite"
)

const tinySuite = `
name = "tiny"
requests = 8
models = ["tiny"]
datasets = ["random-short", "random-medium"]
rates = [4.0, 20.0]
patterns = ["poisson", "burst"]
parallelism = ["tp=1", "tp=64"]
sample_hz = 20.0
slo = "e2e=60s"

[engine]
eager = true
max_model_len = 1024
max_num_seqs = 32
max_num_batched_tokens = 2048
kv_cache_mib = 64
`

// TestSuiteWithRealVLLM interrupts a suite in its middle and goes on with it:
// one engine each time, complete points kept, the whole analysis at the end.
func TestSuiteWithRealVLLM(t *testing.T) {
	program := buildStepbench(t)
	dir := t.TempDir()
	file, out := filepath.Join(dir, "tiny.toml"), filepath.Join(dir, "out")
	if err := os.WriteFile(file, []byte(tinySuite), 0o644); err != nil {
		t.Fatal(err)
	}
	command := func() (*exec.Cmd, *bytes.Buffer) {
		var output bytes.Buffer
		cmd := exec.Command(program, "run", file, "--out", out)
		cmd.Stdout, cmd.Stderr = &output, &output
		return cmd, &output
	}
	first, output := command()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Process.Kill() })
	complete := func() map[string]time.Time {
		done := map[string]time.Time{}
		m, err := suite.Open(out)
		if err != nil {
			return done
		}
		for _, p := range m.Points {
			for _, r := range p.Repeats {
				if info, err := os.Stat(filepath.Join(out, r.Dir, record.ManifestFile)); err == nil && r.State == record.Complete {
					done[p.ID] = info.ModTime()
				}
			}
		}
		return done
	}
	for deadline := time.Now().Add(5 * time.Minute); len(complete()) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no point was completed:\n%s", output)
		}
	}
	if err := first.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	if code := first.ProcessState.ExitCode(); code != exitInterrupted {
		t.Fatalf("exit %d, want %d:\n%s", code, exitInterrupted, output)
	}
	kept := complete()

	second, output := command()
	_ = second.Run()
	if code := second.ProcessState.ExitCode(); code != exitOK {
		t.Fatalf("exit %d, want 0:\n%s", code, output)
	}
	after := complete()
	if len(after) != 4 {
		t.Errorf("complete points %v, want 4", after)
	}
	for id, stamp := range kept {
		if after[id] != stamp {
			t.Errorf("point %s was complete and is measured again", id)
		}
	}
	a, err := analysis.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range a.Points {
		if p.Achieved == nil || p.CPU == nil || p.CPU.WorkerCores <= 0 || p.Goodput == nil {
			t.Errorf("point %s: %+v", p.ID, p)
		}
	}
	m, err := suite.Open(out)
	if err != nil || m.Engines[0].Attribution == "" || m.Engines[0].Opened != 2 || len(m.NotRun) != 1 {
		t.Errorf("manifest %+v, %v", m, err)
	}
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	if err != nil || !strings.Contains(string(page), "tp=64") {
		t.Errorf("the report does not list what was not run: %v", err)
	}
}
