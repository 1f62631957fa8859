package build

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDemangledKernels(t *testing.T) {
	got, err := demangled(t.Context(), map[string][]string{
		"_ZN4vllm6kernelEPfi": {"aa"},
		"_ZN54_GLOBAL__N__287f8da7_21_activation_kernels_cu_924691d41kEPi": {"bb"},
		"_ZN54_GLOBAL__N__11111111_21_activation_kernels_cu_924691d41kEPi": {"bb"},
		"plain": {"cc", "dd", "cc"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"vllm::kernel(float*, int)": "aa", "(anonymous namespace)::k(int*)": "bb", "plain": hashStrings("cc", "dd")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCubinNames(t *testing.T) {
	for name, want := range map[string][]string{
		"override.1.sm_90.cubin":        {"9", "0"},
		"x/override.12.sm_90a.cubin":    {"9", "0a"},
		"_C_stable.abi3.3.sm_120.cubin": {"12", "0"},
		"override.1.sm_90.ptx":          nil,
	} {
		m := cubinArch.FindStringSubmatch(name)
		if want == nil && m == nil {
			continue
		}
		if m == nil || m[1] != want[0] || m[2] != want[1] {
			t.Errorf("%s: %v, want %v", name, m, want)
		}
	}
}

// A file without ELF content is an error, not a variant without kernels.
func TestCodeHashes_Errors(t *testing.T) {
	path := t.TempDir() + "/x.cubin"
	if err := codeHashes(path, map[string][]string{}); err == nil {
		t.Error("a missing cubin was read")
	}
}
