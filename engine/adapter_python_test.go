package engine_test

import (
	"os"
	"os/exec"
	"testing"

	"stepbench/bridge"
)

// The adapter's own arithmetic is tested in its own language.
func TestAdapterInPython(t *testing.T) {
	python, err := bridge.FindPython("")
	if err != nil {
		if os.Getenv("STEPBENCH_REQUIRE_SHIM") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.Command(python.Executable, "-m", "unittest", "discover", "-s", "../csrc/testdata", "-p", "test_*.py")
	cmd.Env = append(os.Environ(), "PYTHONPATH=../csrc/adapter")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
