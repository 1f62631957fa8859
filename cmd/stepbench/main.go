// Command stepbench drives real vLLM step by step and reports what each step
// costs.
package main

import (
	"os"
	"runtime"
)

// version is set by the linker.
var version = "dev"

// The worker embeds Python on the process's main thread: it alone has a stack
// that grows, and libraries expect to be initialised there. Locking later than
// init would reach the main thread only by luck.
func init() { runtime.LockOSThread() }

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }
