package build

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/internal/golden"
)

// assembled is a kit as it would be found on a machine.
func assembled(device Device) *kit {
	return &kit{
		device: device, python: "/venv/bin/python", pythonVersion: "3.12.3", pythonInclude: "/python/include", packages: "/venv/site-packages",
		torch: "/venv/site-packages/torch", torchVersion: "2.11.0", vllmVersion: "0.26.0",
		cmake: "/venv/bin/cmake", ninja: "/venv/bin/ninja", cxx: "/usr/bin/g++", cxxVersion: "12.3.0", nm: "/usr/bin/nm",
		project: "/cache/override", cache: "/cache", isa: ISA{"AVX2", "_C_AVX2"},
		nvcc: nvcc{path: "/cuda/bin/nvcc", version: "13.0.88", root: "/cuda"}, archs: []string{"9.0"},
	}
}

func assembledProject(device Device, unit string) *project {
	k := assembled(device)
	m := Module{Name: "_C_AVX2", Units: []Unit{{Source: "csrc/cpu/torch_bindings.cpp"}, {Source: unit}}, Includes: []string{"/tree/csrc"},
		Defines: []string{"TORCH_EXTENSION_NAME=_C_AVX2"}, CXX: []string{"-fopenmp", "-mavx2"}, CUDA: []string{"-DENABLE_FP8"}}
	u := Unit{Source: unit, CUDA: []string{"-gencode", "arch=compute_90,code=sm_90"}}
	return &project{k: k, tree: Tree{Dir: "/tree", Given: "my-vllm"}, dir: "/cache/dir", target: "v_x", jobs: 2, log: func(string) {},
		modules: []affectedModule{{m, []Unit{u}}}}
}

func TestProjectText(t *testing.T) {
	golden.Check(t, "testdata/variant_cpu.cmake", []byte(assembledProject(CPU, "csrc/cpu/pos_encoding.cpp").text()))
	golden.Check(t, "testdata/variant_cuda.cmake", []byte(assembledProject(CUDA, "csrc/libtorch_stable/activation_kernels.cu").text()))
}

const ninjaOutput = `[1/3] Building CXX object CMakeFiles/v_x_cxx.dir/tree/csrc/cpu/pos_encoding.cpp.o
FAILED: [code=1] CMakeFiles/v_x_cxx.dir/tree/csrc/cpu/pos_encoding.cpp.o
/usr/bin/g++ -O2 -c /tree/csrc/cpu/pos_encoding.cpp
/tree/csrc/cpu/pos_encoding.cpp: In function ‘void f()’:
/tree/csrc/cpu/pos_encoding.cpp:12:3: error: ‘x’ was not declared in this scope
   12 |   x = 1;
      |   ^
[2/3] Building CXX object CMakeFiles/v_x_registration.dir/_C_AVX2.register.cpp.o
ninja: build stopped: subcommand failed.
`

func TestFollowKeepsDiagnosesAndReportsSteps(t *testing.T) {
	p := assembledProject(CPU, "csrc/cpu/pos_encoding.cpp")
	var steps []string
	p.log = func(line string) { steps = append(steps, line) }
	got := p.tree.userPaths(p.follow(strings.NewReader(ninjaOutput)))
	want := `my-vllm/csrc/cpu/pos_encoding.cpp: In function ‘void f()’:
my-vllm/csrc/cpu/pos_encoding.cpp:12:3: error: ‘x’ was not declared in this scope
   12 |   x = 1;
      |   ^
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"[1/3] csrc/cpu/pos_encoding.cpp", "[2/3] registration"}, steps); diff != "" {
		t.Error(diff)
	}
}

func TestExplain(t *testing.T) {
	tests := []struct {
		name, phase, output, want string
		input                     bool
	}{
		{"a mistake stays a compile error", "compile", "a.cu:1:1: error: no", "compile failed:\na.cu:1:1: error: no", false},
		{"the user's own header is missing", "compile", "a.cu:1:1: fatal error: ./mine.h: No such file or directory", "compile failed", false},
		{"CUTLASS", "compile", "csrc/x.cu:3:10: fatal error: cutlass/cutlass.h: No such file or directory", "csrc/x.cu needs cutlass/cutlass.h, which is not on this machine: set VLLM_CUTLASS_SRC_DIR", true},
		{"oneDNN", "compile", "csrc/cpu/dnnl_helper.h:9:10: fatal error: oneapi/dnnl/dnnl.hpp: No such file", "build the whole module with --full", true},
		{"another unit's function", "link", "ld: x.o: undefined reference to `helper(int)'\nld: undefined reference to `helper(int)'", "the changed units use helper(int), defined in units that are not part of the change, or with another signature: build the whole module with --full", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := assembled(CPU).explain(&CompileError{tt.phase, tt.output})
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q", err, tt.want)
			}
			var input *InputError
			if errors.As(err, &input) != tt.input {
				t.Errorf("error is a %T", err)
			}
		})
	}
}

func TestChangedSignatureIsRefused(t *testing.T) {
	registered := []Registration{{Namespace: "_C", Op: "rotary_embedding", Function: "rotary_embedding"}}
	if err := checkSignatures([]string{"cpu_utils::helper(int)", "rotary_embedding_helper()"}, registered); err != nil {
		t.Errorf("helpers of unaffected units: %v", err)
	}
	err := checkSignatures([]string{"rotary_embedding(at::Tensor&, long)"}, registered)
	const want = "rotary_embedding has other parameters than vLLM declares for _C::rotary_embedding: build the whole module with --full"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestPlanRefusals(t *testing.T) {
	dir := tree(t, t.TempDir(), map[string]string{
		"csrc/cpu/torch_bindings.cpp": "", "csrc/lonely.h": "", "csrc/marlin/generate_kernels.py": "",
	})
	d := Description{Generators: []string{"csrc/marlin/generate_kernels.py"}, Modules: []Module{{Name: "_C_AVX2", Units: []Unit{{Source: "csrc/a.cpp"}}}}}
	for file, want := range map[string]string{
		"CMakeLists.txt":                  "CMakeLists.txt belongs to vLLM's build, not to a kernel: build the whole module with --full",
		"csrc/cpu/torch_bindings.cpp":     "csrc/cpu/torch_bindings.cpp declares and registers ops, which an override must leave as they are: build the whole module with --full",
		"csrc/marlin/generate_kernels.py": "csrc/marlin/generate_kernels.py generates sources of its own: build the whole module with --full",
		"csrc/lonely.h":                   "no translation unit of vLLM's CPU (AVX2) build includes csrc/lonely.h: nothing to compile (is --device right?)",
	} {
		_, err := assembled(CPU).plan(t.Context(), open(t, dir), d, Changes{Files: []string{file}}, 1)
		if err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", file, err, want)
		}
	}
}

func TestArchitectures(t *testing.T) {
	got, err := architectures(t.Context(), []string{"sm_100a", "90", "9.0", "12.0f"})
	if diff := cmp.Diff([]string{"10.0a", "12.0f", "9.0"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := architectures(t.Context(), []string{"hopper"}); err == nil || !strings.Contains(err.Error(), `--arch "hopper": want a compute capability such as 9.0`) {
		t.Errorf("error %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := architectures(t.Context(), nil); err == nil || !strings.HasPrefix(err.Error(), "no GPU to compile for: name an architecture with --arch") {
		t.Errorf("without a GPU: error %v", err)
	}
}

func TestOptions_Errors(t *testing.T) {
	tests := []struct {
		name string
		opt  Options
		want string
	}{
		{"no source", Options{Name: "x"}, "--source TREE is missing"},
		{"stock", Options{Name: "stock", Source: "x"}, "reserved"},
		{"two ways", Options{Name: "x", Source: "x", Against: "v1", Files: []string{"a"}}, "--against and --files exclude each other"},
		{"arch on the CPU", Options{Name: "x", Source: "x", Archs: []string{"9.0"}}, "--arch 9.0 is for --device cuda"},
		{"unknown tree", Options{Name: "x", Source: "/nowhere"}, "source tree /nowhere: not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := Store{dir}.Build(t.Context(), tt.opt)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left in the store: %v", left)
			}
		})
	}
}

func TestWrongVersionIsRefused(t *testing.T) {
	dir := tree(t, t.TempDir(), map[string]string{"PKG-INFO": "Version: 0.25.1\n"})
	_, err := assembled(CPU).begin(Options{Name: "x"}, open(t, dir), Changes{Files: []string{"csrc/a.h"}})
	if err == nil || !strings.Contains(err.Error(), "is vLLM 0.25.1, the environment has 0.26.0: their ops need not fit; use a tree of v0.26.0") {
		t.Errorf("error %v", err)
	}
}
