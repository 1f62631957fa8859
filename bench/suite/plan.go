package suite

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"

	"stepbench/bench/arrival"
	"stepbench/bench/capacity"
	"stepbench/bench/dataset"
	"stepbench/bench/record"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// Machine is what a plan must fit.
type Machine struct {
	GPUs int // 0: the CPU is the device
	// MemoryBytes is that of one device; 0: not known, and not checked.
	MemoryBytes int64
	// Config resolves a model and an engine's options. Points differ in nothing
	// else but what NewManifest sets: parallelism and the tokenizer.
	Config func(model string, o EngineOptions) (engine.Config, error)
}

// NewManifest lays out the suite f on a machine: engines, points with the flags
// of each repeat, and what cannot run there. Errors are of bad input: a model
// or dataset that is not there.
func NewManifest(f *File, text string, m Machine) (*Manifest, error) {
	slo, err := workload.ParseSLO(f.SLO)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(text))
	out := &Manifest{
		SchemaVersion: SchemaVersion, Suite: f.Name, Profile: f.Profile, Text: text, TextSHA256: hex.EncodeToString(sum[:]),
		State: record.Running, SLO: slo, SampleHz: *f.SampleHz,
	}
	l := &layout{file: f, machine: m, out: out, configs: map[string]configured{}, ids: map[string]bool{}}
	var errs []error
	for _, c := range f.choices() {
		errs = append(errs, l.add(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("suite %s: %w", f.Name, err)
	}
	for _, name := range f.Datasets {
		if note := f.Dataset[name].note(name); note != "" {
			out.Warnings = append(out.Warnings, note)
		}
	}
	return out, nil
}

// layout collects a manifest.
type layout struct {
	file    *File
	machine Machine
	out     *Manifest
	configs map[string]configured // by model
	ids     map[string]bool
}

type configured struct {
	cfg engine.Config
	err error
}

func (l *layout) add(c choice) error {
	cfg, err := l.config(c.model)
	if err != nil {
		return fmt.Errorf("model %s: %w", c.model, err)
	}
	if c.dataset == string(dataset.KindC4) && l.file.C4 != "" {
		c.dataset = string(dataset.KindC4) + ":" + l.file.C4
	}
	what := c.varied
	if c.axis != "base" && c.axis != "cross" {
		what = c.axis + " " + c.varied
	}
	if err := cfg.CheckParallel(); err != nil {
		return fmt.Errorf("model %s: %w", c.model, err)
	}
	if why := l.cannot(c.parallelism, cfg); why != "" {
		l.out.NotRun = append(l.out.NotRun, NotRun{what, why})
		return nil
	}
	point := Point{
		ID: l.id(c), Label: c.varied, Axis: c.axis, Engine: engineName(c), Model: c.model, Dataset: l.name(c.dataset),
		Pattern: c.load(), Concurrency: c.concurrency, TP: c.parallelism.TP, PP: c.parallelism.PP, Devices: c.parallelism.Devices(),
	}
	source, err := dataset.ParseSource(c.dataset)
	if err != nil {
		return err
	}
	point.StandIn = source.Kind == dataset.KindC4 && source.Path == ""
	if c.open() {
		point.RatePerS = c.rate
	}
	point.Cut = l.file.Dataset[point.Dataset]
	for number := 1; number <= l.file.Repeats; number++ {
		flags := l.flags(c, uint64(number-1), &point)
		if err := flags.Validate(workload.Limits{}); err != nil {
			return fmt.Errorf("point %s: %w", point.ID, err)
		}
		limits := workload.Limits{MaxModelTokens: maxModelTokens(cfg)}
		if err := flags.Validate(limits); err != nil {
			l.out.NotRun = append(l.out.NotRun, NotRun{what, err.Error()})
			return nil
		}
		point.Repeats = append(point.Repeats, Repeat{Dir: fmt.Sprintf("%s/%s/%d", PointsDir, point.ID, number), Flags: flags})
	}
	l.out.Points = append(l.out.Points, point)
	l.engine(c, cfg, source)
	return nil
}

// name is a dataset without the path, which is nobody's axis label.
func (l *layout) name(text string) string {
	kind, path, ok := strings.Cut(text, ":")
	if ok && kind == string(dataset.KindC4) && path == l.file.C4 {
		return kind
	}
	return text
}

func (l *layout) config(model string) (engine.Config, error) {
	c, known := l.configs[model]
	if !known {
		c.cfg, c.err = l.machine.Config(model, l.file.Model[model].over(l.file.Engine))
		l.configs[model] = c
	}
	return c.cfg, c.err
}

// cannot says why an engine has no place on the machine; empty if it may have.
func (l *layout) cannot(p Parallelism, cfg engine.Config) string {
	switch n := p.Devices(); {
	case n > 1 && l.machine.GPUs == 0 && !l.file.CPURanks:
		return fmt.Sprintf("%s needs %d GPUs, this machine has none; cpu_ranks = true in a suite file lets ranks share its CPU", p, n)
	case cfg.Executor == engine.ExecutorRay: // its devices are elsewhere
		return ""
	case l.machine.GPUs > 0 && n > l.machine.GPUs:
		return fmt.Sprintf("%s needs %d GPUs, this machine has %d", p, n, l.machine.GPUs)
	}
	shape, spread := cfg.Model.Shape, capacity.Layout{TP: p.TP, PP: p.PP}
	if shape == nil {
		return ""
	}
	if why := spread.Refused(shape); why != "" {
		return fmt.Sprintf("vLLM refuses %s: %s", p, why)
	}
	if l.machine.GPUs == 0 {
		spread = capacity.Layout{TP: 1, PP: 1} // ranks share the memory
	}
	element, known := capacity.Element(cfg.DType)
	need := spread.WeightBytes(shape, element)
	if known && l.machine.MemoryBytes > 0 && need > l.machine.MemoryBytes {
		return fmt.Sprintf("its weights take %.1f GiB a device, a device has %.1f GiB of memory",
			float64(need)/(1<<30), float64(l.machine.MemoryBytes)/(1<<30))
	}
	return ""
}

// flags are those of one repeat: the same keys for all points.
func (l *layout) flags(c choice, repeat uint64, point *Point) workload.Flags {
	f := l.file
	d := workload.DefaultFlags()
	flags := workload.Flags{
		Dataset: c.dataset, InputTokens: d.InputTokens, OutputTokens: d.OutputTokens,
		Requests: f.Requests, Pattern: c.pattern, Concurrency: c.concurrency, SLO: l.out.SLO, Seed: f.Seed + repeat,
	}
	if c.open() {
		flags.RatePerS = c.rate
	}
	switch c.load() {
	case string(arrival.Burst):
		flags.BurstSize = f.Burst.Size
	case string(arrival.Gamma):
		flags.Shape = f.Burst.Shape
	case string(arrival.OnOff):
		flags.OnS, flags.OffS = f.Burst.OnS, f.Burst.OffS
	case string(arrival.Closed):
		flags.Pattern = ""
	}
	if f.WindowS > 0 {
		point.WarmUp = max(workload.WarmUpRequests, int(math.Ceil(f.WarmUpS*c.rate)))
		flags.Requests = point.WarmUp + int(math.Ceil(f.WindowS*c.rate))
		if !c.open() { // as many as the base would see: there is no rate to count by
			flags.Requests = max(flags.Requests, 4*c.concurrency)
		}
	}
	if n := point.Cut.Requests; n > 0 {
		flags.Requests = n
	}
	return flags
}

func (l *layout) engine(c choice, cfg engine.Config, source dataset.Source) {
	name := engineName(c)
	e := l.out.engine(name)
	if e == nil {
		cfg.TP, cfg.PP = c.parallelism.TP, c.parallelism.PP
		l.out.Engines = append(l.out.Engines, Engine{
			Name: name, Dir: EnginesDir + "/" + fileName(name), Model: c.model, TP: c.parallelism.TP, PP: c.parallelism.PP, Config: cfg,
		})
		e = l.out.engine(name)
	}
	if source.Path != "" && source.Kind.Text() {
		e.Config.SkipTokenizer = false
	}
}

func engineName(c choice) string {
	if c.parallelism.Devices() == 1 {
		return c.model
	}
	return c.model + " " + c.parallelism.String()
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

const maxFileName = 80

// fileName makes a text fit for a file's name.
func fileName(text string) string {
	name := strings.Trim(unfit.ReplaceAllString(text, "-"), "-.")
	if len(name) > maxFileName {
		sum := sha256.Sum256([]byte(text))
		name = name[:maxFileName-9] + "-" + hex.EncodeToString(sum[:4])
	}
	if name == "" {
		return "x"
	}
	return name
}

// id is unique among the points.
func (l *layout) id(c choice) string {
	text := c.varied
	switch c.axis {
	case "base", "cross":
	case "rate":
		text = fmt.Sprintf("rate-%g", c.rate)
	case "concurrency":
		text = fmt.Sprintf("concurrency-%d", c.concurrency)
	default:
		text = c.axis + "-" + c.varied
	}
	id := fileName(text)
	for n := 2; l.ids[id]; n++ {
		id = fmt.Sprintf("%s-%d", fileName(text), n)
	}
	l.ids[id] = true
	return id
}

func maxModelTokens(cfg engine.Config) int {
	if cfg.MaxModelLen == 0 && cfg.Model.Shape != nil {
		return cfg.Model.Shape.MaxPositions
	}
	return cfg.MaxModelLen
}

// note says how a dataset was cut down, empty if it was not.
func (d DatasetOptions) note(name string) string {
	var parts []string
	if d.InputTokens > 0 {
		parts = append(parts, fmt.Sprintf("inputs of %d", d.InputTokens))
	}
	if d.OutputTokens > 0 {
		parts = append(parts, fmt.Sprintf("outputs of %d", d.OutputTokens))
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("dataset %s is cut down to %s tokens by the suite", name, strings.Join(parts, " and "))
}
