package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/abtest"
	"stepbench/build"
)

func TestCompareCode(t *testing.T) {
	a := build.Kernels{"8.0": {"silu": "1", "gelu": "2"}, "9.0": {"silu": "3", "gelu": "4"}}
	b := build.Kernels{"9.0": {"silu": "3", "gelu": "5", "new": "6"}}
	names := map[string]bool{"silu": true, "gelu": true, "new": true}
	want := map[string]abtest.Code{"silu": abtest.CodeSame, "gelu": abtest.CodeChanged, "new": abtest.CodeUnknown}
	if diff := cmp.Diff(want, compareCode([2]build.Kernels{a, b}, names)); diff != "" {
		t.Error(diff)
	}
	both := build.Kernels{"8.0": {"silu": "1"}, "9.0": {"silu": "9"}}
	if got := compareCode([2]build.Kernels{a, both}, map[string]bool{"silu": true})["silu"]; got != abtest.CodeChanged {
		t.Errorf("code that changed for one architecture of two: %s", got)
	}
}
