//go:build integration

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "stepbench-test-*")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "stepbench")
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-extldflags=-Wl,-z,lazy", "-o", path, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// buildStepbench builds the command once, as make does. It finds the checkout's
// .venv and shim from the working directory.
func buildStepbench(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		fmt.Fprintln(os.Stderr, "a test program is no worker: it would run its tests again")
		os.Exit(exitInternal)
	}
	code := m.Run()
	if path, err := built(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}
