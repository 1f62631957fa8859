package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// nvcc is the CUDA compiler, of a toolkit or of NVIDIA's packages on PyPI.
type nvcc struct {
	path    string
	version string // "13.0.88"
	root    string // folder that holds bin/nvcc
}

// findNVCC looks in CUDA_HOME, on PATH, in the checkout's .nvcc and in the
// environment's packages.
func findNVCC(ctx context.Context, packages string) (nvcc, error) {
	var tried []string
	if home := os.Getenv("CUDA_HOME"); home != "" {
		tried = append(tried, filepath.Join(home, "bin", "nvcc"))
	}
	if path, err := exec.LookPath("nvcc"); err == nil {
		tried = append(tried, path)
	}
	tried = append(tried, "/usr/local/cuda/bin/nvcc")
	tried = append(tried, upward(filepath.Join(".nvcc", "nvidia", "cu13", "bin", "nvcc"))...)
	tried = append(tried, filepath.Join(packages, "nvidia", "cu13", "bin", "nvcc"))
	for _, path := range tried {
		info, err := os.Stat(path)
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			continue
		}
		return describeNVCC(ctx, path)
	}
	return nvcc{}, unusable("nvcc not found (looked for %s): run make nvcc, which installs it from PyPI, or install the CUDA 13.0 toolkit and set CUDA_HOME",
		strings.Join(unique(tried), ", "))
}

var releaseLine = regexp.MustCompile(`release [0-9.]+, V([0-9.]+)`)

func describeNVCC(ctx context.Context, path string) (nvcc, error) {
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	m := releaseLine.FindSubmatch(out)
	if err != nil || m == nil {
		return nvcc{}, unusable("%s does not tell its version: run make nvcc, or set CUDA_HOME\n%s", path, out)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nvcc{}, err
	}
	return nvcc{path: real, version: string(m[1]), root: filepath.Dir(filepath.Dir(real))}, nil
}

// cudaIncludes are the headers of the CUDA runtime and of CCCL. nvcc adds its
// own folder; its package on PyPI has not all of them there.
func (k *kit) cudaIncludes() []string {
	var dirs []string
	for _, dir := range []string{
		filepath.Join(k.nvcc.root, "include", "cccl"),
		filepath.Join(k.nvcc.root, "include"),
		filepath.Join(k.packages, "nvidia", "cu13", "include"),
	} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			dirs = append(dirs, dir)
		}
	}
	return unique(dirs)
}

// cudaRuntime is the libcudart that torch uses.
func (k *kit) cudaRuntime() string {
	for _, pattern := range []string{
		filepath.Join(k.packages, "nvidia", "cu13", "lib", "libcudart.so.*"),
		filepath.Join(k.packages, "nvidia", "cuda_runtime", "lib", "libcudart.so.*"),
		filepath.Join(k.nvcc.root, "lib64", "libcudart.so"),
		filepath.Join(k.nvcc.root, "lib", "libcudart.so"),
	} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

var architecture = regexp.MustCompile(`^([0-9]{1,2})\.?([0-9])([af]?)$`)

// architectures reads "9.0", "90", "sm_90a"; without any, it is the present
// GPU's.
func architectures(ctx context.Context, given []string) ([]string, error) {
	if len(given) == 0 {
		return presentArchitectures(ctx)
	}
	var archs []string
	for _, text := range given {
		m := architecture.FindStringSubmatch(strings.TrimPrefix(text, "sm_"))
		if m == nil {
			return nil, refuse("--arch %q: want a compute capability such as 9.0 or 10.0a", text)
		}
		archs = append(archs, m[1]+"."+m[2]+m[3])
	}
	slices.Sort(archs)
	return slices.Compact(archs), nil
}

// presentArchitectures asks the driver, by nvidia-smi.
func presentArchitectures(ctx context.Context) ([]string, error) {
	const remedy = "no GPU to compile for: name an architecture with --arch, such as --arch 9.0 for H100 and H200"
	path, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return nil, refuse("%s (nvidia-smi not found)", remedy)
	}
	out, err := exec.CommandContext(ctx, path, "--query-gpu=compute_cap", "--format=csv,noheader").Output()
	if err != nil {
		return nil, refuse("%s (nvidia-smi: %w)", remedy, err)
	}
	archs := strings.Fields(string(out))
	slices.Sort(archs)
	archs = slices.Compact(archs)
	if len(archs) == 0 || !architecture.MatchString(archs[0]) {
		return nil, refuse("%s (nvidia-smi says %q)", remedy, strings.TrimSpace(string(out)))
	}
	return archs, nil
}

// upward lists name in the working directory and in every folder above it.
func upward(name string) []string {
	dir, err := os.Getwd()
	if err != nil {
		return nil
	}
	var paths []string
	for {
		paths = append(paths, filepath.Join(dir, name))
		parent := filepath.Dir(dir)
		if parent == dir {
			return paths
		}
		dir = parent
	}
}
