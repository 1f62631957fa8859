package main

import (
	"os"
	"strings"
)

// hasNVIDIA says whether an NVIDIA driver is loaded.
func hasNVIDIA() bool {
	for _, path := range []string{"/proc/driver/nvidia/version", "/dev/nvidiactl"} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

// slowBF16 says that the CPU has no bfloat16 instructions: vLLM would still
// pick bfloat16 for most models, and emulate it at a tenth of float32's speed.
func slowBF16() bool {
	info, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && !strings.Contains(string(info), "avx512_bf16") && !strings.Contains(string(info), "amx_bf16")
}
