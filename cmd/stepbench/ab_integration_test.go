//go:build integration

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/archive"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/telemetry"
	"stepbench/engine"
)

// rotary is the source file of the one op of csrc/cpu that an eager engine calls
// on x86 and that its outputs depend on by itself.
const rotary = "csrc/cpu/pos_encoding.cpp"

const dispatch = `        if (is_neox) {
          rotary_embedding_impl(`

// edits are changes of rotary, by variant.
var edits = map[string]func(source string) string{
	"unchanged": func(source string) string { return source },
	// The work is repeated on copies that nobody reads.
	"slow": func(source string) string {
		return strings.Replace(source, dispatch, `        torch::Tensor q = query.clone(), k = key->clone();
        for (int repeat = 0; repeat < 400; ++repeat) {
          rotary_embedding_impl(
              positions.data_ptr<int64_t>(), q.data_ptr<scalar_t>(),
              k.data_ptr<scalar_t>(), cos_sin_cache.data_ptr<scalar_t>(),
              rot_dim, q.stride(-2), k.stride(-2), num_heads, num_kv_heads,
              head_size, num_tokens);
        }
`+dispatch, 1)
	},
	"wrong": func(source string) string {
		return strings.Replace(source, "fp32_q_y * fp32_cos + fp32_q_x * fp32_sin", "fp32_q_y * fp32_cos - fp32_q_x * fp32_sin", 1)
	},
	// Late enough that something has been measured before.
	"crash": func(source string) string {
		return strings.Replace(source, dispatch, `        static int calls = 0;
        if (++calls > 1000) *(volatile int*)nullptr = 0;
`+dispatch, 1)
	},
}

// workers keeps the workers of comparisons, since to start one takes longer than
// to measure with it. A launch is then one pair of processes for several
// comparisons.
type workers struct {
	model     string
	stepbench string // the program whose workers they are
	mu        sync.Mutex
	open      map[string]*keptArm
}

type keptArm struct {
	abtest.Arm
}

func (keptArm) Close() error { return nil }

func (w *workers) arm(ctx context.Context, cfg engine.Config, opt engine.WorkerOptions, launch int) (abtest.Arm, error) {
	name := engine.Stock
	if cfg.Variant != nil {
		name = cfg.Variant.Name
	}
	key := fmt.Sprintf("%s %d", name, launch)
	w.mu.Lock()
	kept := w.open[key]
	w.mu.Unlock()
	if kept != nil {
		return kept, nil
	}
	opt.Command = []string{w.stepbench, "worker"}
	arm, err := engine.OpenRemote(ctx, cfg, opt)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[key] = &keptArm{arm}
	return w.open[key], nil
}

// release ends the workers of a side.
func (w *workers) release(side string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, arm := range w.open {
		if side == "" || strings.HasPrefix(key, side+" ") {
			_ = arm.Arm.Close()
			delete(w.open, key)
		}
	}
}

// compared is what one comparison left.
type compared struct {
	exit           int
	stdout, stderr string
	evidence       *abtest.Evidence
	result         abtest.Result
}

// stolen says that the machine gave so much time to others that every verdict is
// INVALID, whatever the kernels do: CI machines have neighbours.
func (c compared) stolen() bool {
	for _, g := range c.result.Gates {
		if g.Name == telemetry.StealName && g.Status == abtest.Fail {
			return true
		}
	}
	return false
}

// expect wants a verdict and its exit code, or, on a machine whose time is
// stolen, INVALID over launches that say the same. For SAME they need not: what
// they must never say is that unchanged code is FASTER or SLOWER.
func (c compared) expect(t *testing.T, want estimate.Verdict, exit int) {
	t.Helper()
	got := c.result.Verdict
	if c.stolen() {
		if got != estimate.Invalid {
			t.Errorf("%s in spite of the gates", got)
		}
		got, _ = c.result.Kernel.Overall()
		if want == estimate.Same && got == estimate.Inconclusive {
			got = want
		}
		exit = exitInvalid
	}
	if c.exit != exit || got != want {
		t.Fatalf("exit %d, %s (%s), A/A %q\n%s", c.exit, got, c.result.Reason, c.result.Identical, c.stderr)
	}
}

// margin is that of the comparisons. Processes on two shared cores differ by some
// percent for life, mostly in matrix products that wait for memory, so three
// launches cannot show the plan's own 5 % everywhere; what the kernels under test
// change is far more.
const margin = "20%"

// compare measures once more, with new workers, where something disturbed the
// machine so much that the verdict is INCONCLUSIVE. A wrong one is not tried
// again.
func compare(t *testing.T, pool *workers, args ...string) compared {
	t.Helper()
	c := compareOnce(t, pool.model, args...)
	if c.exit == exitInconclusive {
		pool.release("")
		c = compareOnce(t, pool.model, args...)
	}
	return c
}

func compareOnce(t *testing.T, model string, args ...string) compared {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "results")
	var stdout, stderr bytes.Buffer
	all := append([]string{
		"stepbench", "ab", "--model", model, "--eager", "--shapes", "4q1s64", "--plan", "ci", "--max-model-len", "256", "--kv-cache-mib", "64",
		"--delta", margin, "--prompts", "4", "--output-len", "8", "--out", dir, "-o", "pr",
	}, args...)
	c := compared{exit: run(all, &stdout, &stderr), stdout: stdout.String(), stderr: stderr.String()}
	t.Logf("%s: exit %d\n%s", strings.Join(args, " "), c.exit, c.stdout)
	_, ev, err := archive.Open(dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, c.stderr)
	}
	c.evidence = ev
	text, err := os.ReadFile(filepath.Join(dir, archive.VerdictFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c.result); err != nil {
		t.Fatal(err)
	}
	for _, g := range c.result.Gates {
		if g.Status != abtest.Pass {
			t.Logf("gate %s: %s (%s)", g.Name, g.Status, g.Detail)
		}
	}
	return c
}

// cutModel has the first layers and tokens of SmolLM2-135M-Instruct: real
// weights, so that outputs mean what they do in a model of use, and short steps.
func cutModel(t *testing.T) string {
	t.Helper()
	source, target := "../../models/smollm2-135m-instruct", filepath.Join(t.TempDir(), "smollm2-cut")
	const layers, vocab = "6", "4096"
	cmd := exec.Command("../../.venv/bin/python", "testdata/cut_model.py", source, target, layers, vocab)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\nrun make model", err, out)
	}
	return target
}

// sourceTree is a copy of the pristine csrc with file edited.
func sourceTree(t *testing.T, file string, edit func(string) string) string {
	t.Helper()
	pristine, tree := "../../out/vllm-source", t.TempDir()
	for _, name := range []string{"csrc", "cmake", "CMakeLists.txt", "PKG-INFO", "setup.py", "vllm"} {
		if out, err := exec.Command("cp", "-r", filepath.Join(pristine, name), tree).CombinedOutput(); err != nil {
			t.Fatalf("%s: run make vllm-source", out)
		}
	}
	path := filepath.Join(tree, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(edit(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	return tree
}

// buildVariants compiles every edit and an op that an engine never calls.
func buildVariants(t *testing.T) {
	t.Helper()
	t.Setenv("STEPBENCH_VARIANTS", t.TempDir())
	compile := func(name, file string, edit func(string) string) {
		tree := sourceTree(t, file, edit)
		var stdout, stderr bytes.Buffer
		if code := run([]string{"stepbench", "build", name, "--source", tree, "--files", file}, &stdout, &stderr); code != exitOK {
			t.Fatalf("build %s: exit %d\n%s", name, code, stderr.String())
		}
		t.Log(strings.TrimSpace(stdout.String()))
	}
	for name, edit := range edits {
		compile(name, rotary, edit)
	}
	compile("idle", "csrc/cpu/activation.cpp", func(source string) string { return source })
}

// A change of a CPU kernel is judged inside the real engine, from the source
// file to the exit code.
func TestABOfRealKernels(t *testing.T) {
	buildVariants(t)
	pool := &workers{model: cutModel(t), stepbench: buildStepbench(t), open: map[string]*keptArm{}}
	start := openArm
	openArm = pool.arm
	t.Cleanup(func() { openArm = start; pool.release("") })
	const target = "_C::rotary_embedding"

	t.Run("unchanged is SAME", func(t *testing.T) {
		c := compare(t, pool, "stock", "unchanged")
		c.expect(t, estimate.Same, exitOK)
		if c.result.Identical == "" {
			t.Error("not recognised as A/A")
		}
		if c.result.Outputs.Status != "IDENTICAL" || !strings.Contains(c.stdout, "A/A") {
			t.Errorf("outputs %s", c.result.Outputs.Status)
		}
	})
	for _, tt := range []struct {
		name, a, b string
		want       estimate.Verdict
		exit       int
	}{
		{"slow is SLOWER", "stock", "slow", estimate.Slower, exitRegression},
		{"unchanged is FASTER than slow", "slow", "unchanged", estimate.Faster, exitOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := compare(t, pool, tt.a, tt.b)
			c.expect(t, tt.want, tt.exit)
			if !strings.Contains(c.stdout, target) {
				t.Errorf("%s is not in the report", target)
			}
			if c.result.Outputs.Status != "IDENTICAL" {
				t.Errorf("outputs %s", c.result.Outputs.Status)
			}
			cell := c.result.Cells[0]
			top := cell.Kernels[0]
			if top.Name() != target || !top.Target || top.ShareFrac < 0.5 {
				t.Errorf("the largest change is of %s, %.0f %% of it", top.Name(), 100*top.ShareFrac)
			}
			if change := top.DeltaUs / cell.WallUs[abtest.ArmA]; change > -0.05 && change < 0.05 {
				t.Errorf("the op changes by %.1f %% of the step", 100*change)
			}
		})
	}
	pool.release("slow")
	pool.release("unchanged")

	t.Run("wrong values DIFFER", func(t *testing.T) {
		c := compare(t, pool, "stock", "wrong", "--launches", "1")
		first := c.result.Outputs.First
		if c.exit != exitDiffers || c.result.Outputs.Status != "DIFFERS" || first == nil || !strings.Contains(c.stdout, "OUTPUT DIFFERS") {
			t.Errorf("exit %d, outputs %s, first divergence %v\n%s", c.exit, c.result.Outputs.Status, first, c.stderr)
		}
		pool.release("wrong")
	})
	t.Run("a crash is INVALID", func(t *testing.T) {
		c := compare(t, pool, "stock", "crash", "--launches", "1")
		if c.exit != exitInvalid || c.evidence.Failure == nil || !strings.Contains(c.result.Reason, "crash (B): the worker died") {
			t.Fatalf("exit %d: %s\n%s", c.exit, c.result.Reason, c.stderr)
		}
		if log := strings.Join(c.evidence.Failure.Log, "\n"); !strings.Contains(log, "SIGSEGV") && !strings.Contains(log, "Segmentation fault") {
			t.Errorf("the worker's last lines do not name the fault:\n%s", log)
		}
		if len(c.evidence.Launches) != 1 || len(c.evidence.Launches[0].Bursts) == 0 {
			t.Error("the bursts before the crash are gone")
		}
	})
	t.Run("an op that never runs is INVALID", func(t *testing.T) {
		c := compare(t, pool, "stock", "idle", "--launches", "1")
		if c.exit != exitInvalid || !strings.Contains(c.result.Reason, "the engine never called") || !strings.Contains(c.result.Reason, "on a CPU vLLM runs torch's own code for silu_and_mul") {
			t.Errorf("exit %d: %s\n%s", c.exit, c.result.Reason, c.stderr)
		}
	})
}
