package engine

import (
	"fmt"
	"os"
	"path/filepath"

	"stepbench/bridge"
)

// Host says which Python and shim to embed, and what the worker process is.
// Empty paths are searched for.
type Host struct {
	Python string
	Shim   string
	Mode   HostMode
}

// HostMode is the executable of a worker process.
type HostMode string

const (
	// HostGo is this program with libpython loaded into it: that of an empty mode.
	HostGo HostMode = "go"
	// HostPython is the python executable with the worker loaded into it as a
	// C library. Where the executable is linked statically, as Debian's and
	// Ubuntu's are, its interpreter is faster than libpython.
	HostPython HostMode = "python"
)

// HostModes are the values of a --host flag.
var HostModes = []HostMode{HostGo, HostPython}

// workerLibrary is built beside the shim.
const workerLibrary = "libstepbench-worker.so"

// bootstrap runs the worker inside a python executable. It does not return.
const bootstrap = "import ctypes, sys; ctypes.CDLL(sys.argv[1]).StepbenchWorker()"

// workerCommand is the command line of a worker.
func workerCommand(opt WorkerOptions) ([]string, error) {
	if len(opt.Command) > 0 {
		return opt.Command, nil
	}
	switch opt.Host.Mode {
	case HostGo, "":
		exe, err := os.Executable()
		return []string{exe, "worker"}, err
	case HostPython:
		return pythonCommand(opt.Host)
	}
	return nil, fmt.Errorf("host %q is not one of %v", opt.Host.Mode, HostModes)
}

func pythonCommand(host Host) ([]string, error) {
	python, err := bridge.FindPython(host.Python)
	if err != nil {
		return nil, err
	}
	shim, err := bridge.FindShim(host.Shim)
	if err != nil {
		return nil, err
	}
	library := filepath.Join(filepath.Dir(shim), workerLibrary)
	if _, err := os.Stat(library); err != nil {
		return nil, fmt.Errorf("worker library: %w: run make build", err)
	}
	// The same settings as the shim gives an interpreter that it starts itself.
	return []string{python.Executable, "-X", "utf8", "-s", "-u", "-c", bootstrap, library}, nil
}
