package main

import (
	"encoding/json"

	"github.com/urfave/cli/v2"

	"stepbench/engine/doctor"
)

// probeCommand measures the embedded interpreter for doctor, in a process of
// its own because Python cannot be started twice in one; users never call it.
func probeCommand() *cli.Command {
	return &cli.Command{
		Name:         "probe",
		Usage:        "time a fixed loop in the embedded interpreter",
		Hidden:       true,
		Flags:        hostFlags(),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			ns, err := doctor.EmbeddedLoopNs(c.String(flagPython), c.String(flagShim))
			if err != nil {
				return exitWith(exitEnvironment, err)
			}
			return json.NewEncoder(c.App.Writer).Encode(map[string]int64{"loop_ns": ns})
		},
	}
}
