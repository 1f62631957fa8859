package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// tagVariable hands a worker its tag, which is in the name of all that ranks
// leave outside of their processes (csrc/adapter/stepbench_adapter/spawned.py):
// shared memory, semaphores and sockets. A process that is killed cannot remove
// them; who is left finds them by it.
const tagVariable = "STEPBENCH_TAG"

// rpcVariable is the folder of vLLM's socket files.
const rpcVariable = "VLLM_RPC_BASE_PATH"

const sharedMemory = "/dev/shm"

// footprint is that of one worker; empty where it has no ranks besides itself.
type footprint struct{ tag string }

// newFootprint draws a tag. Python's shared memory has room for ten characters
// before its own, a slash included (multiprocessing/shared_memory.py).
func newFootprint() footprint { return footprint{fmt.Sprintf("sb%07x", rand.IntN(1<<28))} }

func (f footprint) sockets() string { return filepath.Join(os.TempDir(), f.tag) }

// env makes the folder of sockets and gives what a worker must know.
func (f footprint) env() ([]string, error) {
	if err := os.Mkdir(f.sockets(), 0o700); err != nil {
		return nil, fmt.Errorf("a folder for the sockets of ranks: %w", err)
	}
	return []string{tagVariable + "=" + f.tag, rpcVariable + "=" + f.sockets()}, nil
}

// remove takes away what is left. Nobody may be using it any more.
func (f footprint) remove() {
	if f.tag == "" {
		return
	}
	for _, pattern := range []string{f.tag + "*", "sem." + f.tag + "*"} {
		left, _ := filepath.Glob(filepath.Join(sharedMemory, pattern))
		for _, path := range left {
			_ = os.Remove(path)
		}
	}
	_ = os.RemoveAll(f.sockets())
}

// killOthers ends all of this process's group but itself, and what they leave.
func (f footprint) killOthers() {
	own := os.Getpid()
	if syscall.Getpgrp() != own {
		return
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if group, _ := syscall.Getpgid(pid); group == own && pid != own {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	f.remove()
}

// inheritedFootprint is that of this worker.
func inheritedFootprint() footprint {
	tag := os.Getenv(tagVariable)
	if !strings.HasPrefix(tag, "sb") || strings.ContainsAny(tag, "/*?[\\") {
		return footprint{}
	}
	return footprint{tag}
}
