package build

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIncluders(t *testing.T) {
	dir := tree(t, t.TempDir(), map[string]string{
		"csrc/direct.cu":       "#include \"sub/changed.cuh\"\n",
		"csrc/indirect.cu":     "  #  include <middle.h>\n",
		"csrc/middle.h":        "#if 0\n#include \"changed.cuh\"\n#endif\n",
		"csrc/sub/changed.cuh": "//\n",
		"csrc/other.cu":        "// #include \"changed.cuh\" is not in the first column\n#include \"a.h\"\n",
		"csrc/computed.cu":     "#define HEADER \"x.h\"\n#include HEADER\n",
	})
	reach, err := new(kit).includers(open(t, dir), []string{"csrc/sub/changed.cuh"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"csrc/computed.cu", "csrc/direct.cu", "csrc/indirect.cu", "csrc/middle.h", "csrc/sub/changed.cuh"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(reach))); diff != "" {
		t.Error(diff)
	}
}

func TestIncludersThroughGeneratedHeader(t *testing.T) {
	dir := tree(t, t.TempDir(), map[string]string{"csrc/cpu/cpu_attn.cpp": "#include \"cpu_attn_dispatch_generated.h\"\n", "csrc/cpu/cpu_attn_vec.hpp": "//\n"})
	k := &kit{generated: []string{t.TempDir(), filepath.Join(dir, "csrc", "cpu")}}
	write(t, k.generated[0], dispatchHeader, "#include \"cpu_attn_vec.hpp\"\n")
	reach, err := k.includers(open(t, dir), []string{"csrc/cpu/cpu_attn_vec.hpp"})
	if err != nil || !reach["csrc/cpu/cpu_attn.cpp"] {
		t.Errorf("reached %v, error %v", reach, err)
	}
}

func TestMakeRule(t *testing.T) {
	got := makeRule("a.o : /tree/a.cu \\\n    /tree/with\\ space/b.h \\\n  /tree/x/../c.h\n")
	if diff := cmp.Diff([]string{"/tree/a.cu", "/tree/with space/b.h", "/tree/c.h"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestParallelRunsAllOrStopsAtFirstError(t *testing.T) {
	var done atomic.Int32
	if err := parallel(t.Context(), 3, 20, func(context.Context, int) error { done.Add(1); return nil }); err != nil || done.Load() != 20 {
		t.Errorf("%d tasks ran, error %v", done.Load(), err)
	}
	failure := errors.New("failed")
	done.Store(0)
	err := parallel(t.Context(), 1, 20, func(_ context.Context, i int) error {
		done.Add(1)
		if i == 2 {
			return failure
		}
		return nil
	})
	if !errors.Is(err, failure) || done.Load() != 3 {
		t.Errorf("%d tasks ran, error %v", done.Load(), err)
	}
}

func TestPickISA(t *testing.T) {
	const all = "fpu avx2 fma avx512f avx512dq avx512bw avx512vl"
	for flags, want := range map[string]ISA{
		"fpu avx2 fma":             {"AVX2", "_C_AVX2"},
		"avx2 fma avx512f":         {"AVX2", "_C_AVX2"},
		all:                        {"AVX512", "_C_AVX512"},
		all + " avx512_bf16":       {"AVX512BF16", "_C"},
		"avx2 avx512_bf16 avx512f": {"AVX2", "_C_AVX2"},
	} {
		if got := pickISA("processor\t: 0\nflags\t\t: "+flags+"\n", "amd64"); got != want {
			t.Errorf("flags %q: %v, want %v", flags, got, want)
		}
	}
	if got := pickISA("Features : asimd", "arm64"); got.Module != "_C" {
		t.Errorf("arm64: module %s", got.Module)
	}
}

func TestLockWaitsAndCanBeGivenUp(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(t.Context(), dir, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	given := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, err := lock(ctx, dir, func(string) { cancel(given) }); !errors.Is(err, given) {
		t.Errorf("a held lock: error %v", err)
	}
	unlock()
	again, err := lock(t.Context(), dir, func(line string) { t.Error(line) })
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestPruneKeepsWhatIsUsed(t *testing.T) {
	cache := t.TempDir()
	for _, name := range []string{"idle", "used"} {
		write(t, cache, name+"/file", "")
		old := time.Now().Add(-2 * unused)
		if err := os.Chtimes(filepath.Join(cache, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	use(filepath.Join(cache, "used"))
	prune(cache, time.Now())
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != 1 || left[0].Name() != "used" {
		t.Errorf("left: %v, %v", left, err)
	}
}
