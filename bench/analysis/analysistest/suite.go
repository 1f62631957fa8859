package analysistest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"stepbench/bench/bottleneck"
	"stepbench/bench/record"
	"stepbench/bench/suite"
	"stepbench/bench/workload"
	"stepbench/bench/workload/workloadtest"
	"stepbench/engine"
)

// Suite is a suite directory to be made.
type Suite struct {
	Repeats int
	SLO     *workload.SLO
	// Slower multiplies the time of every step.
	Slower float64
	// Points are those to make; nil makes DefaultPoints.
	Points []SuitePoint
}

// SuitePoint is one point on the simulated engine with the given number of
// devices.
type SuitePoint struct {
	ID, Axis string
	Devices  int
	Change   func(*workload.Flags)
	// Failed points leave a record without requests and this error.
	Failed string
	// NotRun points were never reached.
	NotRun bool
}

// DefaultPoints touch what an analysis tells apart: a base, rates below and far
// above what the engine can do, an offline load on one, two and four devices, a
// point that ran out of memory and one that was never reached.
func DefaultPoints() []SuitePoint {
	offline := func(f *workload.Flags) { f.Pattern, f.Requests = "offline", 32 }
	return []SuitePoint{
		{ID: "base", Axis: "base", Devices: 1},
		{ID: "rate-2", Axis: "rate", Devices: 1, Change: func(f *workload.Flags) { f.RatePerS = 2 }},
		{ID: "rate-100", Axis: "rate", Devices: 1, Change: func(f *workload.Flags) { f.RatePerS, f.Requests = 100, 150 }},
		{ID: "offline-1", Axis: "parallelism", Devices: 1, Change: offline},
		{ID: "offline-2", Axis: "parallelism", Devices: 2, Change: offline},
		{ID: "offline-4", Axis: "parallelism", Devices: 4, Change: offline},
		{ID: "too-large", Axis: "model", Devices: 1, Failed: "torch.OutOfMemoryError: CUDA out of memory"},
		{ID: "later", Axis: "dataset", Devices: 1, NotRun: true},
	}
}

// Write makes the directory dir of a suite from records of the simulated engine.
func (s Suite) Write(dir string) error {
	if s.Points == nil {
		s.Points = DefaultPoints()
	}
	m := suite.Manifest{
		SchemaVersion: suite.SchemaVersion, Suite: "constructed", Profile: "standard", Text: "# constructed\n",
		Tool: record.Tool{Version: "0.1.0", Go: "go1.25.0"}, Args: []string{"stepbench", "run", "constructed"},
		Host:  record.Host{OS: "linux", Arch: "amd64", CPUs: 8},
		State: record.Complete, StartUTC: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), SLO: s.SLO,
		NotRun: []suite.NotRun{{What: "llama-2-13b", Why: "its weights do not fit"}},
	}
	var err error
	for _, n := range []int{1, 2, 4} {
		e := suite.Engine{
			Name: fmt.Sprintf("gpt2 tp=%d", n), Dir: fmt.Sprintf("engines/gpt2-tp%d", n), Model: "gpt2", TP: n, PP: 1, Opened: 1,
			Config: gpuEngine("gpt2", n).Config, Info: new(engine.Info),
		}
		*e.Info = gpuEngine("gpt2", n).Info
		e.Config.Model.Shape = &engine.ModelShape{Layers: 12, KVHeads: 12, HeadDim: 64, Parameters: 124_439_808}
		e.Attribution = filepath.Join(e.Dir, suite.AttributionFile)
		err = errors.Join(err, writeJSON(filepath.Join(dir, e.Attribution), attribution(s.engine(n))))
		m.Engines = append(m.Engines, e)
	}
	for _, p := range s.Points {
		point, failed := s.point(dir, &m, p)
		m.Points = append(m.Points, point)
		err = errors.Join(err, failed)
	}
	return errors.Join(err, writeJSON(filepath.Join(dir, suite.ManifestFile), m))
}

// engine is the simulated engine on n devices: a tenth of a step's time is serial.
func (s Suite) engine(n int) workloadtest.Engine {
	e := workloadtest.Default()
	share := (0.1 + 0.9/float64(n)) * max(1, s.Slower)
	e.BaseNs, e.CtxTokenNs, e.GenReqNs = int64(share*float64(e.BaseNs)), int64(share*float64(e.CtxTokenNs)), int64(share*float64(e.GenReqNs))
	return e
}

// attribution has a device busy for three quarters of each step.
func attribution(e workloadtest.Engine) bottleneck.Attribution {
	a := bottleneck.Attribution{Unit: "kernel", CopyBytesPerS: 4e12}
	add := func(ctx, gen int) {
		wall := float64(e.BaseNs + int64(ctx)*e.CtxTokenNs + int64(gen)*e.GenReqNs)
		a.Buckets = append(a.Buckets, bottleneck.Bucket{CtxTokens: ctx, GenReqs: gen, Steps: 32, WallNs: wall, BusyNs: 0.75 * wall, SumNs: 0.74 * wall, ReadBytes: 0.75 * wall * 2e3})
	}
	for n := 1; n <= 8; n++ {
		add(0, n)
		add(128*n, 0)
	}
	return a
}

func (s Suite) point(dir string, m *suite.Manifest, from SuitePoint) (suite.Point, error) {
	p := suite.Point{
		ID: from.ID, Label: from.ID, Axis: from.Axis, Engine: fmt.Sprintf("gpt2 tp=%d", from.Devices), Model: "gpt2",
		Dataset: "random", TP: from.Devices, PP: 1, Devices: from.Devices,
	}
	for k := range max(1, s.Repeats) {
		f := workload.DefaultFlags()
		f.Requests, f.RatePerS, f.OutputTokens, f.SLO, f.Seed = 50, 5, 24, s.SLO, uint64(k+1)
		if from.Change != nil {
			from.Change(&f)
		}
		r := suite.Repeat{Dir: filepath.Join(suite.PointsDir, p.ID, fmt.Sprint(k+1)), Flags: f}
		spec, err := workload.New(f, workload.Limits{Vocab: 50257, MaxModelTokens: 1024})
		if err != nil {
			return p, err
		}
		p.Pattern, p.RatePerS = string(spec.Arrivals.Pattern), spec.Arrivals.RatePerS
		if !from.NotRun {
			r.State = record.Complete
			if from.Failed != "" {
				r.State, r.Problem = record.Failed, from.Failed
			}
			if err := s.record(filepath.Join(dir, r.Dir), m, p.Engine, spec, from); err != nil {
				return p, err
			}
		}
		p.Repeats = append(p.Repeats, r)
	}
	return p, nil
}

// record runs one repeat and writes it.
func (s Suite) record(dir string, m *suite.Manifest, engineName string, spec workload.Spec, from SuitePoint) error {
	run := record.Manifest{Tool: m.Tool, Command: "run", Args: m.Args, Host: m.Host, StartUTC: m.StartUTC}
	for _, e := range m.Engines {
		if e.Name == engineName {
			run.Engine, run.Info = e.Config, e.Info
		}
	}
	run.SetWorkload(spec)
	rec, err := record.Create(dir, run)
	if err != nil {
		return err
	}
	if from.Failed != "" {
		return rec.Finish(record.Failed, errors.New(from.Failed))
	}
	plan, err := spec.Plan()
	if err != nil {
		return err
	}
	e := s.engine(from.Devices)
	requests, steps := e.Run(plan)
	if err := rec.Sink()(engine.Batch{StartNs: e.StartNs, Requests: requests, Steps: steps}); err != nil {
		return err
	}
	return rec.Finish(record.Complete, nil)
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
