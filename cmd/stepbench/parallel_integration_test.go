//go:build integration && parallel

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/analysis"
	"stepbench/bench/micro"
	"stepbench/bench/record"
	"stepbench/build"
	"stepbench/engine"
)

const (
	parallelPrompts = 8
	parallelOutput  = 24 // tokens
	// nearTie is a difference of two tokens' logprobs that another order of
	// floating-point sums can turn.
	nearTie = 1e-3
)

func parallelConfig(model engine.Model, tp, pp int) engine.Config {
	return engine.Config{
		Model: model, DType: "float32", EnforceEager: true, MaxModelLen: 256, MaxNumSeqs: 8, MaxNumBatchedTokens: 512,
		KVCacheBytes: 64 << 20, SkipTokenizer: true, TP: tp, PP: pp,
	}
}

func openParallel(t *testing.T, cfg engine.Config) *engine.Remote {
	t.Helper()
	start := time.Now()
	e, err := engine.OpenRemote(t.Context(), cfg, engine.WorkerOptions{Command: []string{buildStepbench(t), "worker"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	t.Logf("tp=%d pp=%d open after %.0f s", cfg.TP, cfg.PP, time.Since(start).Seconds())
	return e
}

// greedy is what an engine answers, with the logprobs of the two likeliest tokens
// in each place.
type greedy struct {
	tokens   map[int64][]int32
	logprobs map[int64]engine.RequestLogprobs
}

// answer runs the prompts twice: as they would be measured, and for logprobs.
func answer(t *testing.T, e *engine.Remote) greedy {
	t.Helper()
	g := greedy{map[int64][]int32{}, map[int64]engine.RequestLogprobs{}}
	random, two := rand.New(rand.NewPCG(7, 7)), 2
	var plan, scored engine.Plan
	plan.KeepTokens = true
	for i := range parallelPrompts {
		prompt := make([]int32, 8+4*i)
		for k := range prompt {
			prompt[k] = int32(3 + random.IntN(tinyVocab-3))
		}
		r := engine.Request{ID: int64(i), Prompt: prompt, Sampling: engine.Sampling{MaxTokens: parallelOutput, IgnoreEOS: true}}
		plan.Arrivals = append(plan.Arrivals, engine.Arrival{Request: r, OffsetNs: int64(i) * 5e6})
		r.ID += 100
		r.Sampling.Logprobs = &two
		scored.Arrivals = append(scored.Arrivals, engine.Arrival{Request: r})
	}
	for _, p := range []engine.Plan{plan, scored} {
		if err := e.Run(t.Context(), p, func(b engine.Batch) error {
			for _, r := range b.Requests {
				complete(t, &r)
				if r.ID < 100 {
					g.tokens[r.ID] = r.Tokens
				}
			}
			for id, l := range b.Logprobs {
				g.logprobs[id-100] = l
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.tokens) != parallelPrompts || len(g.logprobs) != parallelPrompts {
		t.Fatalf("%d answers, %d with logprobs", len(g.tokens), len(g.logprobs))
	}
	return g
}

// complete checks that vLLM's metrics of a request are all there and in order.
func complete(t *testing.T, r *engine.RequestResult) {
	t.Helper()
	stamps := []int64{r.QueuedNs, r.ScheduledNs, r.FirstTokenNs, r.LastTokenNs, r.DeliveredNs}
	if slices.Contains(stamps, 0) || !slices.IsSorted(stamps) || r.EngineUnixNs == 0 || r.EngineTTFTNs <= 0 {
		t.Errorf("request %d: stamps %v, arrival %d, TTFT %d", r.ID, stamps, r.EngineUnixNs, r.EngineTTFTNs)
	}
	if r.Finish != engine.FinishLength || r.EngineOutputs != parallelOutput || r.OutputTokens != parallelOutput {
		t.Errorf("request %d ended as %s with %d tokens, the engine counted %d", r.ID, r.Finish, r.OutputTokens, r.EngineOutputs)
	}
	if r.ID < 100 && len(r.TokenNs) != parallelOutput {
		t.Errorf("request %d: %d stamps of tokens", r.ID, len(r.TokenNs))
	}
}

// agree compares greedy tokens. Where they part, only a near tie excuses it.
func agree(t *testing.T, what string, want, got greedy) {
	t.Helper()
	for id, tokens := range want.tokens {
		at := 0
		for at < len(tokens) && at < len(got.tokens[id]) && got.tokens[id][at] == tokens[at] {
			at++
		}
		if at == len(tokens) {
			continue
		}
		l := want.logprobs[id].Output
		place := l.Values[at*(1+l.Top):][:1+l.Top]
		gap := place[1] - place[2]
		t.Logf("%s: request %d parts at token %d, where the two likeliest are %g apart", what, id, at, gap)
		if gap > nearTie {
			t.Errorf("%s: request %d has other tokens: %v, want %v", what, id, got.tokens[id], tokens)
		}
	}
}

// A model answers the same however it is spread, and every rank is known.
func TestParallelAgrees(t *testing.T) {
	model := tinyLlama(t)
	var one greedy
	for _, shape := range [][2]int{{1, 1}, {2, 1}, {1, 2}, {2, 2}} {
		tp, pp := shape[0], shape[1]
		name := fmt.Sprintf("tp=%d pp=%d", tp, pp)
		t.Run(name, func(t *testing.T) {
			e := openParallel(t, parallelConfig(model, tp, pp))
			got := answer(t, e)
			if tp*pp == 1 {
				one = got
				if n := len(e.Info().Ranks); n != 0 {
					t.Errorf("%d ranks beside the worker", n)
				}
				return
			}
			if one.tokens == nil {
				t.Fatal("nothing to compare with")
			}
			agree(t, name, one, got)
			ranksKnown(t, e, tp, pp)
			if pp > 1 {
				queued(t, e)
			} else {
				collectives(t, e)
			}
			tag := filepath.Base(e.Info().Env["VLLM_RPC_BASE_PATH"])
			pids := []int{e.PID()}
			for _, r := range e.Info().Ranks {
				pids = append(pids, r.PID)
			}
			if err := e.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			nothingLeft(t, tag, pids)
		})
	}
}

func ranksKnown(t *testing.T, e *engine.Remote, tp, pp int) {
	t.Helper()
	info := e.Info()
	places := map[[2]int]bool{}
	for i, r := range info.Ranks {
		places[[2]int{r.TP, r.PP}] = true
		if r.Rank != i || r.PID == 0 || r.Threads < 1 || len(r.CPUs) != r.Threads || r.AttentionBackend == "" || len(r.Modules) == 0 {
			t.Errorf("rank %+v", r)
		}
	}
	if len(info.Ranks) != tp*pp || len(places) != tp*pp {
		t.Errorf("%d ranks in %d places", len(info.Ranks), len(places))
	}
	if got := strings.Count(info.Env["VLLM_CPU_OMP_THREADS_BIND"], "|"); got != tp*pp-1 {
		t.Errorf("bound to %q", info.Env["VLLM_CPU_OMP_THREADS_BIND"])
	}
	var use []engine.RankUse
	if err := e.Call(t.Context(), "ranks", nil, &use); err != nil {
		t.Fatal(err)
	}
	for i, u := range use {
		if u.Rank != i || u.CPUNs <= 0 || u.RSSBytes < 100<<20 {
			t.Errorf("use %+v", u)
		}
	}
}

// queued: calls are no steps, and whoever wants steps is told.
func queued(t *testing.T, e *engine.Remote) {
	t.Helper()
	if n := e.Info().QueuedBatches; n < 2 {
		t.Errorf("%d batches at a time", n)
	}
	if _, err := micro.NewDriver(e, 1, nil); !errors.Is(err, micro.ErrQueued) {
		t.Errorf("driver: %v", err)
	}
}

// collectives: a profiled burst knows in every rank how long it exchanged data.
func collectives(t *testing.T, e *engine.Remote) {
	t.Helper()
	if n := e.Info().QueuedBatches; n != 0 {
		t.Errorf("%d batches at a time", n)
	}
	requests := []engine.Request{{ID: 1000, Prompt: []int32{5, 6, 7}, Sampling: engine.Sampling{MaxTokens: 64, IgnoreEOS: true}}}
	script := engine.Script{Ops: []engine.Op{
		// The first profile pays for the profiler's own start.
		{Submit: requests, Steps: 1}, {Steps: 2, Profile: true}, {Steps: 8, Profile: true}, {Abort: true},
	}}
	var profiles []engine.Profile
	var wall, execute int64
	if err := e.Play(t.Context(), script, func(b engine.Batch) error {
		profiles = append(profiles, b.Profiles...)
		for i := range b.Steps {
			if s := &b.Steps[i]; s.Op == 2 {
				wall, execute = wall+s.WallNs(), execute+s.ExecuteNs+s.SampleNs
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(profiles) != 2 || len(profiles[1].Ranks) != len(e.Info().Ranks) {
		t.Fatalf("profiles %+v", profiles)
	}
	for _, row := range profiles[1].Rows[:min(6, len(profiles[1].Rows))] {
		t.Logf("%s: %d calls, %d µs", row.Name, row.Calls, row.SelfNs/1e3)
	}
	for _, r := range profiles[1].Ranks {
		t.Logf("rank %d: ops %d µs, of which collectives %d µs, of %d µs", r.Rank, r.SumNs/1e3, r.CollectiveNs/1e3, wall/1e3)
		if r.CollectiveNs <= 0 || r.CollectiveNs >= r.SumNs {
			t.Errorf("rank %+v", r)
		}
	}
	if float64(execute) < 0.5*float64(wall) {
		t.Errorf("execute and sample are %d of %d ns: waiting for ranks is not counted", execute, wall)
	}
}

// A changed kernel runs in every rank, and each proves it.
func TestVariantInEveryRank(t *testing.T) {
	variant := builtVariant(t, "unchanged")
	cfg := parallelConfig(tinyLlama(t), 2, 1)
	cfg.Variant = variant
	e := openParallel(t, cfg)
	const op = "_C::rotary_embedding"
	for _, r := range e.Info().Ranks {
		if r.Variant == nil || len(r.Variant.Files) != 1 || r.Variant.Files[0].SHA256 != variant.SHA256[variant.Library] || !slices.Contains(r.Variant.Ops, op) {
			t.Errorf("rank %d: variant %+v", r.Rank, r.Variant)
		}
	}
	calls := func() (out []int64) {
		var use []engine.RankUse
		if err := e.Call(t.Context(), "ranks", nil, &use); err != nil {
			t.Fatal(err)
		}
		for _, u := range use {
			out = append(out, u.VariantCalls[op])
		}
		return out
	}
	before := calls()
	answer(t, e)
	after := calls()
	t.Logf("calls of %s by rank: %v, after the prompts %v", op, before, after)
	for i := range after {
		if added := after[i] - before[i]; added <= 0 || added%tinyLayers != 0 || len(after) != 2 || added != after[0]-before[0] {
			t.Errorf("rank %d called the op %d times", i, added)
		}
	}
	var least map[string]int64
	if err := e.Call(t.Context(), "variant_calls", nil, &least); err != nil || least[op] != slices.Min(after) {
		t.Errorf("calls of the variant: %v, %v", least, err)
	}
}

// Two arms of ranks are compared one after the other: a slower kernel is found in
// them, and every rank proves that it ran.
func TestParallelAB(t *testing.T) {
	variant := builtVariant(t, "slow")
	start := openArm
	openArm = func(ctx context.Context, cfg engine.Config, opt engine.WorkerOptions, _ int) (abtest.Arm, error) {
		opt.Command = []string{buildStepbench(t), "worker"}
		return typed(engine.OpenRemote(ctx, cfg, opt))
	}
	t.Cleanup(func() { openArm = start })
	c := compareOnce(t, tinyLlama(t).Path, "stock", "slow", "--tp", "2", "--dtype", "float32")
	c.expect(t, estimate.Slower, exitRegression)
	if c.result.Outputs.Status != "IDENTICAL" {
		t.Errorf("outputs %s", c.result.Outputs.Status)
	}
	for i := range c.evidence.Launches {
		l := &c.evidence.Launches[i]
		if l.Calls[abtest.ArmB]["_C::rotary_embedding"] == 0 {
			t.Errorf("launch %d: calls %v", l.Number, l.Calls)
		}
		for _, r := range l.Info[abtest.ArmB].Ranks {
			if r.Variant == nil || r.Variant.Files[0].SHA256 != variant.SHA256[variant.Library] {
				t.Errorf("launch %d, rank %d: variant %+v", l.Number, r.Rank, r.Variant)
			}
		}
		if len(l.Info[abtest.ArmB].Ranks) != 2 {
			t.Errorf("launch %d: %d ranks", l.Number, len(l.Info[abtest.ArmB].Ranks))
		}
	}
}

// builtVariant compiles one of edits.
func builtVariant(t *testing.T, name string) *engine.Variant {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("STEPBENCH_VARIANTS", dir)
	tree := sourceTree(t, rotary, edits[name])
	var stdout, stderr bytes.Buffer
	if code := run([]string{"stepbench", "build", name, "--source", tree, "--files", rotary}, &stdout, &stderr); code != exitOK {
		t.Fatalf("build %s: exit %d\n%s", name, code, stderr.String())
	}
	variant, err := build.Store{Dir: dir}.Variant(name)
	if err != nil {
		t.Fatal(err)
	}
	return variant
}

// Whoever of parent, worker and ranks is killed, and when: ten seconds later
// nothing of the others is left.
func TestParallelLeavesNothing(t *testing.T) {
	model := tinyLlama(t)
	for _, when := range []string{"at open", "mid-run"} {
		for _, who := range []string{"parent", "worker", "rank"} {
			t.Run(when+", "+who, func(t *testing.T) { killOne(t, model, when, who) })
		}
	}
}

func killOne(t *testing.T, model engine.Model, when, who string) {
	s := begin(t, nil, "--model", model.Path, "--tp", "2", "--dtype", "float32", "--max-model-len", "256", "--rate", "20",
		"--requests", "4000", "--output-len", "32")
	f := waitFamily(t, s)
	if when == "mid-run" {
		s.worker(t)
	}
	f = familyOf(s.cmd.Process.Pid)
	victim := map[string]int{"parent": f.parent, "worker": f.worker, "rank": f.ranks[len(f.ranks)-1]}[who]
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.cmd.Wait() }()
	nothingLeft(t, f.tag, append([]int{f.parent, f.worker}, f.all...))
	t.Logf("all ended %.1f s after the kill", time.Since(killed).Seconds())
	<-ended
	if who == "parent" {
		return
	}
	text := s.stderr.String()
	t.Log(text)
	want := "worker died: signal: killed"
	if who == "rank" {
		want = fmt.Sprintf("rank 1 (process %d) was killed by signal 9", victim)
	}
	if !strings.Contains(text, want) {
		t.Errorf("stderr lacks %q", want)
	}
}

// family are the processes of a run.
type family struct {
	parent, worker int
	ranks          []int
	all            []int // below the worker
	tag            string
}

// waitFamily returns once both ranks are there and share memory.
func waitFamily(t *testing.T, s *session) family {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		f := familyOf(s.cmd.Process.Pid)
		if len(f.ranks) == 2 && f.tag != "" && len(left(f.tag)) > 1 {
			return f
		}
	}
	t.Fatalf("no ranks\n%s", s.stderr.String())
	return family{}
}

func familyOf(parent int) family {
	f := family{parent: parent, worker: childOf(parent)}
	if f.worker == 0 {
		return f
	}
	environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", f.worker))
	for _, kv := range strings.Split(string(environ), "\x00") {
		if tag, ok := strings.CutPrefix(kv, "STEPBENCH_TAG="); ok {
			f.tag = tag
		}
	}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if group, _ := syscall.Getpgid(pid); group != f.worker || pid == f.worker {
			continue
		}
		f.all = append(f.all, pid)
		// vLLM gives its ranks a title once it is imported there.
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(line), "spawn_main") || strings.Contains(string(line), "Worker") {
			f.ranks = append(f.ranks, pid)
		}
	}
	slices.Sort(f.ranks)
	return f
}

func alive(pids []int) (out []int) {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			out = append(out, pid)
		}
	}
	return out
}

// left are the files that carry the tag.
func left(tag string) []string {
	shared, _ := filepath.Glob("/dev/shm/*" + tag + "*")
	sockets, _ := filepath.Glob(filepath.Join(os.TempDir(), tag))
	return append(shared, sockets...)
}

func nothingLeft(t *testing.T, tag string, pids []int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if len(alive(pids)) == 0 && len(left(tag)) == 0 {
			return
		}
	}
	for _, pid := range alive(pids) {
		out, _ := exec.Command("ps", "-o", "pid,ppid,stat,args", "-p", strconv.Itoa(pid)).CombinedOutput()
		t.Errorf("still there: %s", out)
	}
	if files := left(tag); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}

// The example suite measures every spread, and its report says what each rank did,
// how much of a step it communicated, and how spreading scales.
func TestParallelSuite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "suite")
	cmd := exec.Command(buildStepbench(t), "run", "../../docs/suites/parallel-cpu.toml", "--out", dir)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	a, err := analysis.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Points) != 4 || len(a.NotRun) != 0 {
		t.Fatalf("%d points, not run %+v", len(a.Points), a.NotRun)
	}
	for i := range a.Points {
		p := &a.Points[i]
		e := &a.Engines[p.Engine]
		if p.Problem != "" || p.OutputTokens == nil {
			t.Errorf("%s: %s", p.ID, p.Problem)
		}
		if n := len(p.Ranks); p.Devices > 1 && n != p.Devices || p.Devices == 1 && n != 0 {
			t.Errorf("%s: %d ranks", p.ID, n)
		}
		if steps := len(p.Steps) > 0; steps != (p.PP == 1) {
			t.Errorf("%s: figures of steps are there: %v", p.ID, steps)
		}
		shared := false
		for _, b := range e.Profiled {
			shared = shared || b.CollectiveFrac > 0 && b.CollectiveFrac < 1
		}
		if shared != (p.TP == 2 && p.PP == 1) {
			t.Errorf("%s: the share of communication is known: %v (%+v)", p.ID, shared, e.Profiled)
		}
	}
	if len(a.Scaling) != 6 {
		t.Errorf("scaling %+v", a.Scaling)
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	if _, after, ok := strings.Cut(string(text), "## GPU counts and scaling"); ok {
		t.Log(after[:min(len(after), 6000)])
	}
	for _, want := range []string{"### Communication", "### Ranks", "scaling_efficiency.png", "with pipeline parallelism a call of LLMEngine.step is no step"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	for _, name := range []string{"scaling_efficiency.png", "scaling_efficiency.svg"} {
		if info, err := os.Stat(filepath.Join(dir, "figures", name)); err != nil || info.Size() == 0 {
			t.Errorf("figure %s: %v", name, err)
		}
	}
}

// A rank that hangs is found by the worker's silence, and ends the run with what
// was measured until then.
func TestParallelHungRank(t *testing.T) {
	model := tinyLlama(t)
	s := begin(t, nil, "--model", model.Path, "--tp", "2", "--dtype", "float32", "--max-model-len", "256", "--rate", "20",
		"--requests", "4000", "--output-len", "32", "--step-timeout", "8s")
	waitFamily(t, s)
	s.worker(t)
	f := familyOf(s.cmd.Process.Pid)
	if err := syscall.Kill(f.ranks[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if code := s.wait(t); code != exitInternal {
		t.Errorf("exit code %d, want %d", code, exitInternal)
	}
	if text := s.stderr.String(); !strings.Contains(text, "gave no sign for 8s and was killed during run") || !strings.Contains(text, "(Worker") {
		t.Error("the error names neither the hang nor the ranks' last lines")
	}
	nothingLeft(t, f.tag, append([]int{f.parent, f.worker}, f.all...))
	if rec := opened(t, s.dir); rec.Manifest.State != record.Failed || len(rec.Requests) == 0 {
		t.Errorf("state %s with %d requests", rec.Manifest.State, len(rec.Requests))
	}
}
