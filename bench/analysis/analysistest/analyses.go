// Package analysistest makes analyses of suites that never ran, for tests of
// what is drawn and written from them. The product never imports it.
package analysistest

import (
	"fmt"
	"math"
	"time"

	"stepbench/bench/analysis"
	"stepbench/bench/bottleneck"
	"stepbench/bench/record"
	"stepbench/bench/stats"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// One is a single run on a CPU: one point, one repeat, intervals from within
// the run, too few requests for a p99, no device and no attribution.
func One() *analysis.Analysis {
	a := frame("run", "quick", record.Host{
		OS: "linux", Arch: "amd64", Kernel: "6.1.0", CPUModel: "Example CPU @ 2.50GHz", CPUs: 2, MemoryBytes: 8 << 30, Hypervisor: true,
	})
	a.Engines = []analysis.Engine{cpuEngine()}
	p := cell{id: "gpt2-random-short-poisson-2", axis: "base", dataset: "random-short", pattern: "poisson", rate: 2, batch: 1.6, e2eS: 1.9, in: 128, out: 64, n: 22, repeats: 1}
	a.Points = []analysis.Point{p.point(a.Engines, 0)}
	p0 := &a.Points[0]
	p0.Device = &analysis.DeviceTime{Busy: 0.71, Host: 0.12, BetweenSt: 0.02, Empty: 0.15, Coarse: true}
	p0.Utilisation = value(0.88, 0.03)
	a.NotRun = []analysis.NotRun{{What: "figure of scaling", Why: "a single run has one number of devices"}}
	a.Recommended = &analysis.Recommendation{Point: 0, Why: "the highest rate that did not saturate the engine; there is no SLO to keep; no rate that was tried saturates it"}
	a.Roadmap = roadmap(a.Points)
	return a
}

// Twelve is a suite over every axis on four GPUs, three repeats each: points
// that saturate, a dataset that random tokens stand in for, a point that
// failed, closed and offline loads, scaling over 1, 2 and 4 devices.
func Twelve() *analysis.Analysis {
	a := frame("full", "standard", record.Host{
		OS: "linux", Arch: "amd64", Kernel: "6.8.0", CPUModel: "Example Server CPU", CPUs: 64, MemoryBytes: 512 << 30,
	})
	a.SLO = &workload.SLO{TTFTNs: 500e6, TPOTNs: 50e6}
	a.Engines = []analysis.Engine{gpuEngine("gpt2", 1), gpuEngine("llama-2-7b", 1), gpuEngine("llama-2-7b", 2), gpuEngine("llama-2-7b", 4)}
	short := cell{dataset: "random-short", pattern: "poisson", rate: 5, in: 128, out: 64, batch: 2.2, e2eS: 0.42, n: 300, repeats: 3, slo: true}
	with := func(change func(*cell)) cell { c := short; change(&c); return c }
	cells := []cell{
		with(func(c *cell) { c.axis = "base" }),
		with(func(c *cell) {
			c.axis, c.dataset, c.in, c.out, c.e2eS, c.batch = "dataset", "random-medium", 512, 128, 0.93, 4.8
		}),
		with(func(c *cell) {
			c.axis, c.dataset, c.stand, c.in, c.out, c.e2eS, c.batch = "dataset", "c4", true, 768, 192, 1.44, 7.3
		}),
		with(func(c *cell) { c.axis, c.rate, c.e2eS, c.batch, c.n = "rate", 2, 0.39, 0.9, 120 }),
		with(func(c *cell) { c.axis, c.rate, c.e2eS, c.batch, c.n, c.saturated = "rate", 20, 6.8, 61, 1200, true }),
		with(func(c *cell) { c.axis, c.pattern, c.e2eS = "pattern", "constant", 0.40 }),
		with(func(c *cell) { c.axis, c.pattern, c.e2eS, c.batch = "pattern", "burst", 0.71, 3.6 }),
		with(func(c *cell) { c.axis, c.engine, c.e2eS, c.batch = "model", 1, 0.88, 4.5 }),
		with(func(c *cell) {
			c.axis, c.engine, c.pattern, c.rate, c.concurrency, c.e2eS, c.batch = "parallelism", 1, "closed", 0, 32, 1.31, 32
		}),
		with(func(c *cell) {
			c.axis, c.engine, c.pattern, c.rate, c.concurrency, c.e2eS, c.batch = "parallelism", 2, "closed", 0, 32, 0.82, 32
		}),
		with(func(c *cell) {
			c.axis, c.engine, c.pattern, c.rate, c.concurrency, c.e2eS, c.batch = "parallelism", 3, "closed", 0, 32, 0.57, 32
		}),
		with(func(c *cell) { c.axis, c.pattern, c.rate, c.failed = "pattern", "offline", 0, true }),
	}
	for _, c := range cells {
		a.Points = append(a.Points, c.point(a.Engines, c.engine))
	}
	a.NotRun = []analysis.NotRun{
		{What: "llama-2-13b", Why: "its weights of 26.0 GB and a KV cache do not fit the device's free memory"},
		{What: "pipeline parallelism 2", Why: "the suite's profile leaves it out"},
	}
	a.Scaling = scaling(a.Points)
	a.Recommended = &analysis.Recommendation{Point: 0, Why: "the highest rate that did not saturate the engine and at which 96 % of the requests kept ttft=500ms,tpot=50ms (at least 90 % are asked for); 20 requests/s saturate it"}
	a.Roadmap = roadmap(a.Points)
	a.Warnings = []string{"random tokens of the dataset's length distribution stand in for c4: no C4 file was given"}
	return a
}

func frame(suite, profile string, host record.Host) *analysis.Analysis {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &analysis.Analysis{
		Suite: suite, Profile: profile, State: record.Complete, StartUTC: start, EndUTC: start.Add(254 * time.Second),
		Tool: record.Tool{Version: "0.1.0", Commit: "0123456789ab", Go: "go1.25.0"},
		Args: []string{"stepbench", "run", suite}, Host: host,
	}
}

func cpuEngine() analysis.Engine {
	return analysis.Engine{
		Name:   "gpt2",
		Config: engine.Config{Model: engine.Model{Name: "gpt2", Synthetic: true}, MaxModelLen: 1024, MaxNumSeqs: 16},
		Info: engine.Info{
			VLLMVersion: "0.26.0", TorchVersion: "2.11.0+cpu", PythonVersion: "3.12.3", Platform: "cpu", Device: "cpu", DType: "bfloat16",
			AttentionBackend: "CPU_ATTN", GraphMode: "NONE", MaxModelLen: 1024, MaxNumSeqs: 16, MaxNumBatchedTokens: 2048,
			VocabSize: 50257, KVBlocks: 512, KVBlockSize: 16, OpenSeconds: 21.4, CompileSeconds: 8.1,
			Modules: []engine.Module{{Name: "vllm._C", Path: "vllm/_C.abi3.so", SHA256: "aa11"}},
		},
		WeightBytes: 248_879_616, KVBytes: 512 * 16 * 36_864, RSSBytes: 1_790_000_000,
	}
}

func gpuEngine(model string, tp int) analysis.Engine {
	e := analysis.Engine{
		Name:   model,
		Config: engine.Config{Model: engine.Model{Name: model, Synthetic: true}, MaxNumSeqs: 64, TP: tp},
		Info: engine.Info{
			VLLMVersion: "0.26.0", TorchVersion: "2.11.0+cu130", PythonVersion: "3.12.3", Platform: "cuda", Device: "Example GPU 141GB",
			DeviceUUID: "GPU-00000000-0000-0000-0000-000000000000", DType: "bfloat16", AttentionBackend: "FLASH_ATTN", GraphMode: "FULL_AND_PIECEWISE",
			MaxGraphTokens: 128, MaxModelLen: 1024, MaxNumSeqs: 64, MaxNumBatchedTokens: 8192, VocabSize: 50257,
			KVBlocks: 8192, KVBlockSize: 16, AsyncScheduling: true, OpenSeconds: 34.2, CompileSeconds: 12.9,
		},
		WeightBytes: 248_879_616, KVBytes: 8192 * 16 * 36_864, RSSBytes: 4_200_000_000,
	}
	if tp > 1 {
		e.Name = fmt.Sprintf("%s tp=%d", model, tp)
		b := bottleneck.Bucket{GenReqs: 32, Steps: 48, WallNs: 7.2e6, BusyNs: 6.1e6, SumNs: 6.1e6, CollectiveFrac: 0.08 * float64(tp)}
		for i := range tp {
			e.Info.Ranks = append(e.Info.Ranks, engine.Rank{Rank: i, TP: i, PID: 4000 + i, Device: i})
			b.Ranks = append(b.Ranks, bottleneck.RankTime{Rank: i, OwnNs: 5e6 + 1e5*float64(i), CollectiveNs: 5e5})
		}
		e.Profiled = append(e.Profiled, b)
	}
	if model != "gpt2" {
		e.WeightBytes, e.KVBytes = 13_476_831_232/int64(tp), 8192*16*524_288/int64(tp)
	}
	for i := range tp {
		e.Memory = append(e.Memory, analysis.DeviceMemory{
			UUID:      fmt.Sprintf("GPU-00000000-0000-0000-0000-%012d", i),
			UsedBytes: 2e9 + e.WeightBytes + e.KVBytes, TotalBytes: 150_754_820_096,
		})
	}
	return e
}

// value with an interval of ± half, a fraction of v.
func value(v, half float64) *analysis.Value {
	return &analysis.Value{V: v, CI: &stats.Interval{Lo: v * (1 - half), Hi: v * (1 + half)}}
}

// cell is one point before its numbers are made up.
type cell struct {
	id, axis    string
	engine      int
	dataset     string
	stand       bool
	pattern     string
	rate        float64
	concurrency int
	in, out     int
	batch, e2eS float64
	n, repeats  int
	saturated   bool
	slo         bool
	failed      bool
}

func (c cell) point(engines []analysis.Engine, index int) analysis.Point {
	e := engines[index]
	tp := e.Config.TP
	p := analysis.Point{
		ID: c.id, Axis: c.axis, Engine: index, Model: e.Config.Model.Name, Dataset: c.dataset, Stand: c.stand,
		Pattern: c.pattern, RatePerS: c.rate, Concurrency: c.concurrency, TP: max(1, tp), PP: 1, Devices: max(1, tp),
		Saturation: workload.No,
	}
	if tp > 1 {
		for i := range tp {
			p.Ranks = append(p.Ranks, analysis.RankUse{Rank: i, Cores: 1 + 0.01*float64(i), RSSBytes: 5 << 30, DeviceUsedBytes: 70 << 30})
		}
	}
	load := fmt.Sprintf("%s %g/s", c.pattern, c.rate)
	switch {
	case c.concurrency > 0:
		load = fmt.Sprintf("closed %d", c.concurrency)
	case c.rate == 0:
		load = "offline"
	}
	p.Label = fmt.Sprintf("%s %s %s", e.Name, c.dataset, load)
	if p.ID == "" {
		p.ID = fmt.Sprintf("%s-%s-tp%d-%s-%g-%d", p.Model, c.dataset, p.TP, c.pattern, c.rate, c.concurrency)
	}
	if c.failed {
		p.Saturation, p.Problem = workload.Undecided, "no valid repeat: engine: the worker ended with exit status 1"
		p.Repeats = []analysis.Repeat{{Dir: "points/" + p.ID + "/0", State: record.Failed, Problem: "the worker ended with exit status 1"}}
		return p
	}
	for k := range c.repeats {
		p.Repeats = append(p.Repeats, analysis.Repeat{
			Dir: fmt.Sprintf("points/%s/%d", p.ID, k), State: record.Complete, Valid: true, E2ENs: c.e2e(k),
		})
	}
	p.Requests, p.WithinRun = c.n*c.repeats, c.repeats == 1
	c.fill(&p, e)
	return p
}

// e2e are request latencies spread log-normally about the cell's mean.
func (c cell) e2e(repeat int) []float64 {
	out := make([]float64, c.n)
	for i := range out {
		z := math.Sin(float64(i*37+repeat*11)) + math.Sin(float64(i*91+5))
		out[i] = c.e2eS * 1e9 * math.Exp(0.25*z-0.03)
	}
	return out
}
