package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"stepbench/bench/analysis"
	"stepbench/bench/report/suitereport"
)

func compareCommand() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "say what changed between two suites, with intervals",
		ArgsUsage: "DIR_A DIR_B",
		Description: `Pairs the configurations of two directories that stepbench run left, and their
repeats by requests and arrivals. For a changed kernel, stepbench ab is far more
exact: it runs both builds in turn.

Exit code: 0 no rate or mean is worse in B by more than --margin; 1 something is
worse in B; 2 the records cannot tell; 3 the suites are not comparable; 64 wrong
input.

Examples:
   stepbench compare results/before results/after
   stepbench compare results/before results/after --margin 10 -o json`,
		Flags: []cli.Flag{
			&cli.Float64Flag{Name: "margin", Value: 5, Usage: "a change for the worse by this many `PERCENT` must be left out for exit code 0"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: string(suitereport.FormatMarkdown), Usage: "md or json"},
		},
		OnUsageError: usageError,
		Action:       compareAction,
	}
}

func compareAction(c *cli.Context) error {
	f, err := oneOf(c, "output", suitereport.FormatMarkdown, suitereport.FormatJSON)
	margin := c.Float64("margin") / 100
	switch {
	case c.NArg() != 2:
		return exitWith(exitUsage, fmt.Errorf("compare takes two directories, got %d", c.NArg()))
	case err != nil:
		return exitWith(exitUsage, err)
	case !(margin > 0 && margin < 10):
		return exitWith(exitUsage, fmt.Errorf("--margin %g is not a number of percent above 0", c.Float64("margin")))
	}
	a, err := analysis.Load(c.Args().Get(0))
	if err != nil {
		return exitWith(exitUsage, err)
	}
	b, err := analysis.Load(c.Args().Get(1))
	if err != nil {
		return exitWith(exitUsage, err)
	}
	comparison := analysis.Compare(a, b)
	if err := suitereport.EncodeComparison(c.App.Writer, f, comparison, margin); err != nil {
		return exitWith(exitInternal, err)
	}
	switch outcome, _ := suitereport.Judge(comparison, margin); outcome {
	case suitereport.Regressed:
		return exitWith(exitRegression, nil)
	case suitereport.Inconclusive:
		return exitWith(exitInconclusive, nil)
	case suitereport.NotComparable:
		return exitWith(exitInvalid, nil)
	}
	return nil
}
