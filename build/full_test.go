package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/internal/golden"
)

func TestFullConfigure(t *testing.T) {
	t.Setenv("FETCHCONTENT_SOURCE_DIR_ONEDNN", "/src/onednn")
	for device, toolkit := range map[Device]string{CPU: "", CUDA: "/cuda"} {
		golden.Check(t, "testdata/full_configure_"+string(device)+".txt", []byte(strings.Join(assembled(device).fullConfigure(Tree{Dir: "/tree"}, "/cache/full", toolkit), "\n")+"\n"))
	}
}

func TestToolkitOfPackages(t *testing.T) {
	root, packages := t.TempDir(), t.TempDir()
	write(t, root, "bin/nvcc", "")
	write(t, root, "include/crt/host_config.h", "")
	write(t, root, "lib/libnvvm.so.4", "")
	write(t, packages, "nvidia/cu13/include/cuda_runtime.h", "")
	write(t, packages, "nvidia/cu13/lib/libcudart.so.13", "")
	k := assembled(CUDA)
	k.torchVersion, k.nvcc.path, k.nvcc.root, k.packages, k.cache = "2.11.0+cu130", filepath.Join(root, "bin", "nvcc"), root, packages, t.TempDir()
	for range 2 { // the second time everything is there
		dir, err := k.toolkit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"bin/nvcc", "include/crt/host_config.h", "include/cuda_runtime.h", "lib64/libcudart.so", "lib64/libcudart.so.13", "lib64/libnvvm.so"} {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				t.Error(err)
			}
		}
	}
	write(t, root, "lib64/libcudart.so", "") // a whole toolkit is used as it is
	if dir, err := k.toolkit(t.Context()); dir != root || err != nil {
		t.Errorf("toolkit %s, %v", dir, err)
	}
	k.torchVersion = "2.11.0+cpu"
	if dir, err := k.toolkit(t.Context()); dir != "" || err != nil {
		t.Errorf("torch without CUDA: toolkit %s, %v", dir, err)
	}
}

func TestFetchedHandsOnOnlyCMakesVariables(t *testing.T) {
	got := fetched([]string{"PATH=/bin", "FETCHCONTENT_SOURCE_DIR_ONEDNN=/a b", "FETCHCONTENT_BASE_DIR=/c", "VLLM_CUTLASS_SRC_DIR=/d"})
	if diff := cmp.Diff([]string{"-DFETCHCONTENT_BASE_DIR=/c", "-DFETCHCONTENT_SOURCE_DIR_ONEDNN=/a b"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNotFetched(t *testing.T) {
	const said = "CMake Error (message):\n  Failed to clone repository:\n\n    '%s'\n"
	for repository, want := range map[string]string{
		"https://github.com/nvidia/cutlass.git":           " because https://github.com/nvidia/cutlass.git cannot be fetched (set VLLM_CUTLASS_SRC_DIR to a local copy)",
		"https://github.com/oneapi-src/oneDNN.git":        " because https://github.com/oneapi-src/oneDNN.git cannot be fetched (set FETCHCONTENT_SOURCE_DIR_ONEDNN to a local copy)",
		"https://github.com/vllm-project/flash-attention": " because https://github.com/vllm-project/flash-attention cannot be fetched (set VLLM_FLASH_ATTN_SRC_DIR to a local copy)",
		"https://example.org/new":                         " because https://example.org/new cannot be fetched",
	} {
		if got := notFetched(strings.ReplaceAll(said, "%s", repository)); got != want {
			t.Errorf("%s: %q, want %q", repository, got, want)
		}
	}
	if got := notFetched("CMake Error: another"); got != "" {
		t.Errorf("another error: %q", got)
	}
}
