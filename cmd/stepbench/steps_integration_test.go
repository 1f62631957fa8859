//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// stepsRow is what the tests read of a JSONL row.
type stepsRow struct {
	Phase     string
	Batch     int
	Context   int
	Steps     int
	Discarded int
	Wall      struct {
		Median float64
		CI95   [2]float64 `json:"ci95"`
	} `json:"wall_us"`
	Schedule    float64  `json:"schedule_us"`
	Execute     float64  `json:"execute_us"`
	Sample      float64  `json:"sample_us"`
	Update      float64  `json:"update_us"`
	Output      float64  `json:"output_us"`
	Stats       float64  `json:"stats_us"`
	Unaccounted float64  `json:"unaccounted_us"`
	Bridge      float64  `json:"bridge_us"`
	DeviceBusy  *float64 `json:"device_busy_us"`
	Top         []struct {
		Name  string
		Calls float64
		Us    float64
	}
}

// measured runs "steps" on the tiny preset with real vLLM.
func measured(t *testing.T, args ...string) []stepsRow {
	t.Helper()
	base := []string{"steps", "--model", "tiny", "--eager", "--profile", "quick", "--kv-cache-mib", "64", "-o", "jsonl"}
	cmd := exec.Command(buildStepbench(t), append(base, args...)...)
	// The worker library and the shim are where make put them.
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var rows []stepsRow
	for dec := json.NewDecoder(&stdout); dec.More(); {
		var r stepsRow
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

func checkRow(t *testing.T, r stepsRow) {
	t.Helper()
	if r.Steps == 0 || r.Discarded > r.Steps/10 {
		t.Errorf("%s %d × %d: %d steps kept, %d discarded", r.Phase, r.Batch, r.Context, r.Steps, r.Discarded)
	}
	sum := r.Schedule + r.Execute + r.Sample + r.Update + r.Output + r.Stats + r.Unaccounted
	if diff := sum - r.Wall.Median; diff > 0.01*r.Wall.Median || diff < -0.01*r.Wall.Median {
		t.Errorf("%s %d × %d: parts add up to %.1f µs, the wall is %.1f", r.Phase, r.Batch, r.Context, sum, r.Wall.Median)
	}
}

// A grid with attribution: every shape is measured, and the ops that must run
// in it did.
func TestStepsWithRealVLLM(t *testing.T) {
	dir := t.TempDir()
	rows := measured(t, "--batch", "1,4", "--context", "64,128", "--phase", "prefill,decode,mixed", "--chunk", "32",
		"--raw", filepath.Join(dir, "steps.parquet"), "--trace", filepath.Join(dir, "trace.json"), "--figure", filepath.Join(dir, "heat"))
	if len(rows) != 12 {
		t.Errorf("%d rows for 2 × 2 × 3 shapes", len(rows))
	}
	for _, r := range rows {
		checkRow(t, r)
		if r.Bridge <= 0 {
			t.Errorf("%s %d × %d: bridge %.1f µs", r.Phase, r.Batch, r.Context, r.Bridge)
		}
		products := 0.0
		for _, op := range r.Top {
			if op.Name == "_C::onednn_mm" {
				products = op.Calls
			}
		}
		// Four linear layers in each of two layers, and the output head.
		if r.DeviceBusy == nil || products != 9 {
			t.Errorf("%s %d × %d: %v matrix products a step, want 9: %v", r.Phase, r.Batch, r.Context, products, r.Top)
		}
	}
	for _, name := range []string{"steps.parquet", "trace.json", "heat.png", "heat.svg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same shape under the other hosts: a worker inside the python executable,
// and a Python loop without Go.
func TestHostsWithRealVLLM(t *testing.T) {
	for _, host := range []string{"python", "plain"} {
		t.Run(host, func(t *testing.T) {
			rows := measured(t, "--host", host, "--no-attribution", "4q1s64")
			if len(rows) != 1 || rows[0].Phase != "decode" || rows[0].Batch != 4 {
				t.Fatalf("rows %+v", rows)
			}
			checkRow(t, rows[0])
		})
	}
}
