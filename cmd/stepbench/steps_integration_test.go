//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"stepbench/bench/micro"
	"stepbench/engine"
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
	Core        float64  `json:"core_us"`
	Unaccounted float64  `json:"unaccounted_us"`
	Bridge      float64  `json:"bridge_us"`
	GraphMode   string   `json:"graph_mode"`
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
	sum := r.Schedule + r.Execute + r.Sample + r.Update + r.Output + r.Stats + r.Core + r.Unaccounted
	if diff := sum - r.Wall.Median; diff > 0.01*r.Wall.Median || diff < -0.01*r.Wall.Median {
		t.Errorf("%s %d × %d: parts add up to %.1f µs, the wall is %.1f", r.Phase, r.Batch, r.Context, sum, r.Wall.Median)
	}
	if r.Core <= 0 || r.GraphMode != "NONE" {
		t.Errorf("%s %d × %d: core %.1f µs, graph mode %q", r.Phase, r.Batch, r.Context, r.Core, r.GraphMode)
	}
	t.Logf("%s %d × %d: %.1f µs, %.1f of them (%.2f %%) in no part", r.Phase, r.Batch, r.Context, r.Wall.Median, r.Unaccounted, 100*r.Unaccounted/r.Wall.Median)
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
	checkTrace(t, filepath.Join(dir, "trace.json"), len(rows))
	for _, name := range []string{"steps.parquet", "trace.json", "heat.png", "heat.svg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// checkTrace asserts that each cell is in the trace, and that ops ran inside steps.
func checkTrace(t *testing.T, path string, cells int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Events []struct {
			Name, Ph string
			Pid, Tid int64
			Ts, Dur  float64
			Args     map[string]any
		} `json:"traceEvents"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	process, thread := map[int64]string{}, map[[2]int64]string{}
	named, inside := 0, 0
	var steps [][2]float64
	for _, e := range doc.Events {
		switch {
		case e.Name == "process_name":
			process[e.Pid] = e.Args["name"].(string)
		case e.Name == "thread_name":
			thread[[2]int64{e.Pid, e.Tid}] = e.Args["name"].(string)
		case e.Name == "LLMEngine.step":
			steps = append(steps, [2]float64{e.Ts, e.Ts + e.Dur})
		case e.Ph == "X" && thread[[2]int64{e.Pid, e.Tid}] == "cell":
			named++
		}
	}
	for _, e := range doc.Events {
		if e.Name != "_C::onednn_mm" || process[e.Pid] != "ops" {
			continue
		}
		for _, s := range steps {
			if e.Ts >= s[0] && e.Ts+e.Dur <= s[1] {
				inside++
				break
			}
		}
	}
	// Nine matrix products in each of at least one profiled step.
	if named != cells || inside < 9*cells {
		t.Errorf("%d cells and %d matrix products inside steps in the trace, want %d and at least %d", named, inside, cells, 9*cells)
	}
}

// Two runs of a grid on one engine: how many of their intervals meet. The share
// is recorded; it is asserted only where other programs left the CPUs alone, for
// what they do between two runs is no error of either. Even then half is asked
// for: of eight shapes one may miss by chance, and then it is seven.
func TestGridsAgree(t *testing.T) {
	cfg := engine.Config{
		Model: tinyModel(t), DType: "float32", MaxNumSeqs: 8, MaxNumBatchedTokens: 512,
		KVCacheBytes: 64 << 20, EnforceEager: true, SkipTokenizer: true,
	}
	remote, err := engine.OpenRemote(t.Context(), cfg, engine.WorkerOptions{
		Command: []string{buildStepbench(t), "worker"},
		Env:     []string{"OMP_NUM_THREADS=1"}, // spinning threads on busy cores would wait for each other
	})
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	grid := micro.Grid{Phases: []micro.Phase{micro.Prefill, micro.Decode}, Batches: []int{1, 4}, Contexts: []int{48, 96}}
	cells, err := grid.Cells()
	if err != nil {
		t.Fatal(err)
	}
	conditions := micro.AskConditions(remote.Call)
	var runs [2]*micro.Results
	quiet := true
	for i := range runs {
		before, err1 := conditions(t.Context())
		res, err2 := micro.Run(t.Context(), remote, cells, micro.Options{Rules: micro.QuickRules(), Seed: 1, Model: cfg.Model, Conditions: conditions})
		after, err3 := conditions(t.Context())
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		runs[i] = res
		foreign := float64(after.HostCPUNs-before.HostCPUNs-(after.ProcessCPUNs-before.ProcessCPUNs)) /
			float64(after.AtNs-before.AtNs) / float64(after.HostCPUs)
		t.Logf("run %d: other processes used %.0f %% of the CPUs", i+1, 100*foreign)
		quiet = quiet && foreign < 0.05
	}
	got := micro.Agree(runs[0], runs[1])
	t.Logf("%d of %d shapes agree; apart: %v", got.Agree, got.Cells, got.Apart)
	if got.Cells != len(cells) {
		t.Errorf("%d of %d shapes have an interval in both runs", got.Cells, len(cells))
	}
	if quiet && 2*got.Agree < got.Cells {
		t.Errorf("on a quiet machine %d of %d shapes agree", got.Agree, got.Cells)
	}
}

// tinyModel is the preset "tiny", with its files.
func tinyModel(t *testing.T) engine.Model {
	t.Helper()
	model, err := resolveModel(t.Context(), "tiny")
	if err != nil {
		t.Fatal(err)
	}
	return model
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
