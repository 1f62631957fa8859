package record

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"stepbench/engine"
)

// killDir, in the environment of this test binary, makes TestSIGKILL the
// process that is killed.
const killDir = "STEPBENCH_TEST_KILL_DIR"

// TestSIGKILL records in a process that ends by SIGKILL between two batches,
// and reads all that was delivered.
func TestSIGKILL(t *testing.T) {
	m := simulate(t, nil)
	if dir := os.Getenv(killDir); dir != "" {
		run, err := Create(dir, manifest(m))
		if err != nil {
			t.Fatal(err)
		}
		e := fakeEngine{batches: m.batches}
		if err := e.Run(t.Context(), engine.Plan{}, run.Sink()); err != nil {
			t.Fatal(err)
		}
		t.Fatal(syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command(os.Args[0], "-test.run=^TestSIGKILL$")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process ended by %v, not by SIGKILL:\n%s", err, output)
	}
	r := open(t, dir)
	diffRecords(t, m, r)
	if r.Source != FromJournal || r.Manifest.State != Running {
		t.Errorf("source %s, state %s", r.Source, r.Manifest.State)
	}
}
