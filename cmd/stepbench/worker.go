package main

import (
	"errors"
	"os"
	"syscall"

	"github.com/urfave/cli/v2"

	"stepbench/engine"
)

// workerCommand is the far side of engine.Remote; users never call it.
func workerCommand() *cli.Command {
	return &cli.Command{
		Name:   "worker",
		Usage:  "hold an engine for another stepbench process",
		Hidden: true,
		Action: func(*cli.Context) error {
			in, out, err := workerPipes()
			if err != nil {
				return exitWith(exitUsage, err)
			}
			w := engine.Worker{
				Open: func(cfg engine.Config, host engine.Host) (engine.Stepper, error) {
					return engine.OpenLocal(cfg, host)
				},
				Orphaned: engine.KillGroup,
			}
			return w.Serve(in, out)
		},
	}
}

// workerPipes are files 3 and 4, which the worker's own children must not
// inherit: a pipe held open elsewhere would hide the parent's death.
func workerPipes() (in, out *os.File, err error) {
	in, out = os.NewFile(3, "commands"), os.NewFile(4, "reports")
	for _, f := range []*os.File{in, out} {
		if _, err := f.Stat(); err != nil {
			return nil, nil, errors.New("worker is started by stepbench itself, with pipes as files 3 and 4")
		}
		syscall.CloseOnExec(int(f.Fd()))
	}
	return in, out, nil
}
