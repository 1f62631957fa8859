// Package abtest compares two builds of vLLM's kernels inside the real engine.
//
// Two worker processes, the arms, run the same steps in turn: four bursts in
// the order ABBA or BAAB, drawn at random, make a quad. A fresh pair of workers
// is a launch, and the launch is what is repeated: processes differ by more
// than bursts of one process do. Timing bursts run without a profiler; in
// attribution bursts the profiler says which kernels (GPU) or ops (CPU) ran,
// how often and for how long.
//
// [Collect] runs the engines and returns [Evidence]; [Judge] turns evidence
// into a [Result] without touching an engine, so that a verdict can be computed
// again from its records.
package abtest
