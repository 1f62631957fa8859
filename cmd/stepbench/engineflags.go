package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"stepbench/engine"
	"stepbench/engine/preset"
	"stepbench/internal/cachedir"
)

// engineFlags are those of every command that opens an engine.
func engineFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "model", Value: "gpt2", Usage: "preset (" + strings.Join(preset.Names(), ", ") + ", or NAME:N for N layers), model folder, or hub name"},
		&cli.StringFlag{Name: "dtype", Usage: "weights and activations: bfloat16, float16, float32", DefaultText: "vLLM's; float32 on a CPU without bfloat16 instructions"},
		&cli.BoolFlag{Name: "eager", Usage: "no torch.compile, no CUDA graphs"},
		&cli.IntFlag{Name: "max-model-len", Usage: "longest prompt plus output, `TOKENS`", DefaultText: "the model's"},
		&cli.IntFlag{Name: "max-num-seqs", Usage: "requests in a step", DefaultText: "vLLM's"},
		&cli.IntFlag{Name: "max-num-batched-tokens", Usage: "tokens in a step", DefaultText: "vLLM's"},
		&cli.Int64Flag{Name: "kv-cache-mib", Usage: "KV cache `MIB`", DefaultText: "1024 on a CPU, what fits on a GPU"},
		&cli.IntFlag{Name: "tp", Value: 1, Usage: "tensor parallel `RANKS`: each layer spread over so many devices"},
		&cli.IntFlag{Name: "pp", Value: 1, Usage: "pipeline parallel `RANKS`: the layers in so many stages; times tp is the number of devices, or of processes that share a CPU"},
		&cli.StringFlag{Name: "executor", Usage: "how vLLM runs ranks: uni (in the worker), mp (processes of this host), ray (a Ray cluster; not on a CPU)", DefaultText: "uni, mp for several ranks"},
		&cli.StringSliceFlag{Name: "engine-arg", Usage: "any vLLM EngineArgs field, `NAME=JSON`; may repeat"},
		&cli.DurationFlag{Name: "step-timeout", Value: 5 * time.Minute, Usage: "silence after which a worker counts as hung; a first step may compile"},
		&cli.StringFlag{Name: "host", Value: string(defaultHost()), DefaultText: "python beside an NVIDIA GPU, else go", Usage: "worker process: go (this program embeds libpython), python (the python executable loads the worker), or, for steps and ab, plain (a Python loop without Go)"},
		&cli.BoolFlag{Name: "verbose", Usage: "show the worker's log"},
	}
	return append(flags, hostFlags()...)
}

// defaultHost is python where steps wait for the interpreter: with Ubuntu's, whose
// executable is faster than its library, the fastest steps of gpt2 on an H200 took
// 2.6 % longer than in a loop without Go, and 8.5 % longer with the host go. On a
// CPU the kernels take nearly all of a step.
func defaultHost() engine.HostMode {
	if hasNVIDIA() {
		return engine.HostPython
	}
	return engine.HostGo
}

const cpuKVCacheMiB = 1024

// engineConfig resolves the model and the limits. Text is never needed here, so
// the engine opens without a tokenizer.
func engineConfig(c *cli.Context) (engine.Config, error) {
	model, err := resolveModel(c.Context, c.String("model"))
	if err != nil {
		return engine.Config{}, err
	}
	extra, err := engineArgs(c.StringSlice("engine-arg"))
	if err != nil {
		return engine.Config{}, err
	}
	for _, name := range []string{"max-model-len", "max-num-seqs", "max-num-batched-tokens", "kv-cache-mib", "token-budget", "seq-budget"} {
		if c.Int64(name) < 0 {
			return engine.Config{}, fmt.Errorf("--%s %d is negative", name, c.Int64(name))
		}
	}
	for _, name := range []string{"tp", "pp"} {
		if c.Int(name) < 1 {
			return engine.Config{}, fmt.Errorf("--%s %d: at least 1", name, c.Int(name))
		}
	}
	cfg := forThisMachine(engine.Config{
		Model: model, DType: c.String("dtype"), EnforceEager: c.Bool("eager"),
		MaxModelLen: c.Int("max-model-len"), MaxNumSeqs: max(c.Int("max-num-seqs"), c.Int("seq-budget")),
		MaxNumBatchedTokens: max(c.Int("max-num-batched-tokens"), c.Int("token-budget")), KVCacheBytes: c.Int64("kv-cache-mib") << 20,
		TP: c.Int("tp"), PP: c.Int("pp"), Executor: engine.Executor(c.String("executor")),
		SkipTokenizer: true, Extra: extra,
	})
	return cfg, errors.Join(cfg.CheckParallel(), preset.CheckWeights(&cfg))
}

// forThisMachine fills in what vLLM's own defaults get wrong without a GPU: a KV
// cache as large as the memory, and bfloat16 where it is emulated.
func forThisMachine(cfg engine.Config) engine.Config {
	if hasNVIDIA() {
		return cfg
	}
	if cfg.KVCacheBytes == 0 {
		cfg.KVCacheBytes = cpuKVCacheMiB << 20
	}
	if cfg.DType == "" && slowBF16() {
		cfg.DType = "float32"
	}
	return cfg
}

// engineArgs reads NAME=JSON pairs; a value that is not JSON is a string.
func engineArgs(pairs []string) (map[string]any, error) {
	args := map[string]any{}
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--engine-arg %q is not NAME=JSON", pair)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		args[name] = value
	}
	return args, nil
}

// workerOptions follow the flags; the worker's own stages are shown, its log
// only on request.
func workerOptions(c *cli.Context, p *progress) engine.WorkerOptions {
	verbose := c.Bool("verbose")
	return engine.WorkerOptions{
		Host: engine.Host{
			Python: c.String("python"), Shim: c.String("shim"), Mode: engine.HostMode(c.String("host")),
		},
		StepTimeout: c.Duration("step-timeout"),
		Log: func(line string) {
			if verbose {
				fmt.Fprintln(p.out, line)
			}
		},
	}
}

// resolveModel finds the model of that name; what a preset needs is in the cache.
func resolveModel(ctx context.Context, name string) (engine.Model, error) {
	cache, err := cachedir.Private("models")
	if err != nil {
		return engine.Model{}, err
	}
	return preset.Resolve(ctx, name, cache)
}
