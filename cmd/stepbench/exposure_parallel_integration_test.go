//go:build integration && parallel

package main

import "testing"

// TestParallelNothingIsReachable: other users and machines can reach nothing of a
// worker and its ranks.
func TestParallelNothingIsReachable(t *testing.T) {
	model := tinyLlama(t)
	s := begin(t, nil, "--model", model.Path, "--tp", "2", "--dtype", "float32", "--max-model-len", "256", "--rate", "20",
		"--requests", "4000", "--output-len", "32")
	s.worker(t)
	f := familyOf(s.cmd.Process.Pid)
	if found := exposedBeyond(t, append([]int{f.parent, f.worker}, f.all...)...); len(found) > 0 {
		t.Errorf("others can reach %q", found)
	}
}
