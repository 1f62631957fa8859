package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"stepbench/bench/analysis"
	"stepbench/bench/report"
	"stepbench/bench/report/suitereport"
	"stepbench/bench/suite"
)

func reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "analyse the records of suites and runs again, and rebuild their reports",
		ArgsUsage: "DIR...",
		Description: `Reads the records of each directory that stepbench run left, of a suite or of a
single run, finished or not, and writes analysis.json, six figures (PNG and SVG),
report.md and report.html into it. No engine is started. With -o, prints the
analysis instead and leaves the directories alone.

Examples:
   stepbench report results/20260102T030405Z-quick
   stepbench report results/* -o csv > points.csv
   stepbench report results/a -o benchfmt > a.txt; benchstat a.txt b.txt
   stepbench report results/a -o vllm        # a line for each point, keys of vllm bench serve`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "print to stdout instead: " + list(suitereport.Formats())},
		},
		OnUsageError: usageError,
		Action:       reportAction,
	}
}

func reportAction(c *cli.Context) error {
	if c.NArg() == 0 {
		return exitWith(exitUsage, errors.New("report needs a DIR that stepbench run left"))
	}
	var all []*analysis.Analysis
	for _, dir := range c.Args().Slice() {
		a, err := analysis.Load(dir)
		if err != nil {
			return exitWith(exitUsage, err)
		}
		all = append(all, a)
	}
	f, err := oneOf(c, "output", suitereport.Formats()...)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if f != "" {
		if err := suitereport.Encode(c.App.Writer, f, all...); err != nil {
			return exitWith(exitInternal, err)
		}
		return nil
	}
	for i, dir := range c.Args().Slice() {
		if err := rebuild(dir, all[i]); err != nil {
			return exitWith(exitInternal, err)
		}
		fmt.Fprintf(c.App.Writer, "report: %s\n", filepath.Join(dir, suitereport.HTMLFile))
	}
	return nil
}

// rebuild writes everything that follows from the records in dir. A single run
// keeps its own report.md.
func rebuild(dir string, a *analysis.Analysis) error {
	if err := errors.Join(writeAnalysis(dir, a), suitereport.Write(dir, a)); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, suite.ManifestFile)); err == nil {
		return nil
	}
	return report.Write(dir)
}
