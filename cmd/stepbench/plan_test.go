package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stepbench/internal/golden"
)

func TestPlan(t *testing.T) {
	const steps = "../../docs/benchmarks/h200/llama-2-7b.jsonl"
	tests := []struct {
		name string
		args []string
	}{
		{"plan-h200.md", []string{"--model", "llama-2-7b", "--gpus", "4", "--device", "h200", "--measured", steps}},
		{"plan-across.md", []string{"--model", "llama-2-13b", "--device", "a100-40g", "--measured", steps, "--measured-device", "h200", "--batch", "8"}},
		{"plan-refused.md", []string{"--model", "smollm2-135m", "--gpus", "2", "--device", "a100-40g", "--link-gb-s", "pcie5", "--batch", "8"}},
		{"plan-does-not-fit.json", []string{"--model", "llama-2-13b", "--gpus", "2", "--device", "24GiB", "-o", "json"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			var out, errs bytes.Buffer
			if code := run(append([]string{"stepbench", "plan"}, tt.args...), &out, &errs); code != exitOK {
				t.Fatalf("exit %d: %s", code, errs.String())
			}
			if !strings.Contains(strings.ToLower(out.String()), "estimate") {
				t.Error("the plan is not labelled as an estimate")
			}
			golden.Check(t, filepath.Join("testdata", tt.name), out.Bytes())
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	empty := filepath.Join(t.TempDir(), "empty.jsonl")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	base := []string{"stepbench", "plan", "--model", "gpt2", "--device", "h200"}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--model", ""}, "no model given"},
		{[]string{"--model", "lama-2-7b"}, "did you mean"},
		{[]string{"--model", "org/name"}, "not known here"},
		{[]string{"--device", "h300"}, "choose one of h200"},
		{[]string{"--gpus", "0"}, "--gpus 0"},
		{[]string{"--gpus", "65"}, "at most 64"},
		{[]string{"--context", "4k"}, "1024 positions"},
		{[]string{"--context", "1,2"}, "one number"},
		{[]string{"--dtype", "fp8"}, "--dtype"},
		{[]string{"--gpu-memory-utilization", "1.5"}, "share"},
		{[]string{"--tflops", "NaN"}, "--tflops"},
		{[]string{"--link-gb-s", "nvlink9"}, "--link-gb-s"},
		{[]string{"--measured", "/nowhere"}, "/nowhere"},
		{[]string{"--measured", empty}, "--no-attribution"},
		{[]string{"--device", "80GiB", "--measured", "../../docs/benchmarks/h200/gpt2.jsonl"}, "say where they were measured"},
		{[]string{"-o", "csv"}, "want one of md, json"},
		{[]string{"x"}, "no arguments"},
	} {
		var out, errs bytes.Buffer
		// A later flag of the same name wins.
		if code := run(append(append([]string{}, base...), tt.args...), &out, &errs); code != exitUsage || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%v: exit %d, %q; want %d and %q", tt.args, code, errs.String(), exitUsage, tt.want)
		}
	}
}
