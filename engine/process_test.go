package engine_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stepbench/bridge"
	"stepbench/engine"
)

// pythonless are options for a role that starts no Python. A worker's
// environment depends on an interpreter all the same: an empty file is one.
func pythonless(t *testing.T, role string) engine.WorkerOptions {
	t.Helper()
	opt := workerOptions(role)
	opt.Host.Python = stubPython(t)
	return opt
}

func stubPython(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bin", "python")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// onFakeVLLM are options for the product's worker on the fake vllm.
func onFakeVLLM(t *testing.T) engine.WorkerOptions {
	t.Helper()
	_, err1 := bridge.FindPython("")
	_, err2 := bridge.FindShim("")
	if err1 != nil || err2 != nil {
		if os.Getenv("STEPBENCH_REQUIRE_SHIM") == "" {
			t.Skip("needs the environment of make setup and the shim of make build:", err1, err2)
		}
		t.Fatal(err1, err2)
	}
	fake, err := filepath.Abs("../csrc/testdata/fake")
	if err != nil {
		t.Fatal(err)
	}
	opt := workerOptions("local")
	opt.Env = append(opt.Env, "PYTHONPATH="+fake, "PYTHONDONTWRITEBYTECODE=1", "XDG_CACHE_HOME="+t.TempDir())
	return opt
}

// tiny is a model of the fake vllm, or of a worker without Python.
func tiny(name string) engine.Config {
	return engine.Config{Model: engine.Model{Name: name, Path: "/models/" + name}}
}

// open opens a worker that must leave nothing behind.
func open(t *testing.T, cfg engine.Config, opt engine.WorkerOptions) *engine.Remote {
	t.Helper()
	r, err := engine.OpenRemote(t.Context(), cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.Close() // at the latest
		assertGone(t, r.PID())
	})
	return r
}

// assertGone fails t if a process of the group that pid led is still alive
// shortly after. A killed one counts as gone, even if nobody has reaped it.
func assertGone(t *testing.T, pid int) {
	t.Helper()
	var alive []string
	for range 100 {
		if alive = group(pid); len(alive) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("still running of the group of process %d: %s", pid, alive)
}

// group lists the running processes of a process group.
func group(pgid int) (found []string) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid pgrp …, where the name may hold anything
		end := bytes.LastIndexByte(text, ')')
		fields := strings.Fields(string(text[end+1:]))
		if state := fields[0]; fields[2] == strconv.Itoa(pgid) && state != "Z" && state != "X" {
			found = append(found, fmt.Sprintf("%s %s", text[:end+1], state))
		}
	}
	return found
}

// lines keeps a worker's log; its method is for WorkerOptions.Log.
type lines struct{ got chan string }

func newLines() *lines { return &lines{make(chan string, 1000)} }

func (l *lines) add(line string) { l.got <- line }

// all returns what came so far.
func (l *lines) all() (all []string) {
	for {
		select {
		case line := <-l.got:
			all = append(all, line)
		default:
			return all
		}
	}
}
