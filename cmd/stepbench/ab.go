package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/archive"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/record"
	"stepbench/bench/telemetry"
	"stepbench/engine"
)

func abCommand() *cli.Command {
	return &cli.Command{
		Name:      "ab",
		Usage:     "compare two builds of vLLM's kernels inside the engine, with an error bound",
		ArgsUsage: "A B",
		Description: `A and B are variants made by stepbench build; "stock" is always one. Both run the
same steps in turn, in worker processes of their own, several times with fresh
processes. What is compared is the time of kernels (GPU) or of vLLM's ops (CPU) in a
step; wall time, which is far noisier, can only make the verdict worse.

Verdicts and exit codes: SAME and FASTER 0, SLOWER 1, INCONCLUSIVE 2, INVALID 3 (a
worker died, the changed op never ran, the machine interfered); 4 where the outputs
differ, which --allow-numeric-change waives. 64 wrong input, 69 no engine, 130
interrupted.

NAME@HOST runs an arm in another kind of worker process (see --host): two hosts with
the same kernels say, by wall time, what a host costs.

With --tp each arm of a launch runs all its bursts before the other begins; which is
first alternates by launch. The profile is that of the rank with most work.

Plans: quick (1 launch, needs a calibration), ci (3 launches, margin 5 %, for CPUs),
standard (4 launches, 0.5 %), sequential (4 or 8), rigorous (8, 0.25 %, alpha 0.01).

Examples:
   stepbench ab stock faster-rope --model llama-2-7b:8 --shapes 8q1s1k,q2k
   stepbench ab stock faster-rope --plan ci --eager --shapes 8q1s128 -o pr
   stepbench ab stock fused --custom-ops +silu_and_mul --delta 0.25% --plan rigorous
   stepbench ab --calibrate stock --model llama-2-7b:8 --shapes 1q1s1k,8q1s1k
   stepbench ab stock@plain stock@go --model gpt2 --prompts 0
   stepbench ab --calibrate --judge results/monday-ab --judge results/tuesday-ab
   stepbench ab --judge results/20260101T120000Z-ab -o html > report.html`,
		Flags:        slices.Concat(engineFlags(), abFlags(), kernelFlags(), budgetFlags()),
		OnUsageError: usageError,
		Action:       abAction,
	}
}

func abAction(c *cli.Context) error {
	formats, err := abFormats(c)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	switch dirs := c.StringSlice("judge"); {
	case len(dirs) > 0 && c.Bool("calibrate"):
		return calibrateFrom(c, dirs)
	case len(dirs) > 1:
		return exitWith(exitUsage, errors.New("--judge takes one directory unless with --calibrate"))
	case len(dirs) == 1:
		return judgeAgain(c, dirs[0], formats)
	}
	ab, err := newComparison(c)
	if err != nil {
		return abFailure(err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	p := newProgress(c.App.ErrWriter)
	machine, end := watchMachine()
	defer end()
	ab.job.Watch = machine
	ab.job.Code = ab.codeReader(p)
	ab.job.Open = func(ctx context.Context, side abtest.Side, launch int) (abtest.Arm, error) {
		cfg := ab.cfg
		cfg.Variant = side.Variant
		opt := workerOptions(c, p)
		opt.Host.Mode = side.Host
		return openArm(ctx, cfg, opt, launch)
	}
	return ab.run(ctx, c, p, formats)
}

// openArm starts the worker of an arm. Tests keep workers from one comparison to
// the next.
var openArm = func(ctx context.Context, cfg engine.Config, opt engine.WorkerOptions, _ int) (abtest.Arm, error) {
	if opt.Host.Mode == engine.HostPlain {
		return typed(engine.OpenPlain(ctx, cfg, opt))
	}
	return typed(engine.OpenRemote(ctx, cfg, opt))
}

// typed keeps a nil pointer from becoming an arm.
func typed[A abtest.Arm](arm A, err error) (abtest.Arm, error) {
	if err != nil {
		return nil, err
	}
	return arm, nil
}

// run measures, judges, keeps and prints.
func (ab *comparison) run(ctx context.Context, c *cli.Context, p *progress, formats abOutput) error {
	dir, err := archive.Create(ab.dir(c), ab.manifest())
	if err != nil {
		return exitWith(exitUsage, err)
	}
	p.stage("results go to %s", dir.Path)
	ab.job.Record = dir.Burst
	ab.job.Progress = p.comparison
	ev, cause := abtest.Collect(ctx, ab.job)
	p.clear()
	result := ab.judge(ev)
	if cause != nil {
		result = nil
	}
	if err := errors.Join(dir.Finish(ev, result, cause), cause); err != nil {
		return abFailure(err)
	}
	report := ab.report(ev, result)
	if err := keepReports(dir, report); err != nil {
		return exitWith(exitInternal, err)
	}
	if c.Bool("calibrate") {
		if result.Verdict == estimate.Invalid || ev.Interrupted || ev.TimeUp {
			return exitWith(exitInvalid, fmt.Errorf("no calibration: %s; its launches can be joined with others': --calibrate --judge %s --judge …",
				cmp.Or(result.Reason, "the plan was not finished"), dir.Path))
		}
		return calibrate(c, []*abtest.Evidence{ev})
	}
	if err := formats.write(c, report); err != nil {
		return exitWith(exitInternal, err)
	}
	if ev.Interrupted {
		return exitWith(exitInterrupted, fmt.Errorf("interrupted: %s holds what was measured", dir.Path))
	}
	return exitWith(result.ExitCode, nil)
}

// abFailure gives an error of a comparison its exit code.
func abFailure(err error) error {
	var chosen *exitError
	switch {
	case errors.As(err, &chosen):
		return err
	case errors.Is(err, errInterrupted):
		return exitWith(exitInterrupted, err)
	case errors.Is(err, engine.ErrEnvironment):
		return exitWith(exitEnvironment, err)
	}
	return buildFailure(err)
}

// watchMachine samples the machine until end is called.
func watchMachine() (watch func([2]abtest.Arm, [2]engine.Info, []int) abtest.Watch, end func()) {
	var devices []*telemetry.Device
	var sampler *telemetry.Sampler
	var machine *telemetry.Machine
	end = func() {
		if sampler != nil {
			sampler.Stop()
		}
		for _, d := range devices {
			d.Close()
		}
	}
	watch = func(arms [2]abtest.Arm, info [2]engine.Info, residents []int) abtest.Watch {
		if machine == nil { // only an open engine knows its device
			if uuid := info[abtest.ArmA].DeviceUUID; uuid != "" {
				if d, err := telemetry.OpenDevice(context.Background(), uuid); err == nil {
					devices = append(devices, d)
				}
			}
			machine = telemetry.NewMachine(telemetry.NewHost(), devices...)
			sampler, _ = telemetry.StartSampler(machine, telemetry.DefaultSamplerOptions())
		}
		return abtest.WatchMachine(machine, sampler)(arms, info, residents)
	}
	return watch, end
}

func (ab *comparison) dir(c *cli.Context) string {
	if dir := c.String("out"); dir != "" {
		return dir
	}
	return record.DefaultDir(time.Now(), "ab")
}

func (ab *comparison) manifest() archive.Manifest {
	m := archive.Manifest{
		Tool: tool(), Args: os.Args, Environment: record.Environment(os.Environ()), Host: record.ReadHost(os.DirFS("/")),
		Engine: ab.cfg, Sides: [2]abtest.Side{ab.job.A, ab.job.B}, Plan: ab.job.Plan, Builds: map[string]any{},
	}
	for _, cell := range ab.job.Cells {
		m.Cells = append(m.Cells, cell.Name())
	}
	for name, b := range ab.builds {
		m.Builds[name] = b
	}
	return m
}
