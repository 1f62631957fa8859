package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"stepbench/bench/analysis"
	"stepbench/bench/record"
	"stepbench/bench/report/suitereport"
	"stepbench/bench/suite"
	"stepbench/bench/telemetry"
	"stepbench/engine"
	"stepbench/engine/preset"
	"stepbench/internal/atomicfile"
)

// suiteFlags are those of run that go with a suite; the others say what a suite
// says itself. Those of kernels hold for all its engines: one suite, once with
// each choice, is a comparison.
var suiteFlags = []string{
	"out", "sample-hz", "slo", "dry-run", "verbose", "step-timeout", "host", "python", "shim",
	"cudagraph", "custom-ops", "ir-op-priority", "attention-backend",
}

func suiteAction(c *cli.Context) error {
	m, err := newSuite(c)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if c.Bool("dry-run") {
		return m.Describe(c.App.Writer)
	}
	dir := c.String("out")
	if dir == "" {
		dir = record.DefaultDir(time.Now(), m.Suite)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	p := newProgress(c.App.ErrWriter)
	p.stage("suite %s: results go to %s", m.Suite, dir)
	cause := suite.Run(ctx, dir, m, suiteDeps(c, p))
	p.clear()
	return concludeSuite(c.App.Writer, dir, m, cause)
}

// newSuite reads the suite and lays it out for this machine.
func newSuite(c *cli.Context) (*suite.Manifest, error) {
	for _, name := range c.LocalFlagNames() {
		if !slices.Contains(suiteFlags, name) && c.IsSet(name) {
			return nil, fmt.Errorf("--%s: the suite says it: leave the flag out, or the suite", name)
		}
	}
	if _, err := kernelArgs(c, map[string]any{}); err != nil {
		return nil, err
	}
	f, text, err := suite.Load(c.Args().First())
	if err != nil {
		return nil, err
	}
	if c.IsSet("slo") {
		f.SLO = c.String("slo")
	}
	if c.IsSet("sample-hz") {
		hz := c.Float64("sample-hz")
		f.SampleHz = &hz
	}
	m, err := suite.NewManifest(f, text, thisMachine(c))
	if err != nil {
		return nil, err
	}
	m.Tool, m.Args, m.Host = tool(), os.Args, record.ReadHost(os.DirFS("/"))
	return m, nil
}

func thisMachine(c *cli.Context) suite.Machine {
	ctx := c.Context
	m := suite.Machine{
		MemoryBytes: record.ReadHost(os.DirFS("/")).MemoryBytes,
		Config: func(name string, o suite.EngineOptions) (engine.Config, error) {
			model, err := resolveModel(ctx, name)
			if err != nil {
				return engine.Config{}, err
			}
			args, err := kernelArgs(c, o.Args)
			if err != nil {
				return engine.Config{}, err
			}
			cfg := forThisMachine(engine.Config{
				Model: model, DType: o.DType, EnforceEager: o.Eager != nil && *o.Eager, MaxModelLen: o.MaxModelLen,
				MaxNumSeqs: o.MaxNumSeqs, MaxNumBatchedTokens: o.MaxNumBatchedTokens, KVCacheBytes: o.KVCacheMiB << 20,
				Executor: engine.Executor(o.Executor), SkipTokenizer: true, Extra: args,
			})
			return cfg, preset.CheckWeights(&cfg)
		},
	}
	if hasNVIDIA() {
		devices, _ := telemetry.List(ctx) // those that answer
		m.GPUs, m.MemoryBytes = len(devices), 0
		for _, d := range devices {
			if m.MemoryBytes == 0 || d.MemoryBytes < m.MemoryBytes {
				m.MemoryBytes = d.MemoryBytes
			}
		}
	}
	return m
}

func suiteDeps(c *cli.Context, p *progress) suite.Deps {
	return suite.Deps{
		Open: func(ctx context.Context, cfg engine.Config) (suite.Worker, error) {
			remote, err := engine.OpenRemote(ctx, cfg, workerOptions(c, p))
			if err != nil {
				return nil, err
			}
			return remote, nil
		},
		Devices:  openDevices,
		Manifest: func() record.Manifest { return record.NewManifest(tool(), "run", os.Args) },
		Progress: suiteProgress{p},
	}
}

type suiteProgress struct{ *progress }

func (p suiteProgress) Stage(format string, args ...any) { p.stage(format, args...) }
func (p suiteProgress) Update(s engine.Progress)         { p.update(s) }

// openDevices opens what an engine runs on: the device it names or those of its
// ranks, or where ranks are not known, all of the machine. Those that cannot be
// opened are absent.
func openDevices(ctx context.Context, info engine.Info, count int) []*telemetry.Device {
	if info.DeviceUUID == "" {
		return nil
	}
	uuids := []string{info.DeviceUUID}
	if len(info.Ranks) > 0 {
		uuids = nil
		for _, r := range info.Ranks {
			uuids = append(uuids, r.DeviceUUID)
		}
	} else if count > 1 { // ranks on other hosts say nothing
		uuids = nil
		listed, _ := telemetry.List(ctx)
		for _, d := range listed {
			uuids = append(uuids, d.UUID)
		}
	}
	var devices []*telemetry.Device
	for _, uuid := range uuids {
		if d, err := telemetry.OpenDevice(ctx, uuid); err == nil {
			devices = append(devices, d)
		}
	}
	return devices
}

// concludeSuite analyses what was measured, writes the report, and turns what
// happened into an exit code.
func concludeSuite(stdout io.Writer, dir string, m *suite.Manifest, cause error) error {
	if errors.Is(cause, suite.ErrOccupied) {
		return exitWith(exitUsage, cause)
	}
	if _, err := suite.Open(dir); err != nil || len(m.Points) == 0 { // nothing of it is there
		return suiteFailure(cause, dir)
	}
	a, err := analysis.Load(dir)
	if err == nil {
		err = errors.Join(writeAnalysis(dir, a), suitereport.Write(dir, a))
	}
	if err != nil {
		return exitWith(exitInternal, errors.Join(cause, err))
	}
	if err := suiteBrief(stdout, dir, a); err != nil {
		return exitWith(exitInternal, err)
	}
	if cause != nil {
		return suiteFailure(cause, dir)
	}
	failed := 0
	for i := range a.Points {
		if a.Points[i].Problem != "" {
			failed++
		}
	}
	if failed > 0 {
		return exitWith(exitFailedRows, fmt.Errorf("%d of %d points have no valid result: see the report", failed, len(a.Points)))
	}
	return nil
}

// analysisFile is the whole analysis as JSON, in the suite's directory.
const analysisFile = "analysis.json"

func writeAnalysis(dir string, a *analysis.Analysis) error {
	return atomicfile.Write(filepath.Join(dir, analysisFile), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(a)
	})
}

func suiteFailure(cause error, dir string) error {
	switch {
	case cause == nil:
		return nil
	case errors.Is(cause, errInterrupted):
		return exitWith(exitInterrupted, fmt.Errorf("interrupted: run it again with --out %s to go on", dir))
	}
	return failure(cause, dir)
}

// suiteBrief is the result on a screen.
func suiteBrief(w io.Writer, dir string, a *analysis.Analysis) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "point\treq/s\toutput tok/s\tTTFT p50, ms\tTPOT p50, ms\tE2E p50, ms\tbottleneck")
	for i := range a.Points {
		p := &a.Points[i]
		if p.Problem != "" {
			fmt.Fprintf(t, "%s\t–\t–\t–\t–\t–\t%s\n", p.ID, p.Problem)
			continue
		}
		primary := "–"
		if p.Bottleneck != nil {
			primary = string(p.Bottleneck.Primary)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, brief(p.Achieved, 1, 3), brief(p.OutputTokens, 1, 1),
			brief(p.Latency["ttft"].P50, 1e-6, 1), brief(p.Latency["tpot"].P50, 1e-6, 1), brief(p.Latency["e2e"].P50, 1e-6, 1), primary)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range a.NotRun {
		fmt.Fprintf(w, "not run: %s: %s\n", n.What, n.Why)
	}
	_, err := fmt.Fprintf(w, "report: %s/report.html\n", dir)
	return err
}

func brief(v *analysis.Value, scale float64, digits int) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits, v.V*scale)
}
