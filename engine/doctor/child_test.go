package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// script writes a program that stands in for a python executable.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// A child runs on one processor, the next slot's on another where there is one,
// and this thread keeps all of its own.
func TestStartPinned(t *testing.T) {
	var before, after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for slot := range before.Count() + 1 {
		cmd := exec.Command("grep", "Cpus_allowed_list", "/proc/self/status")
		out, err := output(context.Background(), cmd, func() error { return startPinned(cmd, slot) })
		if err != nil {
			t.Fatal(err)
		}
		list := strings.Fields(string(out))[1]
		if n, err := countList(list); err != nil || n != 1 {
			t.Errorf("slot %d may run on %s", slot, list)
		}
		seen[list] = true
	}
	if len(seen) != before.Count() {
		t.Errorf("%d slots used %d of %d processors", before.Count()+1, len(seen), before.Count())
	}
	if err := unix.SchedGetaffinity(0, &after); err != nil || after != before {
		t.Errorf("affinity is %v afterwards, was %v: %v", after, before, err)
	}
}

func TestPythonEnv(t *testing.T) {
	got := pythonEnv([]string{"PATH=/bin", "PYTHONHOME=/x", "PYTHONPATH=/y", "PYTHONDONTWRITEBYTECODE=1"})
	if want := []string{"PATH=/bin", "PYTHONPATH=/y"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
