//go:build integration

package build

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pristine is the unchanged source tree of the installed vLLM.
func pristine(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../out/vllm-source")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "csrc")); err != nil {
		t.Fatal("no out/vllm-source: run make vllm-source")
	}
	return dir
}

// edited copies what a build reads of the tree, and replaces text in one file.
func edited(t testing.TB, file, old, new string) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"csrc", "cmake"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(pristine(t), part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []string{"CMakeLists.txt", "PKG-INFO"} {
		text, err := os.ReadFile(filepath.Join(pristine(t), part))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, part, string(text))
	}
	replace(t, dir, file, old, new)
	return dir
}

func replace(t testing.TB, dir, file, old, new string) {
	t.Helper()
	text := read(t, filepath.Join(dir, file))
	if strings.Count(text, old) == 0 {
		t.Fatalf("%s has no %q: another vLLM?", file, old)
	}
	write(t, dir, file, strings.Replace(text, old, new, 1))
}

func built(t testing.TB, s Store, opt Options) Manifest {
	t.Helper()
	opt.Progress = func(line string) { t.Log(line) }
	m, err := s.Build(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %+v", m.Name, m.Seconds)
	return m
}

// rotary is what testdata/rotary.py says of a variant.
func rotary(t testing.TB, s Store, name string) (got struct {
	Equal, Unknown bool
	Before, After  int
}) {
	t.Helper()
	v, err := s.Variant(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("../.venv/bin/python", "testdata/rotary.py", v.Library).Output()
	if err != nil {
		t.Fatalf("load the variant: %v", err)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return got
}

func TestCPUVariantReplacesOp(t *testing.T) {
	s := Store{t.TempDir()}
	const file = "csrc/cpu/pos_encoding.cpp"
	m := built(t, s, Options{Name: "same", Source: pristine(t), Files: []string{file}})
	if diff := cmp.Diff([]string{"_C::rotary_embedding"}, m.Ops); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{file}, m.Units); diff != "" {
		t.Error(diff)
	}
	if got := rotary(t, s, "same"); !got.Equal || !got.Unknown || got.Before != 0 || got.After != 4 {
		t.Errorf("loaded variant: %+v", got)
	}

	// The same text elsewhere, under another name: the same bytes.
	elsewhere := edited(t, file, "rotary_embedding_impl", "rotary_embedding_impl")
	other := built(t, s, Options{Name: "other", Source: elsewhere, Files: []string{file}})
	if m.SHA256[libraryFile] != other.SHA256[libraryFile] {
		t.Errorf("two builds of the same source differ: %v", other.Warnings)
	}
}

// A changed unit may call a helper of an unchanged one, which stays vLLM's own.
func TestCPUVariantUsesStockHelpers(t *testing.T) {
	const file, after = "csrc/cpu/pos_encoding.cpp", "  int num_tokens = positions.numel();"
	dir := edited(t, file, after, after+"\n  cpu_utils::ScratchPadManager::get_scratchpad_manager();")
	replace(t, dir, file, "namespace {", "#include \"utils.hpp\"\nnamespace {")
	s := Store{t.TempDir()}
	m := built(t, s, Options{Name: "helped", Source: dir, Files: []string{file}})
	if diff := cmp.Diff([]string{"cpu_utils::ScratchPadManager::get_scratchpad_manager()"}, m.Borrowed); diff != "" {
		t.Error(diff)
	}
	if got := rotary(t, s, "helped"); !got.Equal || got.After != 4 {
		t.Errorf("loaded variant: %+v", got)
	}
}

func TestCompileErrorHasUsersPath(t *testing.T) {
	unchanged := pristine(t)
	dir := edited(t, "csrc/cpu/pos_encoding.cpp", "int num_tokens = positions.numel();", "int num_tokens = positions.count_of_tokens();")
	t.Chdir(filepath.Dir(dir))
	t.Setenv("STEPBENCH_PYTHON", filepath.Join(filepath.Dir(filepath.Dir(unchanged)), ".venv", "bin", "python"))
	given := filepath.Base(dir)
	store := t.TempDir()
	_, err := Store{store}.Build(t.Context(), Options{Name: "broken", Source: given, Pristine: unchanged})
	var failure *CompileError
	if !errors.As(err, &failure) {
		t.Fatalf("error %v", err)
	}
	if want := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(given) + `/csrc/cpu/pos_encoding\.cpp:\d+:\d+: error: .*count_of_tokens`); !want.MatchString(failure.Output) {
		t.Errorf("no line matches %s in\n%s", want, failure.Output)
	}
	if left, _ := os.ReadDir(store); len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
}

func TestCUDAVariantWithoutGPU(t *testing.T) {
	const activation, layernorm = "csrc/libtorch_stable/activation_kernels.cu", "csrc/libtorch_stable/layernorm_kernels.cu"
	dir := edited(t, activation, "#include", "#include")
	s := Store{t.TempDir()}
	opt := Options{Name: "same", Source: dir, Files: []string{activation, layernorm}, Device: CUDA, Archs: []string{"9.0"}}
	m := built(t, s, opt)
	for _, op := range []string{"_C::silu_and_mul", "_C::gelu_new", "_C::silu_and_mul_with_clamp", "_C::rms_norm", "_C::fused_add_rms_norm"} {
		if !slices.Contains(m.Counted, op) {
			t.Errorf("%s is not registered: %v", op, m.Counted)
		}
	}
	kernels := m.Kernels["9.0"]
	if len(m.Kernels) != 1 || len(kernels) < 50 {
		t.Fatalf("%d kernels for %v", len(kernels), slices.Collect(maps.Keys(m.Kernels)))
	}

	// It loads where there is no GPU, and its kernels are registered.
	registered := []string{"_C::silu_and_mul", "_C::gelu_new", "_C::rms_norm"}
	v, err := s.Variant("same")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("../.venv/bin/python", append([]string{"testdata/registered.py", v.Library, "CUDA"}, registered...)...).Output()
	if err != nil {
		t.Fatalf("load the variant: %v", err)
	}
	var got []string
	if err := json.Unmarshal(out, &got); err != nil || !slices.Equal(got, registered) {
		t.Errorf("registered: %s (%v)", out, err)
	}

	replace(t, dir, activation, "expf(-1.702f *", "expf(-1.703f *")
	opt.Name, opt.Files = "changed", []string{activation}
	changed := built(t, s, opt).Kernels["9.0"]
	differ := map[bool]int{}
	for name, hash := range changed {
		if kernels[name] == hash {
			continue
		}
		quick := strings.Contains(name, "gelu_quick")
		differ[quick]++
		if !quick {
			t.Errorf("kernel %s is not gelu_quick and has other code", name)
		}
	}
	if differ[true] == 0 {
		t.Error("no kernel has other code")
	}
	t.Logf("%d kernels, %d of them changed", len(changed), differ[true])
}

// The whole way of --full, with a tree whose modules build in a second: vLLM's
// own needs oneDNN or CUTLASS from the network, and minutes.
func TestFullBuildReplacesModule(t *testing.T) {
	dir := tree(t, t.TempDir(), map[string]string{
		"CMakeLists.txt": `cmake_minimum_required(VERSION 3.25)
project(vllm_extensions LANGUAGES CXX)
include(${CMAKE_CURRENT_LIST_DIR}/cmake/utils.cmake)
foreach(name _C _C_AVX512 _C_AVX2)
  define_extension_target(${name} csrc/a.cpp)
endforeach()
`,
		"cmake/utils.cmake": `function(define_extension_target name)
  add_library(${name} MODULE ${ARGN})
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".abi3.so")
  install(TARGETS ${name} LIBRARY DESTINATION vllm COMPONENT ${name})
endfunction()
`,
		"csrc/a.cpp": "#include \"a.h\"\nextern \"C\" int answer() { return ANSWER; }\n",
		"csrc/a.h":   "#define ANSWER 42\n",
	})
	k, err := newKit(t.Context(), Options{Device: CPU})
	if err != nil {
		t.Fatal(err)
	}
	s := Store{t.TempDir()}
	m := built(t, s, Options{Name: "full", Source: dir, Files: []string{"csrc/a.h"}, Full: true})
	file := "vllm/" + k.isa.Module + ".abi3.so"
	if diff := cmp.Diff(map[string]string{"vllm." + k.isa.Module: file}, m.Modules); diff != "" {
		t.Error(diff)
	}
	v, err := s.Variant("full")
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Modules["vllm."+k.isa.Module]; got != filepath.Join(s.Dir, "full", file) || v.SHA256[got] == "" {
		t.Errorf("variant %+v", v)
	}

	write(t, dir, "csrc/a.h", "// no answer\n")
	_, err = s.Build(t.Context(), Options{Name: "broken", Source: dir, Files: []string{"csrc/a.h"}, Full: true})
	var failure *CompileError
	if !errors.As(err, &failure) || !strings.Contains(failure.Output, dir+"/csrc/a.cpp:2:") {
		t.Errorf("error %v", err)
	}
}
