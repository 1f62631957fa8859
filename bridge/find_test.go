package bridge

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write makes a file and the folders above it.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func symlink(t *testing.T, target, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// realDir is t.TempDir() without symbolic links, as os.Getwd gives it.
func realDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDescribePython(t *testing.T) {
	const (
		venvCfg = "home = /base/bin\ninclude-system-site-packages = false\nversion = 3.12.3\n" +
			"executable = /base/bin/python3.12\ncommand = /base/bin/python3 -m venv /x\n"
		uvCfg = "home = /base/bin\nimplementation = CPython\nuv = 0.9.9\nversion_info = 3.12.3\n" +
			"include-system-site-packages = false\n"
		virtualenvCfg = "home = /base/bin\nimplementation = CPython\nversion_info = 3.12.3.final.0\n" +
			"virtualenv = 20.26.2\ninclude-system-site-packages = false\nbase-prefix = /base\n"
	)
	tests := []struct {
		name, cfg string
		want      Python // paths below the folder of the test but for the base
	}{
		{name: "venv", cfg: venvCfg, want: Python{"env/bin/python", "env", "/base", "3.12.3"}},
		{name: "uv", cfg: uvCfg, want: Python{"env/bin/python", "env", "/base", "3.12.3"}},
		{name: "virtualenv", cfg: virtualenvCfg, want: Python{"env/bin/python", "env", "/base", "3.12.3"}},
		{name: "no version", cfg: "home=/base/bin", want: Python{"env/bin/python", "env", "/base", ""}},
		{name: "plain installation", want: Python{"env/bin/python", "real", "real", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := realDir(t)
			real := write(t, filepath.Join(dir, "real/bin/python3.12"), "")
			exe := symlink(t, real, filepath.Join(dir, "env/bin/python"))
			if tt.cfg != "" {
				write(t, filepath.Join(dir, "env/pyvenv.cfg"), tt.cfg)
			}
			got, err := DescribePython(exe)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []*string{&got.Executable, &got.Prefix, &got.BasePrefix} {
				*p = strings.TrimPrefix(*p, dir+"/")
			}
			equal(t, "python", got, tt.want)
		})
	}
}

// A relative path becomes absolute, but is not resolved.
func TestDescribePythonRelative(t *testing.T) {
	dir := realDir(t)
	write(t, filepath.Join(dir, "env/bin/python"), "")
	write(t, filepath.Join(dir, "env/pyvenv.cfg"), "home = /base/bin\n")
	t.Chdir(dir)
	got, err := DescribePython("env/bin/../bin/python")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "executable", got.Executable, filepath.Join(dir, "env/bin/python"))
}

func TestDescribePython_Errors(t *testing.T) {
	dir := realDir(t)
	symlink(t, filepath.Join(dir, "loop"), filepath.Join(dir, "loop"))
	write(t, filepath.Join(dir, "homeless/bin/python"), "")
	write(t, filepath.Join(dir, "homeless/pyvenv.cfg"), "version = 3.12.3\n")
	tests := []struct{ name, path, want string }{
		{"missing", "none/bin/python", "python DIR/none/bin/python: no such file or directory: set STEPBENCH_PYTHON to a python executable"},
		{"folder", "homeless", "python DIR/homeless: not a file: set STEPBENCH_PYTHON to a python executable"},
		{"link to itself", "loop", "python DIR/loop: EvalSymlinks: too many links: set STEPBENCH_PYTHON to a python executable"},
		{"no home", "homeless/bin/python", "DIR/homeless/pyvenv.cfg has no home line: create the environment again with make setup"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DescribePython(filepath.Join(dir, tt.path))
			if err == nil {
				t.Fatalf("no error, but %+v", got)
			}
			equal(t, "error", strings.ReplaceAll(err.Error(), dir, "DIR"), tt.want)
		})
	}
}

func TestCheckPython(t *testing.T) {
	dir := realDir(t)
	write(t, filepath.Join(dir, "base/bin/python"), "")
	symlink(t, filepath.Join(dir, "base"), filepath.Join(dir, "link"))
	lib := &Library{Path: "/lib.so", BuildPython: "3.12.3", BuildPrefix: filepath.Join(dir, "base")}
	tests := []struct {
		name, prefix, version string
		want                  string
	}{
		{name: "same", prefix: "base", version: "3.12.3"},
		{name: "same folder by another path", prefix: "link", version: "3.12.3"},
		{name: "version unknown", prefix: "base"},
		{
			name: "other version", prefix: "base", version: "3.12.4",
			want: "python did not start: /env/bin/python belongs to Python 3.12.4 in DIR/base, " +
				"shim /lib.so was built for 3.12.3 in DIR/base: run make build",
		},
		{
			name: "other installation", prefix: "other", version: "3.12.3",
			want: "python did not start: /env/bin/python belongs to Python 3.12.3 in DIR/other, " +
				"shim /lib.so was built for 3.12.3 in DIR/base: run make build",
		},
		{
			name: "other installation of unknown version", prefix: "other",
			want: "python did not start: /env/bin/python belongs to Python (version unknown) in DIR/other, " +
				"shim /lib.so was built for 3.12.3 in DIR/base: run make build",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := lib.CheckPython(Python{
				Executable: "/env/bin/python", BasePrefix: filepath.Join(dir, tt.prefix), Version: tt.version,
			})
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "DIR")
				if !errors.Is(err, ErrInit) {
					t.Errorf("%v is not ErrInit", err)
				}
			}
			equal(t, "error", got, tt.want)
		})
	}
}

// The environment of a folder says which installation it belongs to, whatever
// its python links to.
func TestCheckPythonOfVenv(t *testing.T) {
	shim, _ := needHost(t)
	lib, err := Load(shim)
	if err != nil {
		t.Fatal(err)
	}
	dir := realDir(t)
	write(t, filepath.Join(dir, "bin/python"), "")
	check := func(cfg string) error {
		write(t, filepath.Join(dir, "pyvenv.cfg"), cfg)
		python, err := DescribePython(filepath.Join(dir, "bin/python"))
		if err != nil {
			t.Fatal(err)
		}
		return lib.CheckPython(python)
	}
	home := "home = " + lib.BuildPrefix + "/bin\n"
	if err := check(home + "version = " + lib.BuildPython + "\n"); err != nil {
		t.Error(err)
	}
	if err := check(home + "version = 3.99.0\n"); !errors.Is(err, ErrInit) {
		t.Errorf("other version: %v", err)
	}
	if err := check("home = " + dir + "/bin\nversion = " + lib.BuildPython + "\n"); !errors.Is(err, ErrInit) {
		t.Errorf("other home: %v", err)
	}
}

// noEnv removes the variables that decide a search.
func noEnv(t *testing.T) {
	for _, name := range []string{"STEPBENCH_PYTHON", "STEPBENCH_SHIM", "VIRTUAL_ENV"} {
		t.Setenv(name, "")
	}
}

// Each place comes before those that follow it: the test fills them from the
// last to the first.
func TestFindPythonOrder(t *testing.T) {
	noEnv(t)
	dir := realDir(t)
	place := func(name string) string { return write(t, filepath.Join(dir, name), "") }
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(dir, "a/b"))
	t.Setenv("VIRTUAL_ENV", filepath.Join(dir, "gone")) // deleted since it was activated

	wantFound := func(what, explicit, want string) {
		t.Helper()
		got, err := FindPython(explicit)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		equal(t, what, got.Executable, want)
	}
	far := place(".venv/bin/python")
	wantFound("far above the working directory", "", far)
	near := place("a/.venv/bin/python")
	wantFound("above the working directory", "", near)
	active := place("active/bin/python")
	t.Setenv("VIRTUAL_ENV", filepath.Join(dir, "active"))
	wantFound("VIRTUAL_ENV", "", active)
	chosen := place("chosen/bin/python")
	t.Setenv("STEPBENCH_PYTHON", chosen)
	wantFound("STEPBENCH_PYTHON", "", chosen)
	explicit := place("explicit/bin/python")
	wantFound("explicit", explicit, explicit)

	// What was named is never replaced by what can be found.
	t.Setenv("STEPBENCH_PYTHON", filepath.Join(dir, "none"))
	if got, err := FindPython(""); err == nil {
		t.Errorf("STEPBENCH_PYTHON names nothing, but %s was found", got.Executable)
	}
}

func TestFindShimOrder(t *testing.T) {
	noEnv(t)
	dir := realDir(t)
	place := func(name string) string { return write(t, filepath.Join(dir, name), "") }
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(dir, "a/b"))

	wantFound := func(what, explicit, want string) {
		t.Helper()
		got, err := FindShim(explicit)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		equal(t, what, got, want)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(exe), "libstepbench.so")
	if isFile(beside) {
		t.Skipf("%s would be found before all others", beside)
	}
	far := place("out/libstepbench.so")
	wantFound("far above the working directory", "", far)
	near := place("a/out/libstepbench.so")
	wantFound("above the working directory", "", near)
	t.Cleanup(func() { os.Remove(beside) })
	wantFound("beside the program", "", write(t, beside, ""))
	t.Setenv("STEPBENCH_SHIM", "chosen.so")
	wantFound("STEPBENCH_SHIM", "", filepath.Join(dir, "a/b/chosen.so"))
	wantFound("explicit", "/explicit.so", "/explicit.so")
}

// upwards is the folders from each of dirs to the root, joined with name, none
// twice.
func upwards(name string, dirs ...string) []string {
	var paths []string
	for _, dir := range dirs {
		for {
			if path := filepath.Join(dir, name); !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
			if dir == "/" {
				break
			}
			dir = filepath.Dir(dir)
		}
	}
	return paths
}

func TestFind_Errors(t *testing.T) {
	noEnv(t)
	wd := realDir(t)
	t.Chdir(wd)
	t.Setenv("VIRTUAL_ENV", "/none")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Dir(exe)

	_, err = FindPython("")
	tried := append([]string{"/none/bin/python"}, upwards(".venv/bin/python", wd, program)...)
	wantError(t, err, "no python environment found: run make setup, or set STEPBENCH_PYTHON; looked at "+strings.Join(tried, ", "))

	_, err = FindShim("")
	tried = append([]string{program + "/libstepbench.so"}, upwards("out/libstepbench.so", wd, program)...)
	wantError(t, err, "no shim found: run make build, or set STEPBENCH_SHIM; looked at "+strings.Join(tried, ", "))
}

// wantError fails t unless err has exactly this text.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	equal(t, "error", got, want)
}
