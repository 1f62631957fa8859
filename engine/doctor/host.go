package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"stepbench/bridge"
)

// host is where the checks look; tests put a made-up machine in its place.
type host struct {
	proc, sys fs.FS // the trees at /proc and /sys

	env      func(key string) (string, bool)
	lookPath func(command string) (string, error)
	workDir  string
	homeDir  string
	numCPU   int // what a Go program sees: affinity, but no quota

	disk     func(path string) (space, error)
	writable func(path string) error

	findPython func(explicit string) (bridge.Python, error)
	askPython  func(ctx context.Context, executable string) (facts, error)
	loadShim   func(explicit string) (shim, error)
	loop       func(ctx context.Context, slot int, argv []string) (ns int64, err error)
	gpus       func(context.Context) (gpuState, error)
	open       func(folder string) fs.FS
}

// space is a file system's size; free is what a user may write.
type space struct{ freeBytes, totalBytes uint64 }

func thisHost() host {
	work, _ := os.Getwd()
	home, _ := os.UserHomeDir()
	return host{
		proc: os.DirFS("/proc"), sys: os.DirFS("/sys"),
		env: os.LookupEnv, lookPath: exec.LookPath, workDir: work, homeDir: home, numCPU: runtime.NumCPU(),
		disk: statfs, writable: canWrite,
		findPython: bridge.FindPython, askPython: askPython, loadShim: loadShim, loop: runLoop,
		gpus: readNVML, open: os.DirFS,
	}
}

func statfs(path string) (space, error) {
	var s unix.Statfs_t
	dir := existing(path)
	if err := unix.Statfs(dir, &s); err != nil {
		return space{}, fmt.Errorf("statfs %s: %w", dir, err)
	}
	if s.Blocks == 0 { // such as /proc
		return space{}, fmt.Errorf("statfs %s: not a file system that holds data", dir)
	}
	block := uint64(s.Bsize)
	return space{freeBytes: s.Bavail * block, totalBytes: s.Blocks * block}, nil
}

func canWrite(path string) error {
	dir := existing(path)
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}

// existing is path, or the folder above it that would have to hold it.
func existing(path string) string {
	for {
		up := filepath.Dir(path)
		if _, err := os.Stat(path); err == nil || up == path {
			return path
		}
		path = up
	}
}

// text reads a small file without its final newline. Errors name the file and
// what is wrong with it, nothing else.
func text(root fs.FS, name string) (string, error) {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return strings.TrimSpace(string(data)), nil
}

// number reads a file that holds one non-negative decimal number.
func number(root fs.FS, name string) (uint64, error) {
	s, err := text(root, name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %.40q is not a number", name, s)
	}
	return n, nil
}

// field finds "key   value" or "key:   value" among a file's lines.
func field(root fs.FS, name, key string) (string, error) {
	s, err := text(root, name)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(s) {
		rest, found := strings.CutPrefix(line, key)
		if found && strings.TrimLeft(rest, ": \t\n") != rest {
			return strings.TrimSpace(strings.TrimLeft(rest, ": \t")), nil
		}
	}
	return "", fmt.Errorf("%s: no line %s", name, key)
}

// kilobytes reads a field such as "MemAvailable:   123 kB" as bytes.
func kilobytes(root fs.FS, name, key string) (uint64, error) {
	value, err := field(root, name, key)
	if err != nil {
		return 0, err
	}
	digits, unit, _ := strings.Cut(value, " ")
	n, err := strconv.ParseUint(digits, 10, 54)
	if err != nil || unit != "kB" {
		return 0, fmt.Errorf("%s: %s is %.40q, not a number of kB", name, key, value)
	}
	return n << 10, nil
}
