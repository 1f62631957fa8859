package bridge

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	shim, python := needHost(t)
	lib, err := Load(shim)
	if err != nil {
		t.Fatal(err)
	}
	if err := lib.CheckPython(python); err != nil {
		t.Error(err)
	}
	if before, after := lib.NowNs(), lib.NowNs(); before <= 0 || after < before {
		t.Errorf("clock went from %d to %d", before, after)
	}
}

// compile makes a shared library of a C source under testdata, or of "".
func compile(t *testing.T, source string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "lib.so")
	args := append([]string{"-shared", "-fPIC", "-Wall", "-I../csrc/include", "-I../csrc/src", "-o", out, "-x", "c"}, flags...)
	cmd := exec.Command("cc", append(args, source)...)
	if log, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, log)
	}
	return out
}

func textFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "lib.so")
	if err := os.WriteFile(path, []byte("no library\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad_Errors(t *testing.T) {
	stub := func(flags ...string) func(*testing.T) string {
		return func(t *testing.T) string { return compile(t, "testdata/stub.c", flags...) }
	}
	tests := []struct {
		name string
		path func(t *testing.T) string
		want string // with PATH for the path
		abi  bool   // is ErrABI
	}{
		{
			name: "missing file",
			path: func(t *testing.T) string { return filepath.Join(t.TempDir(), "lib.so") },
			want: "load shim: stat PATH: no such file or directory: run make build, or set STEPBENCH_SHIM",
		},
		{
			name: "no path",
			path: func(*testing.T) string { return "" },
			want: "load shim: stat : no such file or directory: run make build, or set STEPBENCH_SHIM",
		},
		{
			name: "text file",
			path: textFile,
			want: "load shim PATH: PATH: file too short: run make build",
		},
		{
			name: "no shim",
			path: func(t *testing.T) string { return compile(t, "/dev/null") },
			want: "load shim PATH: shim and program disagree on the ABI: symbol sb_abi_count is missing: run make build",
			abi:  true,
		},
		{
			name: "one symbol missing",
			path: stub("-DNO_STEP"),
			want: "load shim PATH: shim and program disagree on the ABI: symbol sb_step is missing: run make build",
			abi:  true,
		},
		{
			name: "other version",
			path: stub("-DOTHER_VERSION"),
			want: "load shim PATH: shim and program disagree on the ABI: SB_ABI_VERSION is 2 in the shim, 1 in this program: run make build",
			abi:  true,
		},
		{
			name: "other offset, seen only by the program",
			path: stub("-DVALUE_AT=5", "-DCHECK_SAYS=-1"),
			want: "load shim PATH: shim and program disagree on the ABI: sb_error.message is 1000 in the shim, 8 in this program: run make build",
			abi:  true,
		},
		{
			name: "other offset, seen only by the shim",
			path: stub("-DCHECK_SAYS=5"),
			want: "load shim PATH: shim and program disagree on the ABI: sb_error.message is 8 in the shim, 8 in this program: run make build",
			abi:  true,
		},
		{
			name: "longer table",
			path: stub("-DCOUNT_MORE=1", "-DCHECK_SAYS=-1"),
			want: "load shim PATH: shim and program disagree on the ABI: sb_view.more is 7 in the shim, nothing in this program: run make build",
			abi:  true,
		},
		{
			name: "shorter table",
			path: stub("-DCOUNT_MORE=-1"),
			want: "load shim PATH: shim and program disagree on the ABI: layout word 37 is nothing in the shim, 88 in this program: run make build",
			abi:  true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.path(t)
			lib, err := Load(path)
			if err == nil {
				t.Fatalf("loaded %s", path)
			}
			if lib != nil {
				t.Error("a library came with the error")
			}
			got := err.Error()
			if path != "" {
				got = strings.ReplaceAll(got, path, "PATH")
			}
			equal(t, "error", got, tt.want)
			if errors.Is(err, ErrABI) != tt.abi {
				t.Errorf("errors.Is(err, ErrABI) is %v", !tt.abi)
			}
		})
	}
}
