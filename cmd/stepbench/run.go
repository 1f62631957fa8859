package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"stepbench/bench/arrival"
	"stepbench/bench/record"
	"stepbench/bench/report"
	"stepbench/bench/workload"
	"stepbench/engine"
)

func runCommand() *cli.Command {
	d := workload.DefaultFlags()
	return &cli.Command{
		Name:  "run",
		Usage: "measure a model under requests that arrive on their own schedule",
		Description: `Opens the model in a worker process, admits requests between engine steps as
they arrive, and leaves a run directory: manifest.json, requests.parquet,
steps.parquet and report.md.

Examples:
   stepbench run --model gpt2
   stepbench run --model smollm2-135m-instruct --rate 4 --requests 100 --out results/a
   stepbench run --model ./my-model --pattern burst --burst-size 8 --rate 2
   stepbench run --model llama-2-7b:2 --rate inf --requests 200 --input-len 512`,
		Flags: append(engineFlags(),
			&cli.IntFlag{Name: "requests", Value: d.Requests, Usage: "number of requests"},
			&cli.StringFlag{Name: "rate", Value: formatRate(d.RatePerS), Usage: "offered `REQ/S`; inf sends everything at once"},
			&cli.StringFlag{Name: "pattern", Value: d.Pattern, Usage: "arrivals: " + patternNames()},
			&cli.IntFlag{Name: "burst-size", Usage: "requests in a group, for pattern burst"},
			&cli.Float64Flag{Name: "shape", Usage: "shape of the gaps, for pattern gamma"},
			&cli.BoolFlag{Name: "raw", Usage: "keep the drawn arrivals instead of scaling them to the exact rate"},
			&cli.IntFlag{Name: "input-len", Value: d.InputTokens, Usage: "prompt `TOKENS`"},
			&cli.IntFlag{Name: "output-len", Value: d.OutputTokens, Usage: "output `TOKENS`"},
			&cli.Uint64Flag{Name: "seed", Value: d.Seed, Usage: "of arrivals and prompts"},
			&cli.StringFlag{Name: "out", Usage: "run `DIRECTORY`, new or empty", DefaultText: "results/<UTC>-run"},
		),
		OnUsageError: usageError,
		Action:       runAction,
	}
}

func runAction(c *cli.Context) error {
	if c.NArg() > 0 {
		return exitWith(exitUsage, fmt.Errorf("run takes flags only, got %q", c.Args().First()))
	}
	flags, err := workloadFlags(c)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	cfg, err := engineConfig(c)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if err := flags.Validate(limitsOf(cfg)); err != nil {
		return exitWith(exitUsage, err)
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
	err = execute(ctx, remote, run, flags, p)
	// After a failure its own error says more than that of the closing.
	if closed := remote.Close(); err == nil && closed != nil {
		run.Warn("the worker did not end in order: %v", closed)
	}
	return err
}

func execute(ctx context.Context, e engine.Engine, run *record.Run, flags workload.Flags, p *progress) error {
	info := e.Info()
	spec, err := workload.New(flags, workload.Limits{Vocab: info.VocabSize, MaxModelTokens: info.MaxModelLen})
	if err != nil {
		return exitWith(exitUsage, err)
	}
	plan, err := spec.Plan()
	if err != nil {
		return err
	}
	run.Manifest.SetWorkload(spec)
	if err := run.Save(); err != nil {
		return err
	}
	p.stage("running %s", spec)
	sink := run.Sink()
	return e.Run(ctx, plan, func(b engine.Batch) error {
		p.update(b.Progress)
		return sink(b)
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

func workloadFlags(c *cli.Context) (workload.Flags, error) {
	rate, err := parseRate(c.String("rate"))
	if err != nil {
		return workload.Flags{}, err
	}
	return workload.Flags{
		Requests: c.Int("requests"), RatePerS: rate, Pattern: c.String("pattern"),
		BurstSize: c.Int("burst-size"), Shape: c.Float64("shape"), Raw: c.Bool("raw"),
		InputTokens: c.Int("input-len"), OutputTokens: c.Int("output-len"), Seed: c.Uint64("seed"),
	}, nil
}

func parseRate(text string) (float64, error) {
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(rate) {
		return 0, fmt.Errorf("--rate %q is not a number of requests per second, nor inf", text)
	}
	return rate, nil
}

func formatRate(rate float64) string { return strconv.FormatFloat(rate, 'g', -1, 64) }

func patternNames() string {
	var names []string
	for _, p := range arrival.Patterns() {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
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
