// Package golden compares output with files kept under testdata.
//
// Run the tests of a package with -update to rewrite its files:
//
//	go test ./bench/report -update
package golden

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files with what the tests got")

// Check fails t when got differs from the file at path, and then leaves what
// it got in path.got for a look with other tools. A missing file counts as
// empty, so that a new test fails with its whole output as the difference.
func Check(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := write(path, got); err != nil {
			t.Fatalf("update golden file: %v", err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("read golden file: %v", err)
		return
	}
	beside := path + ".got"
	if string(want) == string(got) {
		// What an earlier failure left would mislead from here on.
		if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("remove stale output: %v", err)
		}
		return
	}
	if err := write(beside, got); err != nil {
		t.Errorf("keep the output: %v", err)
	}
	t.Errorf("%s differs, see %s; -update accepts it (-want +got):\n%s", path, beside, cmp.Diff(string(want), string(got)))
}

func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
