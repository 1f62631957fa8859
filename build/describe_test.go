package build

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseDescription(t *testing.T) {
	text := strings.Join([]string{
		"include\t*\t/tree/csrc",
		"define\t*\t-DALL",
		"unit\t_C\tcsrc/a.cu",
		"unit\t_C\tcsrc/a.cu",
		"unit\t_C\tcsrc/b.cpp",
		"include\t_C\tcsrc;/opt/cutlass/include",
		"define\t_C\t-DTORCH_EXTENSION_NAME=_C",
		"define\t_C\tUSE_CUDA",
		"option\t_C\t$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;-DENABLE_FP8>",
		"option\t_C\t$<$<COMPILE_LANGUAGE:CXX>:>",
		"option\t_C\t-fPIC",
		"link\t_C\ttorch;helper",
		"link\t_C\ttorch;numa",
		"source\tcsrc/a.cu\tCOMPILE_OPTIONS\t$<$<COMPILE_LANGUAGE:CUDA>:-gencode\tarch=compute_90,code=sm_90>",
		"source\tcsrc/a.cu\tCOMPILE_OPTIONS\t$<$<COMPILE_LANGUAGE:CUDA>:-gencode\tarch=compute_90,code=sm_90>",
		"source\tcsrc/a.cu\tCOMPILE_FLAGS\t-static-global-template-stub=false",
		"source\tcsrc/b.cpp\tCOMPILE_OPTIONS\t$<$<COMPILE_LANGUAGE:CUDA>:-gencode\tarch=compute_90,code=sm_90>",
		"source\t/tree/csrc/b.cpp\tINCLUDE_DIRECTORIES\t/opt/a;/opt/b",
		"generator\t/tree/csrc/generate.py",
	}, "\n")
	want := Description{
		Modules: []Module{{
			Name: "_C",
			Units: []Unit{
				{Source: "csrc/a.cu", CXX: []string{"-static-global-template-stub=false"},
					CUDA: []string{"-gencode", "arch=compute_90,code=sm_90", "-static-global-template-stub=false"}},
				{Source: "csrc/b.cpp", CXX: []string{"-I/opt/a", "-I/opt/b"},
					CUDA: []string{"-gencode", "arch=compute_90,code=sm_90", "-I/opt/a", "-I/opt/b"}},
			},
			Includes: []string{"/tree/csrc", "/opt/cutlass/include"},
			Defines:  []string{"ALL", "TORCH_EXTENSION_NAME=_C", "USE_CUDA"},
			CXX:      []string{"-fPIC"},
			CUDA:     []string{"--expt-relaxed-constexpr", "-DENABLE_FP8", "-fPIC"},
			Links:    []string{"torch", "helper", "numa"},
		}},
		Generators: []string{"csrc/generate.py"},
	}
	got, err := parseDescription(text, "/tree")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseDescription_Errors(t *testing.T) {
	for text, want := range map[string]string{
		"unit":      `description of the build: line "unit" has too few fields`,
		"colour\tx": `description of the build: unknown line "colour"`,
	} {
		if _, err := parseDescription(text, "/tree"); err == nil || err.Error() != want {
			t.Errorf("parseDescription(%q): error %v, want %s", text, err, want)
		}
	}
}
