package record

import (
	"runtime"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestReadHost(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	got := ReadHost(fstest.MapFS{
		"proc/sys/kernel/osrelease": file("6.1.0-18-amd64\n"),
		"proc/cpuinfo":              file("processor\t: 0\nmodel name\t: AMD EPYC 7763\nflags\t\t: fpu avx2 hypervisor\n\nprocessor\t: 1\nmodel name\t: other\n"),
		"proc/meminfo":              file("MemTotal:       16384 kB\nMemFree:  1 kB\n"),
		"sys/fs/cgroup/cpu.max":     file("200000 100000\n"),
	})
	want := Host{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Kernel: "6.1.0-18-amd64",
		CPUModel: "AMD EPYC 7763", CPUQuota: "200000 100000", MemoryBytes: 16384 * 1024, Hypervisor: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("host (-want +got):\n%s", diff)
	}
	bare := Host{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU()}
	if diff := cmp.Diff(bare, ReadHost(fstest.MapFS{})); diff != "" {
		t.Errorf("host without /proc (-want +got):\n%s", diff)
	}
}

func TestEnvironment(t *testing.T) {
	got := Environment([]string{"OMP_NUM_THREADS=2", "VLLM_API_KEY=x", "HOME=/home/me", "VLLM_CPU_KVCACHE_SPACE=1=2", "NCCL_DEBUG="})
	want := map[string]string{"OMP_NUM_THREADS": "2", "VLLM_CPU_KVCACHE_SPACE": "1=2", "NCCL_DEBUG": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}
