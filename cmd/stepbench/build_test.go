package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/build"
)

// variant puts a variant into a folder of variants, as stepbench build would.
func variant(t *testing.T, dir, name string) build.Manifest {
	t.Helper()
	const sum = "04a8b7b1b4a9a5a2a8ff4a4c3e7a1d0a3a7e0f8a0b0c0d0e0f101112131415ff"
	m := build.Manifest{
		SchemaVersion: build.SchemaVersion, Name: name, Device: build.CPU, Library: "override.so",
		SHA256: map[string]string{"override.so": sum}, Ops: []string{"_C::rotary_embedding"}, BuiltUnixNs: 1_700_000_000_000_000_000,
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string][]byte{"manifest.json": text, "override.so": []byte("not what was built")} {
		if err := os.WriteFile(filepath.Join(dir, name, file), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestBuildList(t *testing.T) {
	dir := t.TempDir()
	variant(t, dir, "faster")
	variant(t, dir, "best")
	t.Setenv("STEPBENCH_VARIANTS", dir)
	var stdout, stderr bytes.Buffer
	if code := run([]string{"stepbench", "build", "--list"}, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	want := `NAME    DEVICE  BUILT                SHA256        REPLACES
stock                                              nothing: the kernels that vLLM came with
best    cpu     2023-11-14 22:13:20  04a8b7b1b4a9  _C::rotary_embedding
faster  cpu     2023-11-14 22:13:20  04a8b7b1b4a9  _C::rotary_embedding
`
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Error(diff)
	}
}

func TestBuildShow(t *testing.T) {
	dir := t.TempDir()
	want := variant(t, dir, "faster")
	var stdout, stderr bytes.Buffer
	if code := run([]string{"stepbench", "build", "--show", "faster", "--variants", dir}, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	var got build.Manifest
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBuildListAsJSONWithoutVariants(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run([]string{"stepbench", "build", "--list", "--json", "--variants", filepath.Join(t.TempDir(), "none")}, &stdout, &stderr)
	if code != exitOK || stdout.String() != "[]\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", code, &stdout, &stderr)
	}
}

func TestBuild_Errors(t *testing.T) {
	dir := t.TempDir()
	variant(t, dir, "faster")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no name", nil, "build takes one NAME, got 0"},
		{"two names", []string{"a", "b", "--source", dir}, "build takes one NAME, got 2"},
		{"no source", []string{"a"}, "--source TREE is missing"},
		{"stock", []string{"stock", "--source", dir}, `variant name "stock" is reserved`},
		{"no tree", []string{"a", "--source", dir}, "is not a vLLM source tree: it has no CMakeLists.txt"},
		{"two tasks", []string{"--list", "--show", "faster"}, "one of NAME, --list, --show and --verify at a time"},
		{"a task and a name", []string{"a", "--list"}, "one of NAME, --list, --show and --verify at a time"},
		{"absent", []string{"--show", "slower"}, "no variant slower in " + dir + " (there: faster)"},
		{"changed since", []string{"--verify", "faster"}, "variant faster is not what was built"},
		{"files and revision", []string{"a", "--source", dir, "--files", "x", "--against", "y"}, "--against and --files exclude each other"},
		{"arch for the CPU", []string{"a", "--source", dir, "--arch", "9.0"}, "--arch 9.0 is for --device cuda"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			args := append([]string{"stepbench", "build"}, tt.args...)
			code := run(append(args, "--variants", dir), &stdout, &stderr)
			if code != exitUsage || !strings.Contains(stderr.String(), tt.want) || stdout.Len() > 0 {
				t.Errorf("exit %d, stderr %q, want %d and %q", code, &stderr, exitUsage, tt.want)
			}
		})
	}
}

func TestBuildFailureExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, exitOK},
		{"input", &build.InputError{Err: os.ErrInvalid}, exitUsage},
		{"source does not compile", &build.CompileError{Phase: "compile", Output: "error"}, exitUsage},
		{"missing tool", &build.ToolError{Err: os.ErrNotExist}, exitEnvironment},
		{"interrupted", errInterrupted, exitInterrupted},
		{"anything else", os.ErrClosed, exitInternal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			if got := exitCode(buildFailure(tt.err), &stderr); got != tt.want {
				t.Errorf("exit %d, want %d", got, tt.want)
			}
		})
	}
}
