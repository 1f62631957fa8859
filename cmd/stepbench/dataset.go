package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"stepbench/bench/dataset"
	"stepbench/engine"
)

func datasetCommand() *cli.Command {
	return &cli.Command{
		Name:        "dataset",
		Usage:       "look at files of prompts and traces",
		Subcommands: []*cli.Command{datasetInspectCommand()},
	}
}

func datasetInspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "print how long the requests of a file are, and how often they come",
		ArgsUsage: "FILE",
		Description: `Reads C4 (.json.gz, .jsonl, Parquet), ShareGPT JSON, JSON lines or Parquet with a
column prompt or token_ids and perhaps output_tokens, and traces: Azure LLM
inference CSV, BurstGPT CSV, Mooncake JSON lines. A malformed file is refused with
its line and field. Text is counted in characters and words, or, with --tokenise,
in the tokens of a model, which is opened for it.

Examples:
   stepbench dataset inspect c4-train.00000-of-01024.json.gz --rows 10000
   stepbench dataset inspect AzureLLMInferenceTrace_conv.csv -o json
   stepbench dataset inspect --tokenise --model ./my-model sharegpt.json
   stepbench dataset inspect --kind c4 'shards/*.json.gz'`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "kind", Usage: fmt.Sprintf("format of the file: %v", dataset.Kinds()), DefaultText: "found out from its beginning"},
			&cli.IntFlag{Name: "rows", Value: 1_000_000, Usage: "read at most `N` rows"},
			&cli.BoolFlag{Name: "tokenise", Usage: "count the tokens of text with the tokenizer of --model"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "md", Usage: "format on stdout: md, json"},
		}, engineFlags()...),
		OnUsageError: usageError,
		Action:       inspectAction,
	}
}

func inspectAction(c *cli.Context) error {
	source, err := inspected(c)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	var tokenise dataset.Tokenise
	if c.Bool("tokenise") && source.Kind.Text() {
		e, err := openTokenizer(ctx, c)
		if err != nil {
			return err
		}
		defer e.Close()
		tokenise = func(ctx context.Context, texts []string) ([][]int32, error) { return engine.Tokenise(ctx, e, texts) }
	}
	report, err := dataset.Inspect(ctx, source, c.Int("rows"), tokenise)
	switch {
	case errors.Is(err, errInterrupted):
		return exitWith(exitInterrupted, err)
	case err != nil:
		return exitWith(exitUsage, err)
	}
	if c.String("output") == "json" {
		return report.WriteJSON(c.App.Writer)
	}
	return report.WriteMarkdown(c.App.Writer)
}

// inspected is the file of the command line and its kind.
func inspected(c *cli.Context) (dataset.Source, error) {
	var none dataset.Source
	switch {
	case c.NArg() != 1:
		return none, fmt.Errorf("dataset inspect takes one file, got %d", c.NArg())
	case c.Int("rows") < 1:
		return none, fmt.Errorf("--rows %d: at least 1 is needed", c.Int("rows"))
	}
	if _, err := oneOf(c, "output", summaryFormats...); err != nil {
		return none, err
	}
	path, kind := c.Args().First(), dataset.Kind(c.String("kind"))
	if kind == "" {
		source, err := dataset.ParseSource(path)
		if err == nil && source.Path == "" {
			err = fmt.Errorf("dataset %s is made here, and in no file", source.Kind)
		}
		return source, err
	}
	if !slices.Contains(dataset.Kinds(), kind) {
		return none, fmt.Errorf("--kind %q: choose one of %v", kind, dataset.Kinds())
	}
	return dataset.Source{Kind: kind, Path: path}, nil
}

// openTokenizer opens the model for its tokenizer alone.
func openTokenizer(ctx context.Context, c *cli.Context) (engine.Engine, error) {
	cfg, err := engineConfig(c)
	if err != nil {
		return nil, exitWith(exitUsage, err)
	}
	cfg.SkipTokenizer, cfg.EnforceEager = false, true // nothing is run: compiling would only take time
	p := newProgress(c.App.ErrWriter)
	defer p.clear()
	p.stage("opening %s for its tokenizer", cfg.Model.Name)
	e, err := engine.OpenRemote(ctx, cfg, workerOptions(c, p))
	if errors.Is(err, engine.ErrEnvironment) {
		return nil, exitWith(exitEnvironment, err)
	}
	return e, err
}
