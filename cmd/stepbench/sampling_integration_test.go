//go:build integration

package main

import (
	"math"
	"path/filepath"
	"testing"

	"stepbench/bench/record"
	"stepbench/bench/stats"
	"stepbench/bench/telemetry"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// BenchmarkSampling measures what telemetry at 10 Hz costs: the same offline plan
// on one engine in groups of with, without, without, with. It reports the wall
// ratio with/without, its 95 % interval (Student, over groups), and the sampler's
// CPU time, of one core.
func BenchmarkSampling(b *testing.B) {
	const groups, requests, requestsOnGPU = 6, 24, 800
	model, err := resolveModel(b.Context(), "gpt2:2")
	if err != nil {
		b.Fatal(err)
	}
	program, err := built()
	if err != nil {
		b.Fatal(err)
	}
	remote, err := engine.OpenRemote(b.Context(), forThisMachine(engine.Config{Model: model, EnforceEager: true, SkipTokenizer: true}),
		engine.WorkerOptions{Command: []string{program, "worker"}})
	if err != nil {
		b.Fatal(err)
	}
	defer remote.Close()
	devices := openDevices(b.Context(), remote.Info(), 1)
	flags := workload.DefaultFlags()
	flags.Requests, flags.Pattern, flags.RatePerS = requests, "offline", 0
	if len(devices) > 0 {
		flags.Requests = requestsOnGPU
	}
	spec, err := workload.New(flags, workload.Limits{Vocab: remote.Info().VocabSize})
	if err != nil {
		b.Fatal(err)
	}
	plan, err := spec.Plan()
	if err != nil {
		b.Fatal(err)
	}
	wallS := func(hz float64) (seconds, cpuFrac float64) {
		run, err := record.Create(filepath.Join(b.TempDir(), "run"), record.Manifest{Command: "run"})
		if err != nil {
			b.Fatal(err)
		}
		run.Manifest.SetWorkload(spec)
		if err := run.Watch(record.Watched{Host: telemetry.NewHost(), Devices: devices, WorkerPID: remote.PID(), SampleHz: hz}); err != nil {
			b.Fatal(err)
		}
		if err := remote.Run(b.Context(), plan, run.Sink()); err != nil {
			b.Fatal(err)
		}
		if err := run.Finish(record.Complete, nil); err != nil {
			b.Fatal(err)
		}
		rec, err := record.Open(run.Dir())
		if err != nil {
			b.Fatal(err)
		}
		return rec.Summary().WholeRun.Seconds, run.Manifest.Telemetry.SamplerCPUFrac.V
	}
	for b.Loop() {
		wallS(0) // warm-up
		var logs []float64
		var cpu float64
		for range groups {
			a1, c1 := wallS(10)
			n1, _ := wallS(0)
			n2, _ := wallS(0)
			a2, c2 := wallS(10)
			logs = append(logs, (math.Log(a1/n1)+math.Log(a2/n2))/2)
			cpu += (c1 + c2) / 2 / groups
		}
		ci, _ := stats.TInterval(logs, 0.95)
		b.ReportMetric(math.Exp(stats.Mean(logs)), "with/without")
		b.ReportMetric(math.Exp(ci.Lo), "ratio-low")
		b.ReportMetric(math.Exp(ci.Hi), "ratio-high")
		b.ReportMetric(cpu, "sampler-cores")
	}
}
