//go:build integration && slow

package main

import (
	"bytes"
	"strings"
	"testing"

	"stepbench/bench/abtest/estimate"
)

// repeats of attention, which is a small part of a short step. It gives the same
// output each time: its only state is a counter that it sets back itself.
const attentionRepeats = "30"

// Attention is the largest unit of csrc/cpu, and most of it is in headers: a
// change of the source file and one of a header alone must both reach the engine.
func TestABOfAttention(t *testing.T) {
	t.Setenv("STEPBENCH_VARIANTS", t.TempDir())
	pool := &workers{model: cutModel(t), stepbench: buildStepbench(t), open: map[string]*keptArm{}}
	start := openArm
	openArm = pool.arm
	t.Cleanup(func() { openArm = start; pool.release("") })
	for _, tt := range []struct {
		name, file, before, after string
	}{
		{"source", "csrc/cpu/cpu_attn.cpp", "mainloop(&input);",
			"for (int repeat = 0; repeat < " + attentionRepeats + "; ++repeat) mainloop(&input);"},
		{"header", "csrc/cpu/cpu_attn_impl.hpp", "void operator()(const AttentionInput* input) {\n",
			`void operator()(const AttentionInput* input) {
    static bool inside = false;
    if (!inside) {
      inside = true;
      for (int repeat = 1; repeat < ` + attentionRepeats + `; ++repeat) (*this)(input);
      inside = false;
    }
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := sourceTree(t, tt.file, func(source string) string {
				if strings.Count(source, tt.before) != 1 {
					t.Fatalf("%s has %q %d times", tt.file, tt.before, strings.Count(source, tt.before))
				}
				return strings.Replace(source, tt.before, tt.after, 1)
			})
			var stdout, stderr bytes.Buffer
			if code := run([]string{"stepbench", "build", tt.name, "--source", tree}, &stdout, &stderr); code != exitOK {
				t.Fatalf("build: exit %d\n%s", code, stderr.String())
			}
			t.Log(strings.TrimSpace(stdout.String()))
			c := compare(t, pool, "stock", tt.name)
			c.expect(t, estimate.Slower, exitRegression)
			if c.result.Outputs.Status != "IDENTICAL" {
				t.Fatalf("outputs %s\n%s", c.result.Outputs.Status, c.stderr)
			}
			if top := c.result.Cells[0].Kernels[0]; top.Name() != "_C::cpu_attention_with_kv_cache" || !top.Target {
				t.Errorf("the largest change is of %s", top.Name())
			}
			pool.release(tt.name)
		})
	}
}
