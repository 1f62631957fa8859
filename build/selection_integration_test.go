//go:build integration

package build

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// selected are the units that a build would compile.
func selected(t testing.TB, opt Options) []string {
	t.Helper()
	tree := open(t, opt.Source)
	c, err := tree.comparedWith(pristine(t))
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKit(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	d, err := k.describe(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.generate(t.Context(), tree, d); err != nil {
		t.Fatal(err)
	}
	modules, err := k.plan(t.Context(), tree, d, c, 2)
	if err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, m := range modules {
		for _, u := range m.affected {
			units = append(units, u.Source)
		}
	}
	slices.Sort(units)
	return units
}

// closure resolves includes as a reader would: beside the file, then below
// csrc. It knows no conditions, which the headers tested here do not have.
func closure(t testing.TB, dir, target string) []string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^\s*#include\s+["<]([^">]+)[">]`)
	var reaches func(file string, seen map[string]bool) bool
	reaches = func(file string, seen map[string]bool) bool {
		if file == target {
			return true
		}
		if seen[file] {
			return false
		}
		seen[file] = true
		for _, m := range line.FindAllStringSubmatch(read(t, filepath.Join(dir, file)), -1) {
			for _, at := range []string{filepath.Join(filepath.Dir(file), m[1]), filepath.Join("csrc", m[1])} {
				if info, err := os.Stat(filepath.Join(dir, at)); err == nil && !info.IsDir() {
					if reaches(at, seen) {
						return true
					}
					break
				}
			}
		}
		return false
	}
	var units []string
	err := filepath.WalkDir(filepath.Join(dir, "csrc"), func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if slices.Contains([]string{".cu", ".cpp"}, filepath.Ext(path)) && reaches(rel, map[string]bool{}) {
			units = append(units, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(units)
	return units
}

func TestHeaderSelectsItsUnits(t *testing.T) {
	const header = "csrc/libtorch_stable/type_convert.cuh"
	dir := edited(t, header, "#pragma once", "#pragma once\n// changed")
	got := selected(t, Options{Source: dir, Device: CUDA, Archs: []string{"9.0"}})
	want := []string{
		"csrc/libtorch_stable/fused_deepseek_v4_qnorm_rope_kv_insert_kernel.cu",
		"csrc/libtorch_stable/fused_minimax_m3_qknorm_rope_kv_insert_kernel.cu",
		"csrc/libtorch_stable/fused_qknorm_rope_kernel.cu",
		"csrc/libtorch_stable/layernorm_kernels.cu",
		"csrc/libtorch_stable/layernorm_quant_kernels.cu",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("units of %s (-want +got):\n%s", header, diff)
	}
	if diff := cmp.Diff(closure(t, dir, header), got); diff != "" {
		t.Errorf("another account of them (-want +got):\n%s", diff)
	}
}

func TestCPUHeaderSelectsItsUnits(t *testing.T) {
	const header = "csrc/cpu/cpu_attn_vec.hpp"
	dir := edited(t, header, "namespace cpu_attention", "// changed\nnamespace cpu_attention")
	got := selected(t, Options{Source: dir, Device: CPU})
	if diff := cmp.Diff([]string{"csrc/cpu/cpu_attn.cpp"}, got); diff != "" {
		t.Error(diff)
	}
}

// vLLM's CMake files, evaluated, give single files what vLLM's build gives them.
func TestDescriptionOfVLLM(t *testing.T) {
	tests := []struct {
		name           string
		device         Device
		module, source string
		want           []string // among all options of the unit
		without        string
	}{
		{"AVX2", CPU, "_C_AVX2", "csrc/cpu/pos_encoding.cpp", []string{"-fopenmp", "-DVLLM_CPU_EXTENSION", "-mavx2", "TORCH_EXTENSION_NAME=_C_AVX2"}, "-mavx512f"},
		{"AVX512", CPU, "_C_AVX512", "csrc/cpu/cpu_wna16.cpp", []string{"-mavx512f", "TORCH_EXTENSION_NAME=_C_AVX512"}, "-mavx512bf16"},
		{"AMX", CPU, "_C", "csrc/cpu/sgl-kernels/gemm.cpp", []string{"-mavx512bf16", "-mamx-bf16", "CPU_CAPABILITY_AMXBF16"}, "-mavx2"},
		{"plain", CUDA, "_C_stable_libtorch", "csrc/libtorch_stable/activation_kernels.cu", []string{"arch=compute_90,code=sm_90", "--expt-relaxed-constexpr", "-DENABLE_FP8", "USE_CUDA", "TORCH_TARGET_VERSION=0x020B000000000000ULL"}, "-static-global-template-stub=false"},
		{"Marlin", CUDA, "_C_stable_libtorch", "csrc/libtorch_stable/quantization/marlin/marlin.cu", []string{"arch=compute_80,code=sm_80", "arch=compute_80,code=compute_80", "-static-global-template-stub=false"}, "arch=compute_90,code=sm_90"},
		{"only Hopper", CUDA, "_C_stable_libtorch", "csrc/libtorch_stable/cooperative_topk.cu", []string{"arch=compute_90a,code=sm_90a"}, "arch=compute_90,code=sm_90"},
		{"MoE", CUDA, "_moe_C_stable_libtorch", "csrc/libtorch_stable/moe/moe_wna16.cu", []string{"arch=compute_90,code=sm_90"}, "arch=compute_80,code=sm_80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opt := Options{Device: tt.device}
			if tt.device == CUDA {
				opt.Archs = []string{"9.0"}
			}
			k, err := newKit(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			d, err := k.describe(t.Context(), open(t, pristine(t)))
			if err != nil {
				t.Fatal(err)
			}
			options := optionsOf(d, tt.module, tt.source)
			for _, want := range tt.want {
				if !slices.Contains(options, want) {
					t.Errorf("%s: no %s in %v", tt.source, want, options)
				}
			}
			if slices.Contains(options, tt.without) {
				t.Errorf("%s: %s in %v", tt.source, tt.without, options)
			}
		})
	}
}

func TestGeneratorSelectsUnitsOfItsHeader(t *testing.T) {
	dir := edited(t, attentionDispatch, "def main():", "# changed\ndef main():")
	if diff := cmp.Diff([]string{"csrc/cpu/cpu_attn.cpp"}, selected(t, Options{Source: dir, Device: CPU})); diff != "" {
		t.Error(diff)
	}
}

// Units that need CUTLASS are found, and refused before anything is compiled.
func TestHeaderOfUnitsThatNeedCUTLASS(t *testing.T) {
	if os.Getenv("VLLM_CUTLASS_SRC_DIR") != "" {
		t.Setenv("VLLM_CUTLASS_SRC_DIR", "")
	}
	const header = "csrc/libtorch_stable/quantization/w8a8/cutlass/c3x/scaled_mm_helper.hpp"
	dir := edited(t, header, "#include", "// changed\n#include")
	_, err := Store{t.TempDir()}.Build(t.Context(), Options{Name: "x", Source: dir, Pristine: pristine(t), Device: CUDA, Archs: []string{"9.0"}})
	if err == nil || !strings.Contains(err.Error(), "which is not on this machine: set VLLM_CUTLASS_SRC_DIR to a checkout of CUTLASS, or build the whole module with --full") {
		t.Errorf("error %v", err)
	}
}

func TestHeaderOfLinkedLibraryIsRefused(t *testing.T) {
	dir := edited(t, "csrc/cpu/dnnl_helper.h", "#include", "// changed\n#include")
	_, err := Store{t.TempDir()}.Build(t.Context(), Options{Name: "x", Source: dir, Pristine: pristine(t), Device: CPU})
	if want := "csrc/cpu/dnnl_helper.cpp, which the change may reach, is part of dnnl_ext and registers no op: build the whole module with --full"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func optionsOf(d Description, module, source string) []string {
	for _, m := range d.Modules {
		for _, u := range m.Units {
			if m.Name == module && u.Source == source {
				return slices.Concat(m.Defines, m.CXX, m.CUDA, u.CXX, u.CUDA)
			}
		}
	}
	return nil
}

// Every registration in vLLM's own sources is understood.
func TestRegistrationsOfVLLM(t *testing.T) {
	for file, want := range map[string][]string{
		"csrc/cpu/torch_bindings.cpp":                 {"_C::rotary_embedding CPU rotary_embedding", "_C::expand_kernel_impl CompositeImplicitAutograd cpu_utils::expand_kernel_impl", "_C::dynamic_4bit_int_moe CPU dynamic_4bit_int_moe_cpu", "_C::onednn_mm CPU onednn_mm"},
		"csrc/libtorch_stable/torch_bindings.cpp":     {"_C::silu_and_mul_with_clamp CUDA silu_and_mul_clamp", "_C::scaled_fp4_quant.out CUDA scaled_fp4_quant_out", "_C_cache_ops::swap_blocks_batch CPU swap_blocks_batch", "_C_cuda_utils::get_device_attribute CompositeExplicitAutograd get_device_attribute", "_C_custom_ar::all_reduce CUDA all_reduce"},
		"csrc/libtorch_stable/moe/torch_bindings.cpp": {"_moe_C::topk_softmax CUDA topk_softmax", "_moe_C::moe_permute_sort_workspace_size CompositeExplicitAutograd moe_permute_sort_workspace_size"},
	} {
		text := read(t, filepath.Join(pristine(t), file))
		var got []string
		impls := 0
		for _, r := range registrations(text) {
			got = append(got, r.Name()+" "+r.Key+" "+r.Function)
			if r.Function == "" {
				t.Errorf("%s:%d: %s has no function", file, r.Line, r.Name())
			}
			if r.Key != "CompositeImplicitAutograd" {
				impls++
			}
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %q is missing", file, w)
			}
		}
		if n := len(regexp.MustCompile(`(?m)^\s*\w+\.impl\(`).FindAllString(text, -1)); n != impls {
			t.Errorf("%s has %d calls of impl, %d were read", file, n, impls)
		}
	}
}
