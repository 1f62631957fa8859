package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/calibrations"
	"stepbench/bench/abtest/encode"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/bench/micro"
	"stepbench/bench/telemetry"
	"stepbench/build"
	"stepbench/engine"
)

func abFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "shapes", Value: "8q1s512", Usage: "steps to run, in the grammar of stepbench steps, by comma"},
		&cli.StringFlag{Name: "plan", Value: "standard", Usage: "how much to measure: " + planNames()},
		&cli.IntFlag{Name: "launches", Usage: "pairs of fresh processes", DefaultText: "the plan's"},
		&cli.StringFlag{Name: "quads", Usage: "quads with and without the profiler, per launch and shape, `A,T`", DefaultText: "the plan's"},
		&cli.StringFlag{Name: "delta", Usage: "change that does not matter, `PERCENT` of a step", DefaultText: "the plan's"},
		&cli.IntFlag{Name: "max-seconds", Usage: "begin nothing after so many seconds", DefaultText: "no limit"},
		&cli.IntFlag{Name: "together", Usage: "launches whose workers are opened side by side", DefaultText: "all on a GPU, 1 on a CPU"},
		&cli.IntFlag{Name: "prompts", Value: numerics.DefaultPrompts, Usage: "prompts to compare outputs on; 0 compares none"},
		&cli.IntFlag{Name: "output-len", Value: numerics.DefaultOptions().MaxTokens, Usage: "`TOKENS` that each is continued by"},
		&cli.BoolFlag{Name: "allow-numeric-change", Usage: "differing outputs do not decide the exit code"},
		&cli.BoolFlag{Name: "calibrate", Usage: "compare one build with itself and keep the noise floor"},
		&cli.StringFlag{Name: "calibrations", EnvVars: []string{"STEPBENCH_CALIBRATIONS"}, Value: "calibrations", Usage: "`DIR` of noise floors, beside those shipped"},
		&cli.StringSliceFlag{Name: "judge", Usage: "judge the records in `DIR` again instead of measuring; with --calibrate they may be several"},
		&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "of prompts and of the order of everything"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "md", Usage: "format on stdout: " + list(encode.Formats())},
		&cli.StringFlag{Name: "output-err", Aliases: []string{"oe", "e"}, Usage: "a second format on stderr"},
		&cli.StringFlag{Name: "out", Usage: "results `DIRECTORY`, new or empty", DefaultText: "results/<UTC>-ab"},
		variantsFlag(),
	}
}

func planNames() string {
	var names []string
	for _, p := range estimate.Plans() {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// comparison is what a command line asks for.
type comparison struct {
	cfg    engine.Config // of both arms, without variant
	job    abtest.Job
	builds map[string]build.Manifest
	floors calibrations.Set
	rules  abtest.Rules
	noises []string // why calibrations that are there do not hold
}

const (
	startStagger  = 200 * time.Millisecond
	warmUpGPU     = 3 * time.Second
	warmUpCPU     = time.Second
	kvReserve     = 256 << 20 // bytes beyond what the shapes need
	calibrateWith = estimate.CalibrationLaunches
)

func newComparison(c *cli.Context) (*comparison, error) {
	cfg, err := engineConfig(c)
	if err != nil {
		return nil, exitWith(exitUsage, err)
	}
	if cfg.PP > 1 {
		return nil, exitWith(exitUsage, micro.ErrQueued)
	}
	if cfg.Extra, err = kernelArgs(c, cfg.Extra); err != nil {
		return nil, exitWith(exitUsage, err)
	}
	for name, value := range numerics.EngineArgs(cfg.Model.Synthetic) {
		if _, set := cfg.Extra[name]; !set {
			cfg.Extra[name] = value
		}
	}
	ab := &comparison{cfg: cfg, builds: map[string]build.Manifest{}}
	plan, err1 := planOf(c)
	cells, err2 := shapesOf(c.String("shapes"))
	floors, err3 := calibrations.Load(c.String("calibrations"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, exitWith(exitUsage, err)
	}
	ab.floors = floors
	ab.job = abtest.Job{
		Cells: cells, Plan: plan, Seed: c.Uint64("seed"), Model: cfg.Model, WarmUp: warmUpCPU, Stagger: startStagger,
		Together: c.Int("together"), Apart: cfg.TP > 1,
	}
	if err := ab.sides(c); err != nil {
		return nil, err
	}
	if err := plan.Check(nil, plan.AttributionQuads, len(cells)); err != nil {
		return nil, exitWith(exitUsage, err)
	}
	if _, refused := micro.Check(cells, micro.ConfigLimits(cfg)); len(refused) > 0 {
		return nil, exitWith(exitUsage, refusals(refused))
	}
	ab.fit(c)
	if n := c.Int("max-seconds"); n > 0 {
		ab.job.Deadline = time.Now().Add(time.Duration(n) * time.Second)
	}
	ab.rules = abtest.Rules{AllowNumericChange: c.Bool("allow-numeric-change")}
	ab.job.Decide = func(ev *abtest.Evidence) estimate.Verdict { return ab.judge(ev).Verdict }
	if n := c.Int("prompts"); n > 0 && !c.Bool("calibrate") {
		ab.job.Check = outputCheck(n, c.Int("output-len"), cfg.Model.Synthetic, ab.job.Seed)
	}
	return ab, nil
}

func planOf(c *cli.Context) (estimate.Plan, error) {
	plan, err := estimate.PlanNamed(c.String("plan"))
	if err != nil {
		return plan, fmt.Errorf("--plan: %w", err)
	}
	if text := c.String("delta"); text != "" {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if err != nil || !(percent > 0 && percent < 100) {
			return plan, fmt.Errorf("--delta %q: want a percentage such as 0.5%%", text)
		}
		plan.Margin = percent / 100
	}
	if text := c.String("quads"); text != "" {
		if _, err := fmt.Sscanf(text, "%d,%d", &plan.AttributionQuads, &plan.TimingQuads); err != nil || plan.AttributionQuads < 1 || plan.TimingQuads < 1 {
			return plan, fmt.Errorf("--quads %q: want two numbers of at least 1, such as 8,24", text)
		}
	}
	n := c.Int("launches")
	if c.Bool("calibrate") && n == 0 {
		n = calibrateWith
	}
	switch {
	case n < 0:
		return plan, fmt.Errorf("--launches %d is negative", n)
	case n > 0:
		plan.Looks = []estimate.Look{{Launches: n, Alpha: plan.Looks[0].Alpha}}
	}
	return plan, nil
}

func shapesOf(text string) ([]micro.Cell, error) {
	batches, err := micro.ParseBatches("--shapes", text)
	if err != nil {
		return nil, err
	}
	return micro.Grid{Singles: batches}.Cells()
}

// sides finds the variants.
func (ab *comparison) sides(c *cli.Context) error {
	names := c.Args().Slice()
	switch {
	case c.Bool("calibrate") && len(names) == 1:
		names = append(names, names[0])
	case c.Bool("calibrate"):
		return exitWith(exitUsage, fmt.Errorf("--calibrate takes one variant, got %d: stepbench ab --calibrate stock", len(names)))
	case len(names) != 2:
		return exitWith(exitUsage, fmt.Errorf("ab takes two variants, got %d: stepbench ab stock NAME", len(names)))
	}
	store := build.Store{Dir: c.String(flagVariants)}
	for i, side := range []*abtest.Side{&ab.job.A, &ab.job.B} {
		side.Name = names[i]
		variant, host, chosen := strings.Cut(names[i], "@")
		side.Host = engine.HostMode(c.String("host"))
		if chosen {
			side.Host = engine.HostMode(host)
		}
		if !slices.Contains(append(slices.Clone(engine.HostModes), engine.HostPlain), side.Host) {
			return exitWith(exitUsage, fmt.Errorf("%s: host %q is not go, python or plain", names[i], side.Host))
		}
		if variant == engine.Stock {
			continue
		}
		m, err := store.Manifest(variant)
		if err != nil {
			return err
		}
		if side.Variant, err = store.Variant(variant); err != nil {
			return err
		}
		side.Unchanged = m.Source.Unchanged
		ab.builds[names[i]] = m
	}
	return nil
}

// fit gives both engines the room that the shapes need, and no more: two of
// them share a device, and what they get must not depend on who came first.
func (ab *comparison) fit(c *cli.Context) {
	needs := micro.Needs(ab.job.Cells)
	fitTo(&ab.cfg, needs)
	if c.Int("prompts") > 0 { // outputs are compared in batches of this size
		ab.cfg.MaxNumSeqs = max(ab.cfg.MaxNumSeqs, numerics.DefaultOptions().PromptsPerCall)
	}
	if !hasNVIDIA() {
		return
	}
	ab.job.WarmUp = warmUpGPU
	if ab.job.Together == 0 {
		ab.job.Together = ab.job.Plan.Looks[0].Launches
	}
	if shape := ab.cfg.Model.Shape; ab.cfg.KVCacheBytes == 0 && shape != nil {
		// vLLM refuses a cache that one sequence of full length does not fit.
		longest := ab.cfg.MaxModelLen
		if longest == 0 {
			longest = shape.MaxPositions
		}
		needs.KVTokens = max(needs.KVTokens, longest)
		ab.cfg.KVCacheBytes = kvReserve + micro.KVBytes(shape, needs)
	}
	if _, set := ab.cfg.Extra["gpu_memory_utilization"]; !set {
		// This share must be free at the start even where the cache has a fixed
		// size (vllm/v1/worker/utils.py, request_memory), beside other workers.
		ab.cfg.Extra["gpu_memory_utilization"] = 0.05
	}
}

// outputCheck compares what the arms generate from n random prompts.
func outputCheck(n, outputLen int, synthetic bool, seed uint64) func(context.Context, [2]abtest.Arm) (numerics.Report, error) {
	return func(ctx context.Context, arms [2]abtest.Arm) (numerics.Report, error) {
		prompts, err := numerics.Prompts(n, numerics.DefaultPromptTokens, arms[0].Info().VocabSize, seed)
		if err != nil {
			return numerics.Report{}, err
		}
		opt := numerics.DefaultOptions()
		opt.MaxTokens = outputLen
		return numerics.Check(ctx, blamed{abtest.ArmA, arms[0]}, blamed{abtest.ArmB, arms[1]}, prompts, numericRepeats, numerics.Rules{RandomWeights: synthetic}, opt)
	}
}

// numericRepeats of A say how far it differs from itself.
const numericRepeats = 3

// blamed marks an arm's errors as its own.
type blamed struct {
	which abtest.Which
	arm   abtest.Arm
}

func (b blamed) Call(ctx context.Context, method string, args, reply any) error {
	if err := b.arm.Call(ctx, method, args, reply); err != nil {
		return &abtest.ArmError{Arm: b.which, Err: err}
	}
	return nil
}

// judge gives the verdict with the calibrations that hold for this run.
func (ab *comparison) judge(ev *abtest.Evidence) *abtest.Result {
	if len(ev.Launches) > 0 && ev.Device == (telemetry.Limits{}) {
		if uuid := ev.Launches[0].Info[abtest.ArmA].DeviceUUID; uuid != "" {
			ev.Device, _ = telemetry.ReadLimits(uuid) // what is not known does not match
		}
	}
	ab.rules.Calibration = func(endpoint, cell string) *estimate.Calibration {
		c, why := ab.floors.Find(keyOf(ev, endpoint, cell))
		if why != "" {
			ab.noises = append(ab.noises, why)
		}
		return c
	}
	return abtest.Judge(ev, ab.rules)
}

// keyOf says what a calibration must have been made on to hold.
func keyOf(ev *abtest.Evidence, endpoint, cell string) estimate.Key {
	k := estimate.Key{Model: ev.Model.Name, Endpoint: endpoint, CellClass: cell}
	if cells, err := shapesOf(cell); err == nil && len(cells) == 1 {
		k.CellClass = abtest.Class(cells[0])
	}
	if len(ev.Launches) > 0 {
		info := &ev.Launches[0].Info[abtest.ArmA]
		k.Device, k.VLLMVersion = info.Device, info.VLLMVersion
		if threads := info.Env["OMP_NUM_THREADS"]; info.Platform == "cpu" && threads != "" {
			k.Device += " x " + threads
		}
		k.DriverMajor, k.MemoryBytes, k.PowerLimitWatts = ev.Device.DriverMajor, ev.Device.MemoryBytes, ev.Device.PowerLimitWatts
	}
	return k
}
