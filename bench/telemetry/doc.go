// Package telemetry says what the machine did during an interval: clocks,
// throttling and foreign work of the GPUs, stolen time, throttling and
// frequencies of the CPUs, and what given processes used. It reads from outside,
// in the process that drives the workers, and never loads Python.
//
// A Machine gives a Snapshot at each end of an interval, Since makes a Change of
// two, and a Sampler adds what a counter does not keep, such as clocks. Gates
// judge changes.
//
// All stamps are nanoseconds of CLOCK_MONOTONIC, as those of the engine's steps.
package telemetry
