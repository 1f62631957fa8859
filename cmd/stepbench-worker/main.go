// Command stepbench-worker is the worker as a C library for a python executable
// to load: the same Go code as the hidden command "worker", in an interpreter
// that runs at its own speed. Where a distributor's python executable is linked
// statically, its separate libpython is slower.
//
//	python -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1]).StepbenchWorker()' libstepbench-worker.so
package main

import "C"

import (
	"fmt"
	"os"

	"stepbench/engine"
)

// StepbenchWorker serves the parent until told to close, and ends the process:
// finalizing an interpreter with torch loaded can crash.
//
//export StepbenchWorker
func StepbenchWorker() {
	if err := engine.ServeProcess(); err != nil {
		fmt.Fprintln(os.Stderr, "stepbench worker:", err)
		os.Exit(70)
	}
	os.Exit(0)
}

func main() {}
