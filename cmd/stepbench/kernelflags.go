package main

import (
	"fmt"
	"maps"
	"strings"

	"github.com/urfave/cli/v2"
)

// kernelFlags choose the kernels that an engine runs. They are short forms of
// EngineArgs fields.
func kernelFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cudagraph", Usage: strings.Join(cudagraphModes, ", "), DefaultText: "vLLM's"},
		&cli.StringFlag{Name: "custom-ops", Usage: "ops that run vLLM's own kernel (+op) or torch's (-op), by comma"},
		&cli.StringSliceFlag{Name: "ir-op-priority", Usage: "implementation of an IR op, `OP=vllm_c`; may repeat"},
		&cli.StringFlag{Name: "attention-backend", Usage: "vLLM's name of it, such as FLASH_ATTN"},
	}
}

// budgetFlags size a step. They are those of commands that make steps of given
// shapes.
func budgetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "token-budget", Usage: "the same as --max-num-batched-tokens", DefaultText: "what the shapes need"},
		&cli.IntFlag{Name: "seq-budget", Usage: "the same as --max-num-seqs", DefaultText: "what the shapes need"},
	}
}

var cudagraphModes = []string{"NONE", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"}

// kernelArgs adds what the flags mean to the engine's arguments.
func kernelArgs(c *cli.Context, extra map[string]any) (map[string]any, error) {
	args := maps.Clone(extra)
	compilation := map[string]any{}
	if given, ok := args["compilation_config"].(map[string]any); ok {
		maps.Copy(compilation, given)
	}
	if mode := strings.ToUpper(c.String("cudagraph")); mode != "" {
		if !strings.Contains(" "+strings.Join(cudagraphModes, " ")+" ", " "+mode+" ") {
			return nil, fmt.Errorf("--cudagraph %s is not one of %s", mode, strings.Join(cudagraphModes, ", "))
		}
		compilation["cudagraph_mode"] = mode
	}
	if ops := c.String("custom-ops"); ops != "" {
		list := strings.Split(ops, ",")
		for _, op := range list {
			if len(op) < 2 || op[0] != '+' && op[0] != '-' && op != "all" && op != "none" {
				return nil, fmt.Errorf("--custom-ops %q is not +op, -op, all or none", op)
			}
		}
		compilation["custom_ops"] = list
	}
	if len(compilation) > 0 {
		args["compilation_config"] = compilation
	}
	priority := map[string][]string{}
	for _, pair := range c.StringSlice("ir-op-priority") {
		op, names, ok := strings.Cut(pair, "=")
		if !ok || op == "" || names == "" {
			return nil, fmt.Errorf("--ir-op-priority %q is not OP=IMPLEMENTATION", pair)
		}
		priority[op] = strings.Split(names, ",")
	}
	if len(priority) > 0 {
		args["ir_op_priority"] = priority
	}
	if backend := c.String("attention-backend"); backend != "" {
		args["attention_backend"] = backend
	}
	return args, nil
}
