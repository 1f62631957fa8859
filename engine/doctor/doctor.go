// Package doctor looks at everything a run depends on, without opening an
// engine: interpreter and shim, vLLM and its csrc modules, devices, and the
// parts of the machine that limit a run or disturb its timing.
//
// A check judges; it does not print. What cannot be read is said to be not
// available and never counts as zero.
package doctor

import (
	"context"
	"fmt"
	"sync"
)

// SchemaVersion numbers the JSON form of [Report].
const SchemaVersion = 1

// Status is the outcome of a check.
type Status string

// A failed check blocks a run. After a warning a run works, but slower or less
// exactly than it could. Absent is a statement without judgement: the thing is
// not there and need not be, or it cannot be read.
const (
	OK     Status = "ok"
	Warn   Status = "warn"
	Fail   Status = "fail"
	Absent Status = "absent"
)

// NotAvailable is the value of a check whose source cannot be read.
const NotAvailable = "not available"

// Check is one row. Value and Detail are for people; Facts has what programs
// want, units in the key. Remedy says what to do after a warning or a failure.
type Check struct {
	Name   string         `json:"name"`
	Status Status         `json:"status"`
	Value  string         `json:"value"`
	Detail string         `json:"detail,omitempty"`
	Remedy string         `json:"remedy,omitempty"`
	Facts  map[string]any `json:"facts,omitempty"`
}

// Report is all checks in a fixed order; OK means that nothing blocks a run.
type Report struct {
	SchemaVersion int     `json:"schema_version"`
	OK            bool    `json:"ok"`
	Checks        []Check `json:"checks"`
}

// Options say what to look at.
type Options struct {
	Python string // searched for if empty, as a run would
	Shim   string
	// Probe is the command that measures the embedded interpreter in a process
	// of its own, without its --python and --shim flags; empty skips that.
	Probe []string
}

// Run makes all checks. They read files, ask NVML and start the python
// executable; ctx ends what they started.
func Run(ctx context.Context, opt Options) Report {
	return examine(ctx, opt, thisHost())
}

// examine overlaps what waits (NVML, hashing) and measures the interpreter
// last, when nothing else of this program uses a core.
func examine(ctx context.Context, opt Options, h host) Report {
	var gpus gpuState
	var gpuErr error
	var asked sync.WaitGroup
	asked.Go(func() { gpus, gpuErr = h.gpus(ctx) })

	py := lookAtPython(ctx, opt, h)
	cpu := readCPU(h)
	vllm, torch := py.facts.Packages["vllm"], py.facts.Packages["torch"]

	checks := py.checks(h)
	packages := []Check{vllmCheck(py.known, vllm), torchCheck(py.known, torch), bytecodeCheck(vllm)}
	modules := moduleChecks(h, vllm, cpu)
	asked.Wait()
	devices := gpuChecks(gpus, gpuErr, h, vllm.build(), torch.CUDA)

	checks = append(checks, embeddedCheck(ctx, opt, h, py))
	checks = append(checks, packages...)
	checks = append(checks, modules...)
	checks = append(checks, devices...)
	checks = append(checks, cpuChecks(h, cpu, vllm.build())...)
	checks = append(checks, clockCheck(h), stackCheck(h), memoryCheck(h), sharedMemoryCheck(h))
	checks = append(checks, diskChecks(h)...)

	r := Report{SchemaVersion: SchemaVersion, OK: true, Checks: checks}
	for _, c := range checks {
		r.OK = r.OK && c.Status != Fail
	}
	return r
}

// notAvailable is a check that has nothing to judge, and why.
func notAvailable(name string, why error) Check {
	return Check{Name: name, Status: Absent, Value: NotAvailable, Detail: why.Error()}
}

// size is a number of bytes for people; facts carry the exact one.
func size(bytes uint64) string {
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	switch {
	case bytes < mib:
		return fmt.Sprintf("%d KiB", bytes/kib)
	case bytes < gib:
		return fmt.Sprintf("%d MiB", bytes/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/gib)
}

// plural is "1 GPU" or "2 GPUs".
func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
