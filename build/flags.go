package build

import (
	"slices"
	"strings"
)

// cxxOptions are the compile options of a .cpp unit besides includes and
// definitions, as vLLM's CMake gives them.
func (k *kit) cxxOptions(m Module) []string { return slices.Clone(m.CXX) }

// includes are searched before anything else: the module's own, and those of
// generated headers.
func (k *kit) includes(m Module) []string { return slices.Concat(m.Includes, k.generated) }

// common are the flags that both compilers take in the same form.
func (k *kit) common(m Module) []string {
	var flags []string
	for _, dir := range k.includes(m) {
		flags = append(flags, "-I"+dir)
	}
	for _, dir := range k.systemIncludes() {
		flags = append(flags, "-isystem", dir)
	}
	for _, d := range m.Defines {
		flags = append(flags, "-D"+d)
	}
	return flags
}

// torchCUDA is what torch's CMake files add for every project that finds torch.
// Source: share/cmake/Caffe2/public/cuda.cmake in torch's package.
var torchCUDA = []string{"--expt-relaxed-constexpr", "--expt-extended-lambda", "-DONNX_NAMESPACE=onnx_c2"}

// nvccOptions are all options of a .cu unit.
func (k *kit) nvccOptions(m Module, u Unit, mapped []string) []string {
	flags := slices.Concat(k.common(m), []string{"-std=c++20", "-O2", "-DNDEBUG", "-ccbin=" + k.cxx, "-Xcompiler=-fPIC"},
		torchCUDA, m.CUDA, u.CUDA)
	for _, option := range mapped {
		flags = append(flags, "-Xcompiler="+option)
	}
	return flags
}

// scanCommand asks for a unit's dependencies.
func (k *kit) scanCommand(m Module, u Unit, path string) []string {
	if strings.HasSuffix(path, ".cu") {
		return slices.Concat([]string{k.nvcc.path}, k.nvccOptions(m, u, nil), []string{"-MM", "-x", "cu", path})
	}
	return slices.Concat([]string{k.cxx, "-std=gnu++20"}, k.common(m), k.cxxOptions(m), u.CXX, []string{"-MM", "-x", "c++", path})
}

// tolerantScan goes on where a header is missing. nvcc has no such mode, so for
// a .cu unit the C++ compiler reads it as nvcc's pass for the host would.
func (k *kit) tolerantScan(m Module, u Unit, path string) []string {
	options := slices.Concat(k.cxxOptions(m), u.CXX)
	if strings.HasSuffix(path, ".cu") {
		version := append(strings.Split(k.nvcc.version, "."), "0", "0")
		options = slices.Concat(torchCUDA, m.CUDA, u.CUDA)
		options = slices.DeleteFunc(options, func(o string) bool { return !strings.HasPrefix(o, "-D") && !strings.HasPrefix(o, "-I") })
		options = append(options, "-D__CUDACC__", "-D__NVCC__", "-D__CUDACC_RELAXED_CONSTEXPR__", "-D__CUDACC_EXTENDED_LAMBDA__",
			"-D__CUDACC_VER_MAJOR__="+version[0], "-D__CUDACC_VER_MINOR__="+version[1], "-D__CUDACC_VER_BUILD__="+version[2],
			"-include", "cuda_runtime.h")
	}
	return slices.Concat([]string{k.cxx, "-std=gnu++20"}, k.common(m), options, []string{"-MM", "-MG", "-x", "c++", path})
}

// mapped and mappedTree keep this machine's paths out of what is compiled
// (__FILE__, assertions), so that two trees with the same text give the same
// bytes. The precompiled header knows no tree.
func (k *kit) mapped() []string {
	return []string{
		"-ffile-prefix-map=" + k.project + "=override",
		"-ffile-prefix-map=" + k.packages + "=site-packages",
	}
}

func (p *project) mappedTree() []string {
	return []string{
		"-ffile-prefix-map=" + p.tree.Dir + "=.",
		"-ffile-prefix-map=" + p.own() + "=build",
	}
}
