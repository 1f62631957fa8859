package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"stepbench/build"
)

const (
	flagVariants = "variants"
	flagSource   = "source"
	flagDevice   = "device"
)

// variantsFlag says where variants are kept.
func variantsFlag() cli.Flag {
	return &cli.StringFlag{Name: flagVariants, EnvVars: []string{"STEPBENCH_VARIANTS"}, Value: "variants",
		Usage: "`DIR` that variants are kept in"}
}

func buildCommand() *cli.Command {
	return &cli.Command{
		Name:      "build",
		Usage:     "compile what a change of vLLM's csrc affects into a variant",
		ArgsUsage: "NAME",
		Description: `Finds the changed files of a vLLM source tree, compiles the translation units that
include them with vLLM's own flags, and links a library that registers their ops over
those of the installed vLLM. The variant, NAME/override.so and NAME/manifest.json, is
kept in --variants; "stock", the kernels that vLLM came with, is always there.

Changed is what differs from the unchanged tree in out/vllm-source (make vllm-source)
or --pristine; from a revision of the tree's own repository with --against; or the
files named with --files, which need not differ at all.

A change of a schema, of vLLM's CMake files or of units that scripts generate needs
--full: vLLM's own CMake targets, built in the tree. Its CMake fetches other projects;
point it at local copies with its own variables, such as VLLM_CUTLASS_SRC_DIR and, for
the CPU, FETCHCONTENT_SOURCE_DIR_ONEDNN.

Exit code: 0; 64 wrong input, or source that does not compile; 69 a tool is missing;
130 interrupted. Nothing is kept unless it is 0.

Examples:
  cp -r out/vllm-source my-vllm && edit my-vllm/csrc/cpu/pos_encoding.cpp
  stepbench build faster-rope --source my-vllm
  stepbench build fused --source ~/vllm --against v0.26.0 --device cuda
  stepbench build same --source out/vllm-source --files csrc/libtorch_stable/activation_kernels.cu --device cuda --arch 9.0
  stepbench build --list
  stepbench build --verify faster-rope`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: flagSource, Usage: "vLLM source `TREE` with the change"},
			&cli.StringFlag{Name: "against", Usage: "what has changed since `REV` of the tree's repository"},
			&cli.StringFlag{Name: "files", Usage: "what has changed, paths in the tree by comma"},
			&cli.StringFlag{Name: "pristine", Usage: "unchanged tree to compare with", DefaultText: "the nearest out/vllm-source"},
			&cli.StringFlag{Name: flagDevice, Value: string(build.CPU), Usage: "cpu or cuda"},
			&cli.StringFlag{Name: "arch", Usage: "compute capabilities to compile for, by comma", DefaultText: "the present GPU's"},
			&cli.BoolFlag{Name: "full", Usage: "build whole modules by vLLM's own CMake targets, in the tree"},
			&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Usage: "compilers at a time", DefaultText: "one for each core"},
			variantsFlag(),
			hostFlags()[0],
			&cli.BoolFlag{Name: "list", Usage: "list the variants"},
			&cli.StringFlag{Name: "show", Usage: "print the manifest of the variant `NAME`"},
			&cli.StringFlag{Name: "verify", Usage: "compare the files of the variant `NAME` with its manifest"},
			&cli.BoolFlag{Name: flagJSON, Usage: "print JSON"},
		},
		OnUsageError: usageError,
		Action:       buildAction,
	}
}

func buildAction(c *cli.Context) error {
	store := build.Store{Dir: c.String(flagVariants)}
	asked := 0
	for _, name := range []string{"list", "show", "verify"} {
		if c.IsSet(name) {
			asked++
		}
	}
	if asked > 1 || asked == 1 && c.Args().Present() {
		return exitWith(exitUsage, errors.New("one of NAME, --list, --show and --verify at a time"))
	}
	var err error
	switch {
	case c.Bool("list"):
		err = listVariants(c, store)
	case c.IsSet("show"):
		err = showVariant(c, store, c.String("show"))
	case c.IsSet("verify"):
		err = verifyVariant(c, store, c.String("verify"))
	case c.NArg() != 1:
		err = exitWith(exitUsage, fmt.Errorf("build takes one NAME, got %d: stepbench build NAME --source TREE", c.NArg()))
	default:
		err = buildVariant(c, store)
	}
	return buildFailure(err)
}

// buildFailure gives an error of package build its exit code.
func buildFailure(err error) error {
	var chosen *exitError
	var input *build.InputError
	var compile *build.CompileError
	var tool *build.ToolError
	switch {
	case err == nil || errors.As(err, &chosen):
		return err
	case errors.Is(err, errInterrupted):
		return exitWith(exitInterrupted, err)
	case errors.As(err, &input), errors.As(err, &compile):
		return exitWith(exitUsage, err)
	case errors.As(err, &tool):
		return exitWith(exitEnvironment, err)
	}
	return exitWith(exitInternal, err)
}

func buildVariant(c *cli.Context, store build.Store) error {
	ctx, stop := interruptible(c.Context)
	defer stop()
	p := newProgress(c.App.ErrWriter)
	m, err := store.Build(ctx, build.Options{
		Name: c.Args().First(), Source: c.String(flagSource),
		Against: c.String("against"), Files: commaList(c.String("files")), Pristine: c.String("pristine"),
		Device: build.Device(c.String(flagDevice)), Archs: commaList(c.String("arch")),
		Full: c.Bool("full"), Jobs: c.Int("jobs"), Python: c.String(flagPython),
		Progress: func(line string) { p.stage("%s", line) },
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	for _, w := range m.Warnings {
		p.stage("warning: %s", w)
	}
	if c.Bool(flagJSON) {
		return printJSON(c.App.Writer, m)
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s: %s of %s in %.1f s (scan %.1f, compile %.1f, link %.1f, inspect %.1f)\n%s\n",
		m.Name, strings.Join(overridden(m), ", "), m.Device, m.Seconds.Total,
		m.Seconds.Scan, m.Seconds.Compile, m.Seconds.Link, m.Seconds.Inspect, filepath.Join(store.Dir, m.Name))
	return err
}

// overridden is what a variant replaces.
func overridden(m build.Manifest) []string {
	if len(m.Ops) > 0 {
		return m.Ops
	}
	return slices.Sorted(maps.Keys(m.Modules))
}

func listVariants(c *cli.Context, store build.Store) error {
	all, err := store.List()
	if c.Bool(flagJSON) {
		if all == nil {
			all = []build.Manifest{}
		}
		return errors.Join(err, printJSON(c.App.Writer, all))
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tDEVICE\tBUILT\tSHA256\tREPLACES")
	fmt.Fprintln(w, "stock\t\t\t\tnothing: the kernels that vLLM came with")
	for _, m := range all {
		hash := m.SHA256[m.Library]
		fmt.Fprintf(w, "%s\t%s\t%s\t%.12s\t%s\n", m.Name, m.Device, time.Unix(0, m.BuiltUnixNs).UTC().Format(time.DateTime), hash, strings.Join(overridden(m), ", "))
	}
	return errors.Join(err, w.Flush())
}

func showVariant(c *cli.Context, store build.Store, name string) error {
	m, err := store.Manifest(name)
	if err != nil {
		return err
	}
	return printJSON(c.App.Writer, m)
}

func verifyVariant(c *cli.Context, store build.Store, name string) error {
	if err := store.Verify(name); err != nil {
		return err
	}
	if c.Bool(flagJSON) {
		return printJSON(c.App.Writer, map[string]any{"name": name, "ok": true})
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s is what was built\n", name)
	return err
}

func printJSON(w io.Writer, value any) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(value)
}

// commaList splits a list, nil for an empty text.
func commaList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
