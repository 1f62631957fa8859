package engine_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/csrc"
	"stepbench/engine"
)

// content is every file below dir, by its path from there.
func content(t *testing.T, files fs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAdapterPath(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	const callers = 16
	type answer struct {
		dir string
		err error
	}
	answers := make(chan answer, callers)
	for range callers {
		go func() {
			dir, err := engine.AdapterPath()
			answers <- answer{dir, err}
		}()
	}
	first := <-answers
	for range callers - 1 {
		if a := <-answers; a != first || a.err != nil {
			t.Fatalf("%v, and then %v", first, a)
		}
	}
	embedded, err := fs.Sub(csrc.Adapter, "adapter")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(content(t, embedded), content(t, os.DirFS(first.dir))); diff != "" {
		t.Errorf("the adapter on disk (-embedded +written)\n%s", diff)
	}
	left, err := os.ReadDir(filepath.Join(cache, "stepbench"))
	if err != nil || len(left) != 1 || filepath.Join(cache, "stepbench", left[0].Name()) != first.dir {
		t.Errorf("left in the cache: %v, %v", left, err)
	}
	for _, path := range []string{first.dir, filepath.Dir(first.dir)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: others may enter", path, info.Mode())
		}
	}
}

// Python executes what the cache holds: it is nobody else's.
func TestAdapterPath_Errors(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	root := filepath.Join(cache, "stepbench")
	if err := errors.Join(os.Mkdir(root, 0o777), os.Chmod(root, 0o777)); err != nil { // whatever the umask
		t.Fatal(err)
	}
	if _, err := engine.AdapterPath(); err == nil || !strings.Contains(err.Error(), "is not this user's alone") {
		t.Errorf("error %v", err)
	}
}
