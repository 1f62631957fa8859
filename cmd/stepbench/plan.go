package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"stepbench/bench/capacity"
	"stepbench/bench/micro"
	"stepbench/bench/telemetry"
	"stepbench/engine"
	"stepbench/engine/preset"
)

func planCommand() *cli.Command {
	return &cli.Command{
		Name:  "plan",
		Usage: "estimate, on paper, whether a model fits on GPUs and how fast it may be there",
		Description: `Opens no engine and measures nothing: every figure is an estimate and says so. For
each layout whose devices divide --gpus (tensor parallel times pipeline parallel)
it gives the memory that vLLM would find, the largest batch of --context tokens a
sequence, and bounds of decode and prefill rates. With --measured, the output of
stepbench steps -o jsonl on one GPU, it also gives the rates to expect. A layout
that vLLM refuses is listed with vLLM's reason.

Examples:
   stepbench plan --model llama-2-13b --gpus 2 --device a100-40g
   stepbench plan --model llama-2-7b --gpus 4 --device h200 --context 4k --measured docs/benchmarks/h200/llama-2-7b.jsonl
   stepbench plan --model ./my-model --gpus 8 --device 80GiB -o json
   stepbench plan --model llama-2-7b --gpus 2 --link-gb-s pcie5          # on this machine's GPUs`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "preset (" + strings.Join(preset.Names(), ", ") + ", or NAME:N for N layers) or model folder"},
			&cli.IntFlag{Name: "gpus", Value: 1, Usage: "devices to spread over, at most 64"},
			&cli.StringFlag{Name: "device", Usage: strings.Join(capacity.DeviceNames(), ", ") + ", or its memory as 80GiB or in bytes", DefaultText: "this machine's GPU"},
			&cli.Float64Flag{Name: "bandwidth-gb-s", Usage: "peak `GB/S` of the device's memory", DefaultText: "the datasheet's"},
			&cli.Float64Flag{Name: "tflops", Usage: "peak dense `TFLOP/S` in 16 bits", DefaultText: "the datasheet's"},
			&cli.StringFlag{Name: "link-gb-s", Usage: "between devices: " + strings.Join(capacity.LinkNames(), ", ") + ", or GB/s in one direction", DefaultText: "the device's usual, else pcie4"},
			&cli.Float64Flag{Name: "link-us", Usage: "`µS` that starting a collective takes", DefaultText: "none counted"},
			&cli.StringFlag{Name: "measured", Usage: "`FILE` of steps measured on one device in 16 bits, best of the same model"},
			&cli.StringFlag{Name: "measured-device", Usage: "on which --measured was measured", DefaultText: "--device"},
			&cli.StringFlag{Name: "dtype", Usage: "weights, activations and KV cache: bfloat16, float16, float32", DefaultText: "16 bits"},
			&cli.StringFlag{Name: "context", Usage: "`TOKENS` of a sequence, output included", DefaultText: "2k, less if the model has fewer positions"},
			&cli.StringFlag{Name: "batch", Value: "1,8,32,128", Usage: "sequences to give rates for, where they fit"},
			&cli.IntFlag{Name: "max-num-batched-tokens", Value: 2048, Usage: "tokens in a step"},
			&cli.IntFlag{Name: "max-num-seqs", Value: 128, Usage: "sequences in a step"},
			&cli.Float64Flag{Name: "gpu-memory-utilization", Value: capacity.DefaultUtilization, Usage: "share of a device's memory that vLLM may use"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "md", Usage: "format on stdout: md, json"},
		},
		OnUsageError: usageError,
		Action:       planAction,
	}
}

// measuredElement is the bytes of an element in steps measured on a GPU; their
// lines do not say.
const measuredElement = 2

// maxPlannedGPUs bounds the layouts.
const maxPlannedGPUs = 64

func planAction(c *cli.Context) error {
	if c.NArg() > 0 {
		return exitWith(exitUsage, fmt.Errorf("plan takes no arguments, got %q", c.Args().First()))
	}
	if _, err := oneOf(c, "output", summaryFormats...); err != nil {
		return exitWith(exitUsage, err)
	}
	model, err := resolveModel(c.Context, c.String("model"))
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if model.Shape == nil {
		return exitWith(exitUsage, fmt.Errorf("the sizes of model %q are not known here: give a preset or a folder with the config.json of a Llama, Mistral, Qwen2, Qwen3 or GPT-2", model.Name))
	}
	plan, batches, err := planned(c, model)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if plan.Device, err = plannedDevice(c); err != nil {
		if errors.Is(err, telemetry.ErrNoDevice) {
			err = fmt.Errorf("this machine has no NVIDIA GPU: say with --device for which one to plan: %s, or its memory", strings.Join(capacity.DeviceNames(), ", "))
		}
		return exitWith(exitUsage, err)
	}
	if plan.Link, err = capacity.FindLink(c.String("link-gb-s"), plan.Device); err != nil {
		return exitWith(exitUsage, fmt.Errorf("--link-gb-s: %w", err))
	}
	rater := capacity.Rater{
		Model: model.Shape, Device: plan.Device, Link: plan.Link, Element: plan.Limits.ElementBytes, LatencyS: c.Float64("link-us") / 1e6,
	}
	if file := c.String("measured"); file != "" {
		if rater.Measured, err = figuresIn(c, file, plan); err != nil {
			return exitWith(exitUsage, fmt.Errorf("--measured %s: %w", file, err))
		}
		plan.From, plan.FromOn = file, rater.Measured.Device.Name
	}
	plan.Fill(rater, batches)
	if c.String("output") == "json" {
		return plan.WriteJSON(c.App.Writer)
	}
	return plan.WriteMarkdown(c.App.Writer)
}

// planned reads the flags that need no device.
func planned(c *cli.Context, model engine.Model) (*capacity.Plan, []int, error) {
	var none []int
	element, ok := capacity.Element(c.String("dtype"))
	contexts, err := []int{min(2048, model.Shape.MaxPositions)}, error(nil)
	if text := c.String("context"); text != "" {
		contexts, err = micro.ParseAxis("context", text)
	}
	if err == nil && len(contexts) != 1 {
		err = fmt.Errorf("--context %q: give one number of tokens", c.String("context"))
	}
	batches, batchErr := micro.ParseAxis("batch", c.String("batch"))
	switch {
	case !ok:
		return nil, none, fmt.Errorf("--dtype %q: choose bfloat16, float16 or float32", c.String("dtype"))
	case err != nil:
		return nil, none, err
	case batchErr != nil:
		return nil, none, batchErr
	case contexts[0] > model.Shape.MaxPositions:
		return nil, none, fmt.Errorf("--context %d: model %s has %d positions", contexts[0], model.Name, model.Shape.MaxPositions)
	}
	for _, name := range []string{"gpus", "max-num-batched-tokens", "max-num-seqs"} {
		if c.Int(name) < 1 || name == "gpus" && c.Int(name) > maxPlannedGPUs {
			return nil, none, fmt.Errorf("--%s %d: give at least 1, and at most %d GPUs", name, c.Int(name), maxPlannedGPUs)
		}
	}
	for _, name := range []string{"bandwidth-gb-s", "tflops", "link-us"} {
		if !(c.Float64(name) >= 0 && c.Float64(name) < 1e9) {
			return nil, none, fmt.Errorf("--%s %g: give a number above 0", name, c.Float64(name))
		}
	}
	if u := c.Float64("gpu-memory-utilization"); !(u > 0 && u <= 1) {
		return nil, none, fmt.Errorf("--gpu-memory-utilization %g: give a share above 0, at most 1", u)
	}
	dtype := c.String("dtype")
	if dtype == "" {
		dtype = "16 bits"
	}
	return &capacity.Plan{Model: model.Name, DType: dtype, GPUs: c.Int("gpus"), Limits: capacity.Limits{
		ElementBytes: element, Utilization: c.Float64("gpu-memory-utilization"), MaxBatchedTokens: c.Int("max-num-batched-tokens"),
		MaxSeqs: c.Int("max-num-seqs"), ContextTokens: contexts[0],
	}}, batches, nil
}

// plannedDevice is that of --device, else this machine's.
func plannedDevice(c *cli.Context) (capacity.Device, error) {
	var d capacity.Device
	if text := c.String("device"); text != "" {
		var err error
		if d, err = capacity.FindDevice(text); err != nil {
			return d, err
		}
	} else {
		list, err := telemetry.List(c.Context)
		if err != nil {
			return d, err
		}
		if len(list) == 0 {
			return d, telemetry.ErrNoDevice
		}
		d = capacity.Present(list[0].Name, list[0].MemoryBytes)
	}
	if x := c.Float64("bandwidth-gb-s"); x > 0 {
		d.BytesPerS, d.Source = x*1e9, d.Source+"; bandwidth given"
	}
	if x := c.Float64("tflops"); x > 0 {
		d.FLOPPerS, d.Source = x*1e12, d.Source+"; TFLOP/s given"
	}
	return d, nil
}

// figuresIn reads the steps in file and the shapes of their models.
func figuresIn(c *cli.Context, file string, plan *capacity.Plan) (*capacity.Measured, error) {
	device := plan.Device
	if text := c.String("measured-device"); text != "" {
		var err error
		if device, err = capacity.FindDevice(text); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cells, err := capacity.ReadCells(f)
	if err != nil {
		return nil, err
	}
	shapes := map[string]*engine.ModelShape{}
	for _, cell := range cells {
		shapes[cell.Model] = nil
	}
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		model, err := resolveModel(c.Context, name)
		if err != nil {
			return nil, err
		}
		shapes[name] = model.Shape
	}
	_, same := shapes[plan.Model]
	plan.Across = !same
	return capacity.NewMeasured(cells, device, measuredElement, shapes)
}
