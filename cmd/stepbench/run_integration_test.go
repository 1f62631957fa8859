//go:build integration

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepbench/bench/record"
)

// session is a run of the command against real vLLM.
type session struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	dir            string
}

// begin starts "run" on the tiny preset with args added.
func begin(t *testing.T, env []string, args ...string) *session {
	t.Helper()
	program := buildStepbench(t)
	s := &session{dir: filepath.Join(t.TempDir(), "run")}
	base := []string{
		"run", "--model", "tiny", "--eager", "--input-len", "32", "--kv-cache-mib", "64",
		"--max-num-seqs", "32", "--max-num-batched-tokens", "512", "--out", s.dir,
	}
	s.cmd = exec.Command(program, append(base, args...)...)
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	return s
}

// wait gives the exit code.
func (s *session) wait(t *testing.T) int {
	t.Helper()
	_ = s.cmd.Wait()
	t.Logf("exit %d\n%s%s", s.cmd.ProcessState.ExitCode(), s.stdout.String(), s.stderr.String())
	return s.cmd.ProcessState.ExitCode()
}

// worker waits until requests have finished and gives the worker's process id.
func (s *session) worker(t *testing.T) int {
	t.Helper()
	journal := filepath.Join(s.dir, record.JournalFile)
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		text, _ := os.ReadFile(journal)
		if !bytes.Contains(text, []byte(`"requests":`)) {
			continue
		}
		if pid := childOf(s.cmd.Process.Pid); pid != 0 {
			return pid
		}
	}
	t.Fatalf("no request finished\n%s", s.stderr.String())
	return 0
}

func childOf(pid int) int {
	tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			child, _ := strconv.Atoi(fields[0])
			return child
		}
	}
	return 0
}

// gone fails the test if the process group still has members shortly after.
func gone(t *testing.T, group int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if syscall.Kill(-group, 0) != nil {
			return
		}
	}
	t.Errorf("process group %d still has members", group)
}

func opened(t *testing.T, dir string) *record.Record {
	t.Helper()
	rec, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestRunWithRealVLLM(t *testing.T) {
	s := begin(t, nil, "--requests", "12", "--rate", "6", "--output-len", "8")
	if code := s.wait(t); code != exitOK {
		t.Fatalf("exit code %d, want 0", code)
	}
	rec := opened(t, s.dir)
	sum := rec.Summary()
	if sum.Counts.Completed != 12 || rec.Manifest.State != record.Complete || !sum.Valid() {
		t.Errorf("state %s, counts %+v", rec.Manifest.State, sum.Counts)
	}
	used := rec.Manifest.Telemetry
	if worker := used.Change.Processes[0]; used.Truncated || !worker.CPUNs.Known || !used.Threads.Known {
		t.Errorf("the worker's telemetry: %+v", used)
	}
	if len(rec.Steps) < 8 || rec.Manifest.Info.VLLMVersion == "" {
		t.Errorf("%d steps, vLLM %q", len(rec.Steps), rec.Manifest.Info.VLLMVersion)
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "report.md"))
	if err != nil || !bytes.Contains(text, []byte("random weights")) {
		t.Errorf("report: %v", err)
	}
}

// Engines that cannot be opened, by the fault of vLLM's own or of the parts around it.
func TestOpenFailuresWithRealVLLM(t *testing.T) {
	fabricated := filepath.Join(t.TempDir(), "bin", "python")
	otherPython(t, fabricated)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"hub name without network", []string{"--model", "nobody/no-such-model"}, "open model nobody/no-such-model"},
		{"no free memory", []string{"--kv-cache-mib", "200000000"}, "open model tiny"},
		{"no shim", []string{"--shim", "/nonexistent/libstepbench.so"}, "run make build"},
		{"not a shim", []string{"--shim", abs("run.go")}, "run make build"},
		{"no python", []string{"--python", "/nonexistent/python"}, "set STEPBENCH_PYTHON"},
		{"another python", []string{"--python", fabricated}, "belongs to Python 3.10.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := begin(t, []string{"HF_HUB_OFFLINE=1"}, tt.args...)
			if code := s.wait(t); code != exitEnvironment {
				t.Errorf("exit code %d, want %d", code, exitEnvironment)
			}
			if !strings.Contains(s.stderr.String(), tt.want) {
				t.Errorf("stderr lacks %q", tt.want)
			}
			if rec := opened(t, s.dir); rec.Manifest.State != record.Failed || rec.Manifest.Error == "" {
				t.Errorf("state %s, error %q", rec.Manifest.State, rec.Manifest.Error)
			}
		})
	}
}

// otherPython makes an environment that claims another installation.
func otherPython(t *testing.T, executable string) {
	t.Helper()
	bin := filepath.Dir(executable)
	cfg := "home = /opt/elsewhere/bin\nversion = 3.10.0\n"
	for _, err := range []error{
		os.MkdirAll(bin, 0o755),
		os.WriteFile(executable, []byte("#!/bin/false\n"), 0o755),
		os.WriteFile(filepath.Join(filepath.Dir(bin), "pyvenv.cfg"), []byte(cfg), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func abs(path string) string {
	full, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return full
}
