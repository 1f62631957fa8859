package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"stepbench/bridge"
)

// Device is what a variant's kernels run on.
type Device string

const (
	CPU  Device = "cpu"
	CUDA Device = "cuda"
)

// kit is everything on this machine that a build uses.
type kit struct {
	device Device

	python, pythonVersion string // the environment's executable; "3.11.7"
	pythonInclude         string
	packages              string // where torch is, and its libraries beside it
	vllm                  string // the package's folder
	torch                 string // torch's folder
	torchVersion          string
	vllmVersion           string

	cmake, ninja string
	cxx          string
	cxxVersion   string
	nm           string
	launcher     string // ccache; empty without it
	processor    string // as CMake names it
	project      string // folder with csrc/override
	cache        string // folder for build trees and scans
	// generated are the folder of headers that vLLM's scripts generate, and the
	// folder in the tree where vLLM's own build would put them.
	generated []string

	isa   ISA      // CPU
	nvcc  nvcc     // CUDA
	archs []string // CUDA, "9.0"
}

// newKit looks for everything that a build for the device needs.
// Errors: *ToolError, or *InputError for a wrong architecture.
func newKit(ctx context.Context, opt Options) (*kit, error) {
	k := &kit{device: opt.Device, processor: map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]}
	if k.processor == "" {
		k.processor = runtime.GOARCH
	}
	if err := k.findPython(ctx, opt.Python); err != nil {
		return nil, err
	}
	if err := k.findTools(ctx); err != nil {
		return nil, err
	}
	var err error
	if k.cache, err = cacheDir(); err != nil {
		return nil, err
	}
	prune(k.cache, time.Now())
	if k.project, err = projectDir(k.cache); err != nil {
		return nil, err
	}
	switch k.device {
	case CPU:
		k.isa, err = hostISA()
	case CUDA:
		if k.archs, err = architectures(ctx, opt.Archs); err == nil {
			k.nvcc, err = findNVCC(ctx, k.packages)
		}
	default:
		err = refuse("--device %q: want cpu or cuda", opt.Device)
	}
	return k, err
}

func (k *kit) findPython(ctx context.Context, explicit string) error {
	python, err := bridge.FindPython(explicit)
	if err != nil {
		return &ToolError{err}
	}
	k.python = python.Executable
	// As an engine would find them: vLLM may be an editable installation or on
	// PYTHONPATH. Not from the working directory, which may be a source tree.
	const ask = `import sys, sysconfig
from importlib.util import find_spec
sys.path = [p for p in sys.path if p]
print("%d.%d.%d" % sys.version_info[:3], sysconfig.get_path("include"), sep="\n")
for name in "torch", "vllm":
    spec = find_spec(name)
    print(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else "-")`
	out, err := exec.CommandContext(ctx, k.python, "-c", ask).Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != 4 {
		return unusable("ask %s for its folders: %w", k.python, errors.Join(err, errors.New("unexpected answer")))
	}
	k.pythonVersion, k.pythonInclude, k.torch, k.vllm = lines[0], lines[1], lines[2], lines[3]
	k.packages = filepath.Dir(k.torch)
	if _, err := os.Stat(filepath.Join(k.pythonInclude, "Python.h")); err != nil {
		return unusable("%s has no Python.h in %s: install the headers of this Python (python3-dev)", k.python, k.pythonInclude)
	}
	k.torchVersion = match(regexp.MustCompile(`(?m)^__version__ = '([^']+)'`), filepath.Join(k.torch, "version.py"))
	if k.torchVersion == "" {
		return unusable("%s has no torch: run make setup", k.python)
	}
	k.vllmVersion = match(writtenVersion, filepath.Join(k.vllm, "_version.py"))
	if k.vllmVersion == "" {
		return unusable("%s has no vLLM: run make setup", k.python)
	}
	return nil
}

func (k *kit) findTools(ctx context.Context) error {
	var err1, err2, err3 error
	k.cmake, err1 = k.tool("cmake", "run make setup, or install CMake 3.25 or newer")
	k.ninja, err2 = k.tool("ninja", "run make setup, or install ninja")
	k.nm, err3 = k.tool("nm", "install binutils")
	if err := errors.Join(err1, err2, err3); err != nil {
		return &ToolError{err}
	}
	name := os.Getenv("CXX")
	if name == "" {
		name = "g++"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return unusable("compiler %s not found: install g++ (apt-get install g++ | dnf install gcc-c++), or set CXX", name)
	}
	k.cxx = path
	out, err := exec.CommandContext(ctx, k.cxx, "-dumpfullversion", "-dumpversion").Output()
	if err != nil {
		return unusable("compiler %s does not tell its version: set CXX to g++ 12 or newer", k.cxx)
	}
	k.cxxVersion = strings.TrimSpace(string(out))
	if older(k.cxxVersion, 11, 3) {
		return unusable("compiler %s is version %s: vLLM needs g++ 12.3 or newer (11.3 for CUDA); set CXX", k.cxx, k.cxxVersion)
	}
	k.launcher, _ = exec.LookPath("ccache")
	return nil
}

// older says whether a version is below MAJOR.MINOR.
func older(version string, major, minor int) bool {
	var a, b int
	fmt.Sscanf(version, "%d.%d", &a, &b)
	return a < major || a == major && b < minor
}

// tool finds a program in the Python environment, then on PATH.
func (k *kit) tool(name, remedy string) (string, error) {
	path := filepath.Join(filepath.Dir(k.python), name)
	if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
		return path, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s not found in %s or on PATH: %s", name, filepath.Dir(k.python), remedy)
	}
	return path, nil
}

// modules are those of the device that this machine would load.
func (k *kit) modules(d Description) []Module {
	var out []Module
	for _, m := range d.Modules {
		if k.device == CPU && m.Name == k.isa.Module || k.device == CUDA && strings.HasSuffix(m.Name, "C_stable_libtorch") {
			out = append(out, m)
		}
	}
	return out
}

// stock are the files of the environment's own modules: a changed unit may use
// functions of unchanged ones, with their state. Empty where the environment's
// vLLM is one for another device.
func (k *kit) stock(modules []affectedModule) []string {
	var files []string
	for _, m := range modules {
		file := filepath.Join(k.vllm, m.Name+".abi3.so")
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	return files
}

// libraries are linked against, as vLLM's modules are.
func (k *kit) libraries() []string {
	lib := filepath.Join(k.torch, "lib")
	libs := []string{filepath.Join(lib, "libtorch.so"), filepath.Join(lib, "libtorch_cpu.so"), filepath.Join(lib, "libc10.so")}
	if k.device == CUDA {
		libs = append(libs, filepath.Join(lib, "libtorch_cuda.so"), filepath.Join(lib, "libc10_cuda.so"))
		if runtimeLib := k.cudaRuntime(); runtimeLib != "" {
			libs = append(libs, runtimeLib)
		}
	}
	// The OpenMP that torch brought: a second one would have its own threads.
	for _, pattern := range []string{filepath.Join(lib, "libgomp*.so*"), filepath.Join(k.packages, "torch.libs", "libgomp*.so*")} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			libs = append(libs, found[0])
			break
		}
	}
	return libs
}

// systemIncludes are headers that vLLM's sources take from elsewhere.
func (k *kit) systemIncludes() []string {
	include := filepath.Join(k.torch, "include")
	dirs := []string{include, filepath.Join(include, "torch", "csrc", "api", "include"), k.pythonInclude}
	if k.device == CUDA {
		dirs = append(dirs, k.cudaIncludes()...)
	}
	return dirs
}
