package cachedir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrivate(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	for _, name := range []string{"", "build"} {
		dir, err := Private(name)
		if err != nil || dir != filepath.Join(cache, "stepbench", name) {
			t.Fatalf("%q is %s, %v", name, dir, err)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v: others may enter", dir, info.Mode())
		}
	}
}

func TestPrivateWithoutHome(t *testing.T) {
	for _, tt := range []struct{ name, home, xdg string }{
		{"neither HOME nor XDG_CACHE_HOME", "", ""},
		{"XDG_CACHE_HOME is no absolute path", "", "cache"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("HOME", tt.home)
			t.Setenv("XDG_CACHE_HOME", tt.xdg)
			t.Setenv("TMPDIR", tmp)
			dir, err := Private("")
			if err != nil || !strings.HasPrefix(dir, filepath.Join(tmp, "stepbench-")) {
				t.Errorf("the cache is %s, want it below %s: %v", dir, tmp, err)
			}
		})
	}
}

func TestPrivate_Errors(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, root string) // the cache's folder "stepbench"
		want string
	}{
		{"writable by others", func(t *testing.T, root string) { mkdir(t, root, 0o777) }, "is not this user's alone"},
		{"writable by the group", func(t *testing.T, root string) { mkdir(t, root, 0o770) }, "is not this user's alone"},
		{"the folder in it is writable by others", func(t *testing.T, root string) {
			mkdir(t, root, 0o700)
			mkdir(t, filepath.Join(root, "models"), 0o777)
		}, "models is not this user's alone"},
		{"another user's", func(t *testing.T, root string) {
			mkdir(t, root, 0o700)
			if err := os.Chown(root, 12345, -1); err != nil {
				t.Skip("only root can give a folder away:", err)
			}
		}, "is not this user's alone"},
		{"a link", func(t *testing.T, root string) {
			if err := os.Symlink(t.TempDir(), root); err != nil {
				t.Fatal(err)
			}
		}, "is not this user's alone"},
		{"a file", func(t *testing.T, root string) {
			if err := os.WriteFile(root, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "make cache folder: mkdir"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cache := t.TempDir()
			t.Setenv("XDG_CACHE_HOME", cache)
			tt.make(t, filepath.Join(cache, "stepbench"))
			_, err := Private("models")
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
