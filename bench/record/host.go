package record

import (
	"io/fs"
	"runtime"
	"strconv"
	"strings"
)

// Host describes the machine, without its name. Empty fields could not be
// read.
type Host struct {
	OS          string `json:"os"`
	Arch        string `json:"arch"`
	Kernel      string `json:"kernel,omitempty"`
	CPUModel    string `json:"cpu_model,omitempty"`
	CPUs        int    `json:"cpus"` // logical, that this process may use
	CPUQuota    string `json:"cgroup_cpu_max,omitempty"`
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
	Hypervisor  bool   `json:"hypervisor"` // the CPU says it is virtual
}

// ReadHost reads /proc and /sys under root.
func ReadHost(root fs.FS) Host {
	h := Host{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU()}
	h.Kernel = firstLine(root, "proc/sys/kernel/osrelease")
	h.CPUQuota = firstLine(root, "sys/fs/cgroup/cpu.max")
	cpuinfo := readText(root, "proc/cpuinfo")
	h.CPUModel = field(cpuinfo, "model name")
	for _, flag := range strings.Fields(field(cpuinfo, "flags")) {
		h.Hypervisor = h.Hypervisor || flag == "hypervisor"
	}
	if kb, ok := strings.CutSuffix(field(readText(root, "proc/meminfo"), "MemTotal"), " kB"); ok {
		if n, err := strconv.ParseInt(kb, 10, 64); err == nil {
			h.MemoryBytes = n * 1024
		}
	}
	return h
}

func readText(root fs.FS, name string) string {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return "" // other systems have no such file; the field stays empty
	}
	return string(data)
}

func firstLine(root fs.FS, name string) string {
	line, _, _ := strings.Cut(readText(root, name), "\n")
	return line
}

// field is the value of the first "name : value" line of text.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Environment picks the variables that change what vLLM, torch or their
// threads do, from "NAME=value" pairs. Anything that looks like a secret stays
// out of the record.
func Environment(environ []string) map[string]string {
	out := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if acts(name) && !secret(name) {
			out[name] = value
		}
	}
	return out
}

func acts(name string) bool {
	for _, prefix := range []string{"VLLM_", "CUDA_", "NVIDIA_", "NCCL_", "TORCH", "PYTORCH", "OMP_", "MKL_", "KMP_", "GOMP_", "TRITON_", "LD_PRELOAD", "MALLOC_", "STEPBENCH_", "GOMAXPROCS"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func secret(name string) bool {
	for _, word := range []string{"KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
