package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"stepbench/bench/batch/output"
	"stepbench/bench/batch/score"
)

func batchMergeCommand() *cli.Command {
	return &cli.Command{
		Name:      "merge",
		Usage:     "make one result of the shards of a batch",
		ArgsUsage: "DIR… OUT",
		Description: `Puts the rows of all shards together, in the input's order, and refuses if rows
are missing or double. OUT appears whole or not at all.

Exit code: 0 merged; 5 merged, some rows failed; 64 wrong input, such as missing
rows.

Examples:
   stepbench batch merge results/shard-* results/all
   stepbench batch merge results/shard-* results/all --output-format openai --ordered`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output-format", Usage: "parquet, jsonl, openai", DefaultText: "that of the first shard"},
			&cli.BoolFlag{Name: "ordered", Usage: "one file instead of parts"},
			&cli.BoolFlag{Name: "partial", Usage: "rows may be missing"},
			&cli.Int64Flag{Name: "part-rows", Value: 50_000, Usage: "most `ROWS` of a part"},
			outputFlag(),
		},
		OnUsageError: usageError,
		Action:       mergeAction,
	}
}

func mergeAction(c *cli.Context) error {
	args := c.Args().Slice()
	if len(args) < 2 {
		return exitWith(exitUsage, fmt.Errorf("batch merge takes directories and an output directory, got %d arguments", len(args)))
	}
	_, err1 := oneOf(c, "output", summaryFormats...)
	format, err2 := oneOf(c, "output-format", output.Parquet, output.JSONL, output.OpenAI)
	errs := []error{err1, err2}
	if c.Int64("part-rows") < 1 {
		errs = append(errs, fmt.Errorf("--part-rows %d: at least 1 is needed", c.Int64("part-rows")))
	}
	if err := errors.Join(errs...); err != nil {
		return exitWith(exitUsage, err)
	}
	out := args[len(args)-1]
	m, err := output.Merge(args[:len(args)-1], out, output.MergeOptions{
		Format: format, Ordered: c.Bool("ordered"), Partial: c.Bool("partial"), PartRows: c.Int64("part-rows"), Command: os.Args,
	})
	if err != nil {
		return exitWith(exitUsage, err)
	}
	summary, err := score.Summarize(output.Results(out, output.Stored), score.Options{Key: m.Model})
	if err == nil {
		err = encodeAs(c, summary.Markdown, summary.JSON)
	}
	if err != nil {
		return exitWith(exitInternal, err)
	}
	if m.Counts.Failed > 0 {
		return exitWith(exitFailedRows, fmt.Errorf("%d of %d rows failed: their results in %s say why", m.Counts.Failed, m.Counts.Done, out))
	}
	return nil
}
