package suite

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/record"
	"stepbench/engine"
)

// killDir, in the environment of this test binary, makes TestSIGKILL the runner
// that is killed.
const killDir = "STEPBENCH_TEST_KILL_DIR"

// TestSIGKILL: a runner dies by SIGKILL in the middle of a point. The next keeps
// what was complete and measures the rest.
func TestSIGKILL(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		d, _ := deps(&silent{}, func(int, engine.Config) (Worker, error) {
			w := newWorker()
			plan := 0
			w.onRun = func(n int) error { plan = n; return nil }
			w.StepErr = func(index int64) error {
				if plan == 4 && index > 0 { // its record is begun
					return syscall.Kill(os.Getpid(), syscall.SIGKILL)
				}
				return nil
			}
			return w, nil
		})
		t.Fatal(Run(t.Context(), dir, layOut(t, small, Machine{}), d))
	}
	dir := filepath.Join(t.TempDir(), "suite")
	cmd := exec.Command(os.Args[0], "-test.run=^TestSIGKILL$")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process ended by %v, not by SIGKILL:\n%s", err, output)
	}
	before, kept := readStates(t, dir), stamps(t, dir)
	complete := 0
	for place, state := range before {
		if state == record.Complete {
			complete++
		} else if _, begun := kept[place]; begun {
			r, err := record.Open(filepath.Join(dir, filepath.FromSlash(place)))
			if err != nil || r.Manifest.State != record.Running {
				t.Errorf("the point that was cut off: %+v, %v", r, err)
			}
		}
	}
	if complete != 3 || len(kept) != 4 {
		t.Fatalf("%d repeats complete and %d begun, want 3 and 4: %v", complete, len(kept), before)
	}
	d, _ := deps(&silent{}, always)
	if err := Run(t.Context(), dir, layOut(t, small, Machine{}), d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(allComplete(), readStates(t, dir)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	after := stamps(t, dir)
	for place, state := range before {
		if state == record.Complete && kept[place] != after[place] {
			t.Errorf("%s was complete and is measured again", place)
		}
	}
}
