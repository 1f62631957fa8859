package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// output starts a command and returns what it wrote. An error has the last line
// of its standard error.
func output(ctx context.Context, cmd *exec.Cmd, start func() error) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second // a process it left behind may hold its output open
	err := start()
	if err == nil {
		err = cmd.Wait()
	}
	if err == nil {
		return stdout.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("gave no answer in time: %w", ctx.Err())
	}
	var exit *exec.ExitError
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if last := lines[len(lines)-1]; errors.As(err, &exit) && last != "" {
		return nil, fmt.Errorf("%w: %.300s", err, strings.TrimPrefix(last, "stepbench: "))
	}
	return nil, err
}

// startPinned starts a command on one of this process's processors; equal slots
// mean the same one. Where the kernel does not let it choose, it just starts.
func startPinned(cmd *exec.Cmd, slot int) error {
	runtime.LockOSThread() // a child inherits the affinity of the thread that forks
	defer runtime.UnlockOSThread()
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err == nil {
		for cpu, skip := 0, slot%max(1, allowed.Count()); skip >= 0 && cpu < len(allowed)*64; cpu++ {
			if allowed.IsSet(cpu) {
				if skip == 0 {
					one.Set(cpu)
				}
				skip--
			}
		}
		if unix.SchedSetaffinity(0, &one) == nil {
			defer func() { _ = unix.SchedSetaffinity(0, &allowed) }()
		}
	}
	return cmd.Start()
}

// pythonEnv leaves out what a worker leaves out too: these make Python another
// one, or interactive.
func pythonEnv(environ []string) []string {
	drop := []string{"PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONDONTWRITEBYTECODE"}
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return slices.Contains(drop, key)
	})
}
