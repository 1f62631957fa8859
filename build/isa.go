package build

import (
	"os"
	"runtime"
	"slices"
	"strings"
)

// ISA is the instruction set that vLLM's CPU backend picks on this machine.
type ISA struct {
	Name   string // "AVX2"
	Module string // the extension module built for it
}

// hostISA decides as vLLM does. Source: vllm/platforms/cpu.py, import_kernels;
// what torch.cpu._is_avx512_supported asks is in ATen/cpu/Utils.cpp.
func hostISA() (ISA, error) {
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ISA{}, unusable("read the CPU's features: %w", err)
	}
	return pickISA(string(cpuinfo), runtime.GOARCH), nil
}

func pickISA(cpuinfo, arch string) ISA {
	if arch != "amd64" {
		return ISA{arch, "_C"}
	}
	var flags []string
	for line := range strings.Lines(cpuinfo) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "flags" {
			flags = strings.Fields(value)
			break
		}
	}
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(flags, n) })
	}
	switch {
	case !has("avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"):
		return ISA{"AVX2", "_C_AVX2"}
	case !has("avx512_bf16"):
		return ISA{"AVX512", "_C_AVX512"}
	}
	return ISA{"AVX512BF16", "_C"}
}
