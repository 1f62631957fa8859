package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"stepbench/bench/dataset"
	"stepbench/bench/record"
	"stepbench/bench/report"
	"stepbench/bench/suite"
	"stepbench/bench/telemetry"
	"stepbench/bench/workload"
	"stepbench/build"
	"stepbench/engine"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "measure a model under requests that arrive on their own schedule",
		ArgsUsage: "[SUITE]",
		Description: `Opens the model in a worker process, admits requests between engine steps as
they arrive, and leaves a run directory: manifest.json, requests.parquet,
steps.parquet, telemetry.parquet and report.md.

With a SUITE, a TOML file or one of those built in (` + strings.Join(suite.BuiltIns(), ", ") + `), measures all its points:
models, datasets, rates, arrival patterns and parallelism, each engine opened
once, and writes the analysis. What was measured is kept: the same command with
the same --out goes on where it was stopped.

Examples:
   stepbench run quick
   stepbench run full --out results/full --slo ttft=200ms,tpot=50ms
   stepbench run my-suite.toml --dry-run
   stepbench run --model gpt2
   stepbench run --model smollm2-135m-instruct --rate 4 --requests 100 --out results/a
   stepbench run --model ./my-model --pattern burst --burst-size 8 --rate 2
   stepbench run --model llama-2-7b:2 --rate inf --requests 200 --input-len 512
   stepbench run --model llama-2-13b --tp 2 --pp 2 --rate inf --requests 200`,
		Flags: append(slices.Concat(engineFlags(), workloadFlagSet(), kernelFlags()),
			&cli.StringFlag{Name: "out", Usage: "run `DIRECTORY`, new or empty, or of a suite to go on with", DefaultText: "results/<UTC>-run"},
			&cli.StringFlag{Name: "variant", Value: engine.Stock, Usage: "kernels that stepbench build made, by `NAME`; in every rank"},
			variantsFlag(),
			&cli.Float64Flag{Name: "sample-hz", Value: 10, Usage: "how often to sample devices, CPUs and the worker, `HZ`; 0: only before and after"},
			&cli.BoolFlag{Name: "dry-run", Usage: "with a SUITE: list its points instead of measuring them"},
		),
		OnUsageError: usageError,
		Action:       runAction,
	}
}

func runAction(c *cli.Context) error {
	if hz := c.Float64("sample-hz"); !(hz >= 0 && hz <= 1000) {
		return exitWith(exitUsage, fmt.Errorf("--sample-hz %g is not between 0 and 1000", hz))
	}
	switch {
	case c.NArg() > 1:
		return exitWith(exitUsage, fmt.Errorf("run takes one suite, got %q as well", c.Args().Get(1)))
	case c.NArg() == 1:
		return suiteAction(c)
	case c.Bool("dry-run"):
		return exitWith(exitUsage, errors.New("--dry-run needs a SUITE"))
	}
	flags, err := workloadFlags(c)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	cfg, err := engineConfig(c)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if cfg.Extra, err = kernelArgs(c, cfg.Extra); err != nil {
		return exitWith(exitUsage, err)
	}
	if name := c.String("variant"); name != engine.Stock {
		if cfg.Variant, err = (build.Store{Dir: c.String(flagVariants)}).Variant(name); err != nil {
			return exitWith(exitUsage, fmt.Errorf("--variant: %w", err))
		}
	}
	if err := errors.Join(cfg.CheckParallel(), flags.Validate(limitsOf(cfg))); err != nil {
		return exitWith(exitUsage, err)
	}
	if source, err := dataset.ParseSource(flags.Dataset); err == nil && source.Path != "" && source.Kind.Text() {
		cfg.SkipTokenizer = false
	}
	dir := c.String("out")
	if dir == "" {
		dir = record.DefaultDir(time.Now(), "run")
	}
	m := record.NewManifest(tool(), "run", os.Args)
	m.Engine = cfg
	run, err := record.Create(dir, m)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	p := newProgress(c.App.ErrWriter)
	cause := measure(ctx, c, run, flags, p)
	p.clear()
	return conclude(c.App.Writer, run, cause)
}

// measure opens the engine and executes the workload, recording into run.
func measure(ctx context.Context, c *cli.Context, run *record.Run, flags workload.Flags, p *progress) error {
	p.stage("opening %s", run.Manifest.Engine.Model.Name)
	start := time.Now()
	remote, err := engine.OpenRemote(ctx, run.Manifest.Engine, workerOptions(c, p))
	if err != nil {
		return err
	}
	info := remote.Info()
	run.Manifest.Info = &info
	p.stage("engine open after %.1f s: vLLM %s on %s", time.Since(start).Seconds(), info.VLLMVersion, info.Device)
	devices := openDevices(ctx, info, run.Manifest.Engine.Ranks())
	defer func() {
		for _, d := range devices {
			d.Close()
		}
	}()
	err = execute(ctx, remote, run, flags, devices, c.Float64("sample-hz"), p)
	// After a failure its own error says more than that of the closing.
	if closed := remote.Close(); err == nil && closed != nil {
		run.Warn("the worker did not end in order: %v", closed)
	}
	return err
}

func execute(ctx context.Context, e *engine.Remote, run *record.Run, flags workload.Flags, devices []*telemetry.Device, hz float64, p *progress) error {
	info := e.Info()
	spec, err := workload.New(flags, workload.Limits{Vocab: info.VocabSize, MaxModelTokens: info.MaxModelLen})
	if err != nil {
		return exitWith(exitUsage, err)
	}
	plan, err := spec.Prepare(ctx, func(ctx context.Context, texts []string) ([][]int32, error) {
		return engine.Tokenise(ctx, e, texts)
	})
	if err != nil {
		return err
	}
	run.Manifest.SetWorkload(spec)
	if err := run.Save(); err != nil {
		return err
	}
	p.stage("running %s", spec)
	if err := run.Watch(record.Watched{Host: telemetry.NewHost(), Devices: devices, WorkerPID: e.PID(), SampleHz: hz}); err != nil {
		return err
	}
	sink := run.Sink()
	return run.Measure(ctx, e, func() error {
		return workload.Run(ctx, e, spec, plan, func(b engine.Batch) error {
			p.update(b.Progress)
			return sink(b)
		})
	})
}

// conclude closes the record, writes the report from it, and turns what
// happened into an exit code. A run that failed keeps what it measured.
func conclude(stdout io.Writer, run *record.Run, cause error) error {
	state := record.Complete
	switch {
	case errors.Is(cause, errInterrupted):
		state = record.Interrupted
	case cause != nil:
		state = record.Failed
	}
	if err := run.Finish(state, cause); err != nil {
		return exitWith(exitInternal, errors.Join(cause, err))
	}
	if err := report.Write(run.Dir()); err != nil {
		return exitWith(exitInternal, errors.Join(cause, err))
	}
	rec, err := record.Open(run.Dir())
	if err != nil {
		return exitWith(exitInternal, errors.Join(cause, err))
	}
	fmt.Fprint(stdout, report.Brief(rec))
	if cause != nil {
		return failure(cause, run.Dir())
	}
	return verdict(rec)
}

// verdict is the exit code of a run that came to its end.
func verdict(rec *record.Record) error {
	summary := rec.Summary()
	switch {
	case summary == nil:
		return nil
	case summary.Counts.Failed > 0:
		return exitWith(exitFailedRows, fmt.Errorf("%d of %d requests failed: see %s",
			summary.Counts.Failed, summary.Counts.Planned, rec.Dir))
	case summary.Counts.Censored > 0:
		return exitWith(exitFailedRows, fmt.Errorf("%d of %d measured requests were cut off: see %s",
			summary.Counts.Censored, summary.Counts.Measured, rec.Dir))
	case !summary.Valid():
		return exitWith(exitInvalid, fmt.Errorf("the result is INVALID: see the gates in %s", rec.Dir))
	}
	return nil
}

// failure adds where the partial results are, and picks the exit code.
func failure(cause error, dir string) error {
	code := exitInternal
	var chosen *exitError
	switch {
	case errors.Is(cause, errInterrupted):
		code = exitInterrupted
	case errors.As(cause, &chosen):
		code = chosen.code
	case errors.Is(cause, engine.ErrEnvironment):
		code = exitEnvironment
	}
	return exitWith(code, fmt.Errorf("%w\nwhat was measured is in %s", cause, dir))
}

// limitsOf is what is known of the model before it is open.
func limitsOf(cfg engine.Config) workload.Limits {
	l := workload.Limits{MaxModelTokens: cfg.MaxModelLen}
	if s := cfg.Model.Shape; s != nil {
		l.Vocab = s.Vocab
		if l.MaxModelTokens == 0 {
			l.MaxModelTokens = s.MaxPositions
		}
	}
	return l
}

func tool() record.Tool {
	t := record.Tool{Version: version}
	if info, ok := debug.ReadBuildInfo(); ok {
		t.Go = info.GoVersion
	}
	return t
}
