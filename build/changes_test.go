package build

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes a small vLLM source tree.
func tree(t testing.TB, dir string, files map[string]string) string {
	t.Helper()
	all := map[string]string{
		"PKG-INFO": "Metadata-Version: 2.4\nName: vllm\nVersion: 0.26.0\n", "CMakeLists.txt": "project(vllm)\n", "cmake/utils.cmake": "#\n",
		"csrc/a.cpp": "#include \"a.h\"\n", "csrc/a.h": "#pragma once\n",
	}
	maps.Copy(all, files)
	for name, text := range all {
		write(t, dir, name, text)
	}
	return dir
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) Tree {
	t.Helper()
	opened, err := OpenTree(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// git runs with a configuration of its own.
func git(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func checkout(t testing.TB) string {
	t.Helper()
	dir := tree(t, t.TempDir(), nil)
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "release")
	git(t, dir, "tag", "v0.26.0")
	return dir
}

func TestOpenTree(t *testing.T) {
	unpacked := open(t, tree(t, t.TempDir(), nil))
	if unpacked.Version != "0.26.0" || unpacked.Commit != "" {
		t.Errorf("unpacked distribution: version %q, commit %q", unpacked.Version, unpacked.Commit)
	}
	dir := checkout(t)
	os.Remove(filepath.Join(dir, "PKG-INFO"))
	cloned := open(t, dir)
	if cloned.Version != "0.26.0" || !strings.HasSuffix(cloned.Commit, "-dirty") || len(cloned.Commit) != 46 {
		t.Errorf("checkout: version %q, commit %q", cloned.Version, cloned.Commit)
	}
	// A distribution unpacked within another project's checkout.
	inside := open(t, tree(t, filepath.Join(dir, "out", "vllm-source"), nil))
	if inside.Commit != "" {
		t.Errorf("a tree inside another checkout has its commit %q", inside.Commit)
	}
}

func TestChangesAgainstRevision(t *testing.T) {
	dir := checkout(t)
	write(t, dir, "csrc/a.h", "#pragma once\nint x;\n")
	git(t, dir, "commit", "-q", "-a", "-m", "committed change")
	write(t, dir, "csrc/a.cpp", "#include \"a.h\"\n// not committed\n")
	write(t, dir, "csrc/new.cuh", "// not tracked\n")
	write(t, dir, "README.md", "not part of a build\n")
	write(t, dir, "csrc/cpu/cpu_attn_dispatch_generated.h", "left by vLLM's build\n")
	got, err := open(t, dir).against(t.Context(), "v0.26.0")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"csrc/a.cpp", "csrc/a.h", "csrc/new.cuh"}, got.Files); diff != "" {
		t.Error(diff)
	}
	if got.Basis != "git v0.26.0" {
		t.Errorf("basis %q", got.Basis)
	}
}

func TestChangesAgainstPristine(t *testing.T) {
	pristine := tree(t, t.TempDir(), nil)
	dir := tree(t, t.TempDir(), map[string]string{"csrc/a.h": "#pragma once\nint x;\n", "csrc/b.cu": "// new\n", "csrc/.b.cu.swp": "editor\n", "csrc/b.cu~": "editor\n"})
	first, err := open(t, dir).comparedWith(pristine)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"csrc/a.h", "csrc/b.cu"}, first.Files); diff != "" {
		t.Error(diff)
	}
	again, _ := open(t, dir).comparedWith(pristine)
	if first.SHA256 != again.SHA256 {
		t.Error("the same change has two hashes")
	}
	write(t, dir, "csrc/b.cu", "// newer\n")
	if other, _ := open(t, dir).comparedWith(pristine); first.SHA256 == other.SHA256 {
		t.Error("another change has the same hash")
	}
}

func TestChangesNamed(t *testing.T) {
	dir := tree(t, t.TempDir(), nil)
	for _, file := range []string{"csrc/a.h", filepath.Join(dir, "csrc/a.h"), "./csrc/../csrc/a.h"} {
		got, err := open(t, dir).named([]string{file, "csrc/a.cpp"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"csrc/a.cpp", "csrc/a.h"}, got.Files); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
	t.Chdir(filepath.Join(dir, "csrc"))
	got, err := open(t, dir).named([]string{"a.h"})
	if err != nil || len(got.Files) != 1 || got.Files[0] != "csrc/a.h" {
		t.Errorf("relative to the working directory: %v, %v", got.Files, err)
	}
}

func TestChanges_Errors(t *testing.T) {
	pristine := tree(t, t.TempDir(), map[string]string{"csrc/gone.cpp": "//\n"})
	dir := tree(t, t.TempDir(), nil)
	repo := checkout(t)
	tests := []struct {
		name string
		run  func() error
		want string
	}{
		{"no tree", func() error { _, err := OpenTree(t.Context(), filepath.Join(dir, "nowhere")); return err }, "nowhere: not found"},
		{"another folder", func() error { _, err := OpenTree(t.Context(), filepath.Join(dir, "csrc")); return err }, "is not a vLLM source tree: it has no CMakeLists.txt"},
		{"no repository", func() error { _, err := open(t, dir).against(t.Context(), "HEAD"); return err }, "is not a git checkout: name the changed files with --files"},
		{"no revision", func() error { _, err := open(t, repo).against(t.Context(), "v9"); return err }, "--against v9: no such revision"},
		{"an option for a revision", func() error { _, err := open(t, repo).against(t.Context(), "--output=x"); return err }, "no such revision"},
		{"nothing differs", func() error { _, err := open(t, repo).against(t.Context(), "HEAD"); return err }, "does not differ in csrc from HEAD"},
		{"itself", func() error { _, err := open(t, dir).comparedWith(dir); return err }, "is the unchanged tree itself: edit a copy of it"},
		{"no pristine", func() error { _, err := open(t, dir).comparedWith(t.TempDir()); return err }, "it has no csrc folder: run make vllm-source"},
		{"a deleted file", func() error { _, err := open(t, dir).comparedWith(pristine); return err }, "csrc/gone.cpp is gone from"},
		{"a file outside", func() error { _, err := open(t, dir).named([]string{"../x.cu"}); return err }, "--files ../x.cu: no such file in"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.run()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if _, ok := err.(*InputError); !ok {
				t.Errorf("error is a %T", err)
			}
		})
	}
}
