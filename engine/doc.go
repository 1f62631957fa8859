// Package engine drives one vLLM engine step by step.
//
// A [Stepper] is an engine in this process: [Local] holds real vLLM behind the
// bridge, enginetest.Fake a scripted one for unit tests. [Loop] turns a
// Stepper into an [Engine] that executes whole plans; [Remote] is the same
// Engine in a worker process. Nothing here formats output or computes a
// statistic over more than one step or request.
package engine
