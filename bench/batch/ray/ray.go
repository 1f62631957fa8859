// Package ray runs the shards of a batch as tasks of a Ray cluster. Ray places
// them and tries again those whose node or process died.
package ray

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"stepbench/bridge"
)

// driver is what runs in Python. Ray sends its functions to the nodes by value:
// nothing is installed there.
//
//go:embed driver.py
var driver string

// Job is a batch in shards, as the driver reads it.
type Job struct {
	Address string `json:"address"` // of the cluster, as ray.init takes it
	// Shards, or 0: one per GPU, or one per node where there are none.
	Shards  int      `json:"shards"`
	CPUs    *float64 `json:"cpus"` // of a shard; nil: a node's, divided by its shards
	GPUs    *float64 `json:"gpus"` // of a shard; nil: 1 if the cluster has any
	Retries int      `json:"retries"`
	// Command answers a shard, with --shard I/N, Paths and its folder behind it.
	Command []string `json:"command"`
	Paths   []string `json:"paths"`
	Out     string   `json:"out"`    // absolute; the shards' folders are in it
	Folder  string   `json:"folder"` // where Command runs
	// Env is added to a node's own environment.
	Env map[string]string `json:"env"`
	// Token is a file in Out, by which a node shows that it shares it.
	Token string `json:"token"`
}

// Error is why the shards are not all done, with the exit code for it.
type Error struct {
	Exit int
	Text string
}

func (e *Error) Error() string { return "Ray: " + e.Text }

// FindPython finds a python executable for the driver: explicit if not empty,
// else the nearest .ray, else python3.
func FindPython(explicit string) (string, error) {
	if explicit != "" {
		return exec.LookPath(explicit)
	}
	for _, path := range bridge.Above(filepath.Join(".ray", "bin", "python")) {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return exec.LookPath("python3")
}

// Run returns once all shards are done, and their number. What the tasks print
// goes to log. The end of ctx ends the tasks too; its cause is then returned.
func Run(ctx context.Context, python string, job Job, log io.Writer) (shards int, err error) {
	if err := os.MkdirAll(job.Out, 0o755); err != nil {
		return 0, err
	}
	token, err := os.CreateTemp(job.Out, ".token-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(token.Name())
	job.Token = token.Name()
	text, err := json.Marshal(job)
	if err := errors.Join(err, token.Close()); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, python, "-X", "utf8", "-u", "-c", driver)
	// Ray asks the driver, too, whether it may report usage. Shards of one kind
	// print lines of one kind, which Ray would drop as repeated.
	cmd.Env = append(os.Environ(), "RAY_USAGE_STATS_ENABLED=0", "RAY_DEDUP_LOGS=0", "RAY_COLOR_PREFIX=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Stderr = log
	in, err1 := cmd.StdinPipe() // open until the end: the driver ends with it
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_, wrong := in.Write(append(text, '\n'))
	line, _ := bufio.NewReader(out).ReadString('\n')
	in.Close()
	err = errors.Join(wrong, cmd.Wait())
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	var report struct {
		Shards int    `json:"shards"`
		Exit   int    `json:"exit"`
		Error  string `json:"error"`
	}
	switch wrong := json.Unmarshal([]byte(line), &report); {
	case wrong != nil && err == nil:
		return 0, fmt.Errorf("the Ray driver said %q: %w", strings.TrimSpace(line), wrong)
	case wrong != nil:
		return 0, fmt.Errorf("the Ray driver died: %w", err)
	case report.Error != "":
		return 0, &Error{report.Exit, report.Error}
	}
	return report.Shards, nil
}
