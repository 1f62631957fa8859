package bridge

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	childEnv = "STEPBENCH_BRIDGE_CHILD" // which of children to be
	argEnv   = "STEPBENCH_BRIDGE_ARG"
)

// children are processes of their own: they start Python in other ways than the
// engine of this test process, or do not survive. Each reports on stdout.
var children = map[string]func(lib *Library, python Python, arg string){
	"order":        childOrder,
	"start":        childStart,
	"open errors":  childOpenErrors,
	"odd adapter":  childOddAdapter,
	"signals":      childSignals,
	"misbehaviour": childMisbehaviour,
}

// runChild is main in a child, on the main thread.
func runChild(name string) {
	shim, python, err := host()
	if err == nil {
		var lib *Library
		if lib, err = Load(shim); err == nil {
			children[name](lib, python, os.Getenv(argEnv))
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(3)
}

// child runs one of children and returns its output and exit code.
func child(t *testing.T, name, arg string) (stdout, stderr string, exit int) {
	t.Helper()
	needHost(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+name, argEnv+"="+arg)
	var out, log strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &log
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return out.String(), log.String(), cmd.ProcessState.ExitCode()
}

// wantChild fails t unless the child prints want and exits with 0.
func wantChild(t *testing.T, name, arg, want string) {
	t.Helper()
	stdout, stderr, exit := child(t, name, arg)
	if exit != 0 {
		t.Fatalf("child %q: exit code %d\n%s%s", name, exit, stdout, stderr)
	}
	equal(t, "output of child "+name, stdout, want)
}

// oneRequest is a batch of one request, with id 1, for max tokens.
func oneRequest(max int, tokens ...int32) Batch {
	return pack(fmt.Sprintf(`[{"max_tokens": %d}]`, max), request{id: 1, tokens: tokens})
}

// must stops a child whose set-up failed.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(4)
	}
}
