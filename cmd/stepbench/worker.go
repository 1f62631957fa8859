package main

import (
	"github.com/urfave/cli/v2"

	"stepbench/engine"
)

// workerCommand is the far side of engine.Remote; users never call it.
func workerCommand() *cli.Command {
	return &cli.Command{
		Name:   "worker",
		Usage:  "hold an engine for another stepbench process",
		Hidden: true,
		Action: func(*cli.Context) error { return engine.ServeProcess() },
	}
}
