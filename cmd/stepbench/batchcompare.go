package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"stepbench/bench/batch/output"
	"stepbench/bench/batch/score"
)

func changedFlag() cli.Flag {
	return &cli.StringFlag{Name: "changed", Usage: "write the rows that changed to `FILE`, .csv or .jsonl"}
}

func batchCompareCommand() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "compare two batches row by row",
		ArgsUsage: "DIR_A DIR_B",
		Description: `Pairs the rows of two output directories by their ids and says how the scores of
B differ from those of A, with intervals, and which rows changed.

Exit code: 0 the same, or better; 1 worse; 2 the rows cannot tell; 3 the runs have
no row in common; 4 texts differ, and there is no metric; 64 wrong input.

Examples:
   stepbench batch compare results/stock results/mine
   stepbench batch compare results/stock results/mine --changed changed.csv -o json`,
		Flags:        []cli.Flag{changedFlag(), outputFlag()},
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return exitWith(exitUsage, fmt.Errorf("batch compare takes two directories, got %d", c.NArg()))
			}
			if _, err := oneOf(c, "output", summaryFormats...); err != nil {
				return exitWith(exitUsage, err)
			}
			return compareBatches(c, c.Args().Get(0), c.Args().Get(1))
		},
	}
}

// compareBatches prints how b differs from a. The verdict is the exit code.
func compareBatches(c *cli.Context, a, b string) error {
	before, err := describe(a)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	after, err := describe(b)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	options := score.CompareOptions{A: before, B: after, Key: a + " " + b}
	done := func() error { return nil }
	if path := c.String("changed"); path != "" {
		if options.Changed, done, err = changes(path); err != nil {
			return exitWith(exitUsage, err)
		}
	}
	comparison, err := score.Compare(output.Results(a, output.Stored), output.Results(b, output.Stored), options)
	if closed := done(); err == nil {
		err = closed
	}
	if err == nil {
		err = encodeAs(c, comparison.Markdown, comparison.JSON)
	}
	if err != nil {
		return exitWith(exitInternal, err)
	}
	code, bad := map[score.Verdict]int{
		score.Worse: exitRegression, score.NotResolved: exitInconclusive, score.NotComparable: exitInvalid, score.OutputsDiffer: exitDiffers,
	}[comparison.Verdict]
	if bad {
		return exitWith(code, nil)
	}
	return nil
}

// changes writes changed rows to path as they come.
func changes(path string) (add func(*score.Change) error, done func() error, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, nil, fmt.Errorf("--changed: %w", err)
	}
	if !strings.HasSuffix(path, ".csv") {
		return score.NewChangeJSONL(f), f.Close, nil
	}
	add, flush := score.NewChangeCSV(f)
	return add, func() error {
		err := flush()
		if closed := f.Close(); err == nil {
			err = closed
		}
		return err
	}, nil
}

// describe reads the settings that decide a run's outputs.
func describe(dir string) (score.Run, error) {
	run := score.Run{Name: dir}
	m, err := output.ReadManifest(dir)
	if err != nil {
		return run, err
	}
	add := func(name string, value any) {
		text, err := json.Marshal(value)
		if err == nil {
			run.Settings = append(run.Settings, score.Setting{Name: name, Value: strings.Trim(string(text), `"`)})
		}
	}
	files := slices.Clone(m.Input)
	for i := range files {
		files[i].ModifiedUnixNs = 0
	}
	text, err := json.Marshal(files)
	if err != nil {
		return run, err
	}
	add("input", hashOf(text)[:12])
	add("model", m.Model)
	add("state", m.State)
	add("sampling", m.Sampling)
	var settings map[string]any
	if len(m.Engine) > 0 {
		if err := json.Unmarshal(m.Engine, &settings); err != nil {
			return run, fmt.Errorf("%s: settings of the engine: %w", dir, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		add(name, settings[name])
	}
	return run, nil
}

// encodeAs writes in the form that --output asks for.
func encodeAs(c *cli.Context, markdown, asJSON func(io.Writer) error) error {
	if c.String("output") == "json" {
		return asJSON(c.App.Writer)
	}
	return markdown(c.App.Writer)
}
