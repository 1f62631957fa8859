package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// run executes one command line; main only exits with what it returns.
func run(args []string, stdout, stderr io.Writer) int {
	if spawnedByPython(args) {
		return exitCode(exitWith(exitInternal, errors.New(
			"started as a Python interpreter: sys.executable of the embedded Python is wrong")), stderr)
	}
	app := newApp(stdout, stderr)
	err := app.RunContext(context.Background(), reorder(app, args))
	return exitCode(err, stderr)
}

func newApp(stdout, stderr io.Writer) *cli.App {
	return &cli.App{
		Name:                      "stepbench",
		Usage:                     "drive real vLLM step by step and measure every step",
		Version:                   version,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		DisableSliceFlagSeparator: true, // values such as 1,8,32 are ours to parse
		Commands:                  []*cli.Command{doctorCommand(), runCommand(), stepsCommand(), buildCommand(), abCommand(), batchCommand(), planCommand(), datasetCommand(), reportCommand(), compareCommand(), probeCommand(), workerCommand()},
		OnUsageError:              usageError,
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return exitWith(exitUsage, errors.New("no command "+name+": stepbench --help lists them"))
			}
			return cli.ShowAppHelp(c)
		},
		// cli's own handler exits without running what main still has to do.
		ExitErrHandler: func(*cli.Context, error) {},
	}
}

func usageError(_ *cli.Context, err error, _ bool) error {
	return exitWith(exitUsage, err)
}

// spawnedByPython recognises the command lines by which Python's multiprocessing
// and vLLM start an interpreter. Running on would start stepbench again and again.
func spawnedByPython(args []string) bool {
	return len(args) > 2 && (args[1] == "-c" && strings.Contains(args[2], "multiprocessing") || args[1] == "-m")
}
