package doctor

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"stepbench/bridge"
)

//go:embed facts.py
var factsScript string

// facts is what facts.py prints: the interpreter about itself.
type facts struct {
	Implementation   string          `json:"implementation"`
	Version          string          `json:"version"`
	Executable       string          `json:"executable"`
	Prefix           string          `json:"prefix"`
	BasePrefix       string          `json:"base_prefix"`
	FreeThreaded     bool            `json:"free_threaded"`
	SharedExecutable bool            `json:"shared_executable"` // links libpython instead of containing it
	Headers          string          `json:"headers"`           // folder of Python.h, or empty
	Packages         map[string]dist `json:"packages"`
}

// interpreter is what is known of Python and shim; errors say what is not.
type interpreter struct {
	python  bridge.Python
	findErr error
	facts   facts
	askErr  error
	known   error // nil if facts can be used
	shim    shim
	shimErr error
}

const askTimeout = 30 * time.Second // a cold disk; it takes 0.2 s otherwise

func lookAtPython(ctx context.Context, opt Options, h host) interpreter {
	var in interpreter
	in.python, in.findErr = h.findPython(opt.Python)
	in.shim, in.shimErr = h.loadShim(opt.Shim)
	if in.findErr != nil {
		in.known = errors.New("no python to ask")
		return in
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if in.facts, in.askErr = h.askPython(ctx, in.python.Executable); in.askErr != nil {
		in.known = errors.New("python does not answer")
	}
	return in
}

func (in interpreter) checks(h host) []Check {
	return []Check{in.pythonCheck(), in.shimCheck(), in.libpythonCheck(h), in.headersCheck(), compilerCheck(h)}
}

// pythonCheck refuses what vLLM 0.26.0 does not run on (requires-python
// >=3.10,<3.14) or the shim cannot hold.
func (in interpreter) pythonCheck() Check {
	c := Check{Name: "python", Status: Fail, Value: "not found"}
	if in.findErr != nil {
		c.Detail, c.Remedy = in.findErr.Error(), "run make setup, or name one with --python"
		return c
	}
	if in.askErr != nil {
		c.Value, c.Detail = "does not run", in.askErr.Error()
		c.Remedy = "run make setup again, or name another one with --python"
		return c
	}
	f := in.facts
	c.Value, c.Detail = f.Version, f.Executable+" of "+f.BasePrefix
	c.Facts = map[string]any{
		"executable": f.Executable, "version": f.Version, "prefix": f.Prefix, "base_prefix": f.BasePrefix,
		"free_threaded": f.FreeThreaded, "shared_executable": f.SharedExecutable,
	}
	c.Remedy = "STEPBENCH_PYTHON_BASE=/path/to/python make setup, with CPython 3.10 to 3.13"
	switch {
	case f.Implementation != "cpython":
		c.Detail += "; is " + f.Implementation + ", not CPython"
	case f.FreeThreaded:
		c.Detail += "; is a free-threaded build, vLLM needs the GIL"
	case !slices.Contains([]string{"3.10", "3.11", "3.12", "3.13"}, minor(f.Version)):
		c.Detail += "; vLLM " + vllmVersion + " wants Python 3.10 to 3.13"
	default:
		c.Status, c.Remedy = OK, ""
	}
	return c
}

// minor is "3.12" of "3.12.3".
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// headersCheck and compilerCheck are about torch.compile, which builds C++
// kernels (torch/_inductor/cpp_builder.py) or Triton's launcher at run time.
func (in interpreter) headersCheck() Check {
	const name = "python headers"
	if in.known != nil {
		return notAvailable(name, in.known)
	}
	if in.facts.Headers != "" {
		return Check{Name: name, Status: OK, Value: "found", Detail: in.facts.Headers}
	}
	return Check{
		Name: name, Status: Warn, Value: "no Python.h", Detail: "torch.compile and make build need it",
		Remedy: "install the headers (apt-get install python3-dev), or open engines with enforce_eager",
	}
}

func compilerCheck(h host) Check {
	const name = "c++ compiler"
	command := "g++"
	cxx, _ := h.env("CXX")
	if words := strings.Fields(cxx); len(words) > 0 {
		command = words[0]
	}
	path, err := h.lookPath(command)
	if err != nil {
		return Check{
			Name: name, Status: Warn, Value: command + " not found", Detail: "torch.compile needs it on CPU",
			Remedy: "install it (apt-get install g++), or open engines with enforce_eager",
		}
	}
	return Check{Name: name, Status: OK, Value: command, Detail: path}
}

// askPython runs facts.py in the python executable, from the root folder, so
// that no package in the working directory is taken for an installed one.
func askPython(ctx context.Context, executable string) (facts, error) {
	cmd := exec.CommandContext(ctx, executable, "-s", "-")
	cmd.Dir, cmd.Env, cmd.Stdin = "/", pythonEnv(os.Environ()), strings.NewReader(factsScript)
	out, err := output(ctx, cmd, cmd.Start)
	if err != nil {
		return facts{}, fmt.Errorf("%s: %w", executable, err)
	}
	var f facts
	if err := json.Unmarshal(bytes.TrimSpace(out), &f); err != nil {
		return facts{}, fmt.Errorf("%s answers %.60q: %w", executable, out, err)
	}
	return f, nil
}
