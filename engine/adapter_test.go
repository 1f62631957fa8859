package engine_test

import (
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

func TestAdapterPathWithoutHome(t *testing.T) {
	for _, tt := range []struct{ name, home, xdg string }{
		{"neither HOME nor XDG_CACHE_HOME", "", ""},
		{"XDG_CACHE_HOME is no absolute path", "", "cache"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("HOME", tt.home)
			t.Setenv("XDG_CACHE_HOME", tt.xdg)
			t.Setenv("TMPDIR", tmp)
			dir, err := engine.AdapterPath()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(dir, filepath.Join(tmp, "stepbench-")) {
				t.Errorf("the adapter is in %s, want below %s", dir, tmp)
			}
		})
	}
}

// Python executes what the cache holds, so nobody else may be able to write there.
func TestAdapterPath_Errors(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, cache string) // the cache's folder "stepbench"
		want string
	}{
		{"writable by others", func(t *testing.T, cache string) { mkdir(t, cache, 0o777) }, "is not this user's alone"},
		{"writable by the group", func(t *testing.T, cache string) { mkdir(t, cache, 0o770) }, "is not this user's alone"},
		{"another user's", func(t *testing.T, cache string) {
			mkdir(t, cache, 0o700)
			if err := os.Chown(cache, 12345, -1); err != nil {
				t.Skip("only root can give a folder away:", err)
			}
		}, "is not this user's alone"},
		{"a link", func(t *testing.T, cache string) {
			if err := os.Symlink(t.TempDir(), cache); err != nil {
				t.Fatal(err)
			}
		}, "is not this user's alone"},
		{"a file", func(t *testing.T, cache string) {
			if err := os.WriteFile(cache, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "make cache folder: mkdir"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("XDG_CACHE_HOME", dir)
			tt.make(t, filepath.Join(dir, "stepbench"))
			_, err := engine.AdapterPath()
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "set XDG_CACHE_HOME") {
				t.Errorf("error %v, want %q and the remedy", err, tt.want)
			}
		})
	}
}

// mkdir makes a folder of exactly that mode.
func mkdir(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(path, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}
