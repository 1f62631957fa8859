package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"stepbench/bench/micro"
	"stepbench/bench/micro/encode"
	"stepbench/engine"
)

func stepsCommand() *cli.Command {
	return &cli.Command{
		Name:      "steps",
		Usage:     "measure what one engine step of a given shape costs, and where it goes",
		ArgsUsage: "[SHAPE...]",
		Description: `Shapes are the product of --phase, --batch, --context and --chunk, and those given
as arguments in the grammar of vLLM's attention benchmarks: 8q1s1k is 8 requests of
one query token at 1024 tokens of context, q512 a prefill of 512, and
2q512_32q1s1k a mixed step. Axes take lists and ranges: 1,8,32 128..2048*2 64..256+64.

Every measured step is compared with its plan; steps that differ are discarded and
counted. Results go to stdout as they are asked for with -o, progress to stderr.

Examples:
   stepbench steps --model gpt2 --batch 1,8,32 --context 128..512*2
   stepbench steps --model llama-2-7b 8q1s1k 32q1s1k q2k -o jsonl > steps.jsonl
   stepbench steps --model gpt2 --eager --profile quick -o benchfmt -e md | benchstat /dev/stdin
   stepbench steps --model gpt2 8q1s512 --custom-ops +silu_and_mul --trace trace.json`,
		Flags:        slices.Concat(engineFlags(), stepsFlags(), kernelFlags(), budgetFlags()),
		OnUsageError: usageError,
		Action:       stepsAction,
	}
}

func stepsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "phase", Value: "prefill,decode", Usage: "prefill, decode, mixed"},
		&cli.StringFlag{Name: "batch", Usage: "requests in a step", DefaultText: "1,8 where no shape is given"},
		&cli.StringFlag{Name: "context", Usage: "tokens of a sequence after the step", DefaultText: "128,512 where no shape is given"},
		&cli.StringFlag{Name: "chunk", Usage: "prompt tokens in a step, for chunked prefill and mixed steps"},
		&cli.StringFlag{Name: "profile", Value: "standard", Usage: "how long to measure: quick or standard"},
		&cli.BoolFlag{Name: "no-attribution", Usage: "do not profile kernels or ops after timing"},
		&cli.BoolFlag{Name: "ceilings", Usage: "measure the device's copy bandwidth and matrix product first"},
		&cli.BoolFlag{Name: "skip-impossible", Usage: "list shapes that cannot run instead of refusing the command"},
		&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "of prompts and of the order of shapes"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "md", Usage: "format on stdout: " + list(encode.Formats())},
		&cli.StringFlag{Name: "output-err", Aliases: []string{"oe", "e"}, Usage: "a second format on stderr"},
		&cli.StringFlag{Name: "raw", Usage: "write every step to this Parquet `FILE`"},
		&cli.StringFlag{Name: "trace", Usage: "write a few more steps of each shape, with their kernels or ops, to this Chrome/Perfetto trace `FILE`"},
		&cli.StringFlag{Name: "figure", Usage: "write the heat map to `FILE`.png and `FILE`.svg"},
	}
}

// stepsJob is what a command line asks for.
type stepsJob struct {
	cells       []micro.Cell
	refused     []micro.Refusal
	rules       micro.Rules
	stdout, err encode.Format // err is empty for none
}

func stepsAction(c *cli.Context) error {
	cfg, err := engineConfig(c)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if cfg.PP > 1 {
		return exitWith(exitUsage, micro.ErrQueued)
	}
	if cfg.Extra, err = kernelArgs(c, cfg.Extra); err != nil {
		return exitWith(exitUsage, err)
	}
	job, err := newStepsJob(c, cfg)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	fitTo(&cfg, micro.Needs(job.cells))
	ctx, stop := interruptible(c.Context)
	defer stop()
	p := newProgress(c.App.ErrWriter)
	res, cause := measureSteps(ctx, c, cfg, job, p)
	p.clear()
	if res == nil {
		return stepsFailure(cause)
	}
	if err := deliver(c, job, res); err != nil {
		return exitWith(exitInternal, errors.Join(cause, err))
	}
	if cause != nil {
		return stepsFailure(cause)
	}
	for i := range res.Cells {
		if !res.Cells[i].Valid {
			return exitWith(exitInvalid, fmt.Errorf("shape %s is INVALID: %s", res.Cells[i].Cell.Name(), strings.Join(res.Cells[i].Flags, ", ")))
		}
	}
	return nil
}

func stepsFailure(cause error) error {
	var chosen *exitError
	switch {
	case errors.As(cause, &chosen):
		return cause
	case errors.Is(cause, errInterrupted):
		return exitWith(exitInterrupted, cause)
	case errors.Is(cause, engine.ErrEnvironment):
		return exitWith(exitEnvironment, cause)
	}
	return exitWith(exitInternal, cause)
}

func newStepsJob(c *cli.Context, cfg engine.Config) (*stepsJob, error) {
	rules, err1 := micro.RulesByName(c.String("profile"))
	format, err2 := oneOf(c, "output", encode.Formats()...)
	second, err3 := oneOf(c, "output-err", encode.Formats()...)
	cells, err4 := cellsOf(c)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	limits := micro.ConfigLimits(cfg)
	limits.KVFrom = kvSource(c, cfg)
	runnable, refused := micro.Check(cells, limits)
	if len(refused) > 0 && !c.Bool("skip-impossible") {
		return nil, refusals(refused)
	}
	if len(runnable) == 0 {
		return nil, errors.Join(errors.New("no shape can run"), refusals(refused))
	}
	return &stepsJob{runnable, refused, rules, format, second}, nil
}

func refusals(refused []micro.Refusal) error {
	var all []error
	for _, r := range refused {
		all = append(all, r)
	}
	return errors.Join(all...)
}

// cellsOf reads axes and shapes. Axes not given have defaults only where no
// shape is given either.
func cellsOf(c *cli.Context) ([]micro.Cell, error) {
	var g micro.Grid
	var errs []error
	if c.NArg() > 0 {
		singles, err := micro.ParseBatches("SHAPE", strings.Join(c.Args().Slice(), ","))
		g.Singles, errs = singles, append(errs, err)
	}
	axis := func(name, fallback string) []int {
		text := c.String(name)
		if text == "" && c.NArg() == 0 {
			text = fallback
		}
		if text == "" {
			return nil
		}
		values, err := micro.ParseAxis("--"+name, text)
		errs = append(errs, err)
		return values
	}
	g.Batches, g.Contexts, g.Chunks = axis("batch", "1,8"), axis("context", "128,512"), axis("chunk", "")
	for _, name := range strings.Split(c.String("phase"), ",") {
		phase := micro.Phase(name)
		if !slices.Contains(micro.Phases(), phase) {
			errs = append(errs, fmt.Errorf("--phase %q is not one of %v", name, micro.Phases()))
		} else if len(g.Batches) > 0 {
			g.Phases = append(g.Phases, phase)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return g.Cells()
}

// kvSource is who chose the size of the KV cache.
func kvSource(c *cli.Context, cfg engine.Config) micro.KVSource {
	switch {
	case c.Int64("kv-cache-mib") > 0:
		return micro.KVFlag
	case cfg.KVCacheBytes > 0:
		return micro.KVDefault
	}
	return micro.KVEngine
}

// fitTo gives the engine the room that the cells need, where the user did not
// choose; steps must not be cut by a limit that nobody meant.
func fitTo(cfg *engine.Config, needs micro.Limits) {
	if cfg.MaxNumBatchedTokens == 0 {
		cfg.MaxNumBatchedTokens = max(needs.Tokens, 2048)
	}
	if cfg.MaxNumSeqs == 0 {
		cfg.MaxNumSeqs = max(needs.Seqs, 8)
	}
}

func measureSteps(ctx context.Context, c *cli.Context, cfg engine.Config, job *stepsJob, p *progress) (*micro.Results, error) {
	p.stage("opening %s", cfg.Model.Name)
	start := time.Now()
	remote, err := openPlayer(ctx, cfg, workerOptions(c, p))
	if err != nil {
		return nil, err
	}
	defer remote.Close()
	info := remote.Info()
	p.stage("engine open after %.1f s: vLLM %s on %s", time.Since(start).Seconds(), info.VLLMVersion, info.Device)
	limits := micro.InfoLimits(info)
	limits.KVFrom = kvSource(c, cfg)
	runnable, refused := micro.Check(job.cells, limits)
	if len(refused) > 0 && !c.Bool("skip-impossible") {
		return nil, exitWith(exitUsage, refusals(refused))
	}
	opt := micro.Options{
		Rules: job.rules, Seed: c.Uint64("seed"), Model: cfg.Model, Attribution: !c.Bool("no-attribution"), Trace: c.String("trace") != "",
		Progress:   p.cell,
		Conditions: micro.AskConditions(remote.Call),
	}
	if c.Bool("ceilings") {
		p.stage("measuring ceilings")
		if opt.Ceilings, err = ceilings(ctx, remote, info); err != nil {
			return nil, err
		}
	}
	res, err := micro.Run(ctx, remote, runnable, opt)
	if res != nil {
		res.Refused = append(job.refused, refused...)
	}
	return res, err
}

// player is an engine that executes scripts.
type player interface {
	micro.Player
	Call(ctx context.Context, method string, args, reply any) error
	Close() error
}

func openPlayer(ctx context.Context, cfg engine.Config, opt engine.WorkerOptions) (player, error) {
	if opt.Host.Mode == engine.HostPlain {
		return engine.OpenPlain(ctx, cfg, opt)
	}
	return engine.OpenRemote(ctx, cfg, opt)
}

// ceilings asks the worker for what the device reaches at most.
func ceilings(ctx context.Context, e player, info engine.Info) (micro.Ceilings, error) {
	var reply struct {
		CopyBytesPerS  float64 `json:"copy_bytes_per_s"`
		MatmulFLOPPerS float64 `json:"matmul_flop_per_s"`
	}
	err := e.Call(ctx, "ceilings", map[string]string{"dtype": info.DType}, &reply)
	return micro.Ceilings{CopyBytesPerS: reply.CopyBytesPerS, MatmulFLOPPerS: reply.MatmulFLOPPerS}, err
}
