package doctor

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"stepbench/bridge"
)

//go:embed hostprobe.py
var hostprobeScript string

const (
	// pairs of measurements: with 9, the 2nd smallest and the 2nd largest ratio
	// enclose the median with 96 % confidence, so one outlier on each side is
	// harmless.
	pairs = 9
	// slowdownMax is the slowdown of the embedded interpreter that is worth a
	// warning. Distributors often link the python executable statically and
	// optimise it further than the shared library.
	slowdownMax  = 1.03
	probeTimeout = 30 * time.Second
)

// loopResult is what hostprobe.py reports, by either way.
type loopResult struct {
	LoopNs int64 `json:"loop_ns"`
}

// EmbeddedLoopNs starts Python in this process, on the calling thread, and
// returns how long hostprobe.py's loop takes in it. The thread must be the
// locked main one, as a worker's.
func EmbeddedLoopNs(pythonPath, shimPath string) (int64, error) {
	python, err := bridge.FindPython(pythonPath)
	if err != nil {
		return 0, err
	}
	path, err := bridge.FindShim(shimPath)
	if err != nil {
		return 0, err
	}
	lib, err := bridge.Load(path)
	if err != nil {
		return 0, err
	}
	if err := lib.CheckPython(python); err != nil {
		return 0, err
	}
	folder, err := os.MkdirTemp("", "stepbench-probe-")
	if err != nil {
		return 0, fmt.Errorf("write the probe module: %w", err)
	}
	defer os.RemoveAll(folder)
	if err := os.WriteFile(filepath.Join(folder, "hostprobe.py"), []byte(hostprobeScript), 0o600); err != nil {
		return 0, fmt.Errorf("write the probe module: %w", err)
	}
	start := bridge.StartOptions{Python: python.Executable, ModulePath: folder, Module: "hostprobe"}
	if err := lib.Start(start); err != nil {
		return 0, fmt.Errorf("start python %s: %w", python.Executable, err)
	}
	reply, err := lib.Open([]byte("{}"))
	if err != nil {
		return 0, fmt.Errorf("run the probe loop: %w", err)
	}
	return readLoop(reply)
}

func readLoop(reply []byte) (int64, error) {
	var r loopResult
	if err := json.Unmarshal(bytes.TrimSpace(reply), &r); err != nil || r.LoopNs <= 0 {
		return 0, fmt.Errorf("the probe loop answers %.60q", reply)
	}
	return r.LoopNs, nil
}

// runLoop runs a command that prints a loopResult.
func runLoop(ctx context.Context, slot int, argv []string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(pythonEnv(os.Environ()), "PYTHONHASHSEED=0") // the same dict layout each time
	out, err := output(ctx, cmd, func() error { return startPinned(cmd, slot) })
	if err != nil {
		return 0, err
	}
	return readLoop(out)
}

// embeddedCheck measures the same loop in the python executable and in an
// interpreter embedded by this program, each time in a fresh process, in
// alternating order. A pair shares a processor and a moment, so its ratio is
// free of what differs between them: on virtual machines one processor can be
// twice as fast as the next.
func embeddedCheck(ctx context.Context, opt Options, h host, in interpreter) Check {
	const name = "embedded python"
	switch {
	case len(opt.Probe) == 0:
		return Check{Name: name, Status: Absent, Value: "not measured"}
	case in.known != nil:
		return notAvailable(name, in.known)
	case in.shimErr != nil:
		return notAvailable(name, errors.New("no shim to embed it with"))
	case in.shim.check(in.python) != nil:
		return notAvailable(name, errors.New("the shim is of another Python"))
	}
	plain := []string{in.python.Executable, "-s", "-c", hostprobeScript}
	embedded := append(slices.Clone(opt.Probe), "--python", in.python.Executable, "--shim", in.shim.path)
	var ratios, plainNs, embeddedNs []float64
	for i := range pairs {
		order := [][]string{plain, embedded}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		took := map[string]float64{}
		for _, argv := range order {
			ns, err := h.loop(ctx, i, argv)
			if err != nil {
				return loopFailed(name, argv[0] == embedded[0], err)
			}
			took[argv[0]] = float64(ns)
		}
		plainNs, embeddedNs = append(plainNs, took[plain[0]]), append(embeddedNs, took[embedded[0]])
		ratios = append(ratios, took[embedded[0]]/took[plain[0]])
	}
	return judgeLoop(name, ratios, plainNs, embeddedNs, in.facts.SharedExecutable)
}

// loopFailed: without the executable's figure nothing can be compared, but an
// interpreter that cannot be embedded cannot hold an engine either.
func loopFailed(name string, embedded bool, err error) Check {
	if !embedded {
		return notAvailable(name, fmt.Errorf("python executable: %w", err))
	}
	return Check{
		Name: name, Status: Fail, Value: "does not start", Detail: err.Error(),
		Remedy: "run make build; if that does not help, make setup with another Python (STEPBENCH_PYTHON_BASE)",
	}
}

// judgeLoop warns when the median ratio is above slowdownMax and the interval
// leaves no doubt that the embedded interpreter is the slower one.
func judgeLoop(name string, ratios, plainNs, embeddedNs []float64, shared bool) Check {
	mid, low, high := medianInterval(ratios)
	plain, _, _ := medianInterval(plainNs)
	embedded, _, _ := medianInterval(embeddedNs)
	percent := func(ratio float64) float64 { return (ratio - 1) * 100 }
	c := Check{
		Name: name, Status: OK,
		Value: fmt.Sprintf("%+.1f %% time", percent(mid)),
		Detail: fmt.Sprintf("95 %% interval %+.1f to %+.1f %%, %d pairs; loop %.2f ms in the executable, %.2f ms embedded",
			percent(low), percent(high), len(ratios), plain/1e6, embedded/1e6),
		Facts: map[string]any{
			"ratio_median": round(mid), "ratio_low": round(low), "ratio_high": round(high), "pairs": len(ratios),
			"executable_ns": int64(plain), "embedded_ns": int64(embedded), "shared_executable": shared,
		},
	}
	switch {
	case mid <= slowdownMax:
	case low <= 1:
		c.Status = Warn
		c.Detail += "; too noisy to tell"
		c.Remedy = "run doctor again while nothing else uses the processors"
	default:
		c.Status = Warn
		c.Remedy = "use a Python whose executable links libpython (built with --enable-shared, as by " +
			"PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.12): STEPBENCH_PYTHON_BASE=/path/to/python make setup"
		if !shared {
			c.Detail += "; the executable is linked statically"
		}
	}
	return c
}

// round keeps four decimals, more than the measurement has.
func round(x float64) float64 { return math.Round(x*1e4) / 1e4 }

// medianInterval is the median and the narrowest symmetric pair of order
// statistics that encloses the population's median with at least 95 %
// confidence, or the extremes if the sample is too small for any. Coverage of
// the r-th smallest and r-th largest of n is 1 - 2 P(X < r), X binomial(n, 1/2).
func medianInterval(sample []float64) (median, low, high float64) {
	s := slices.Sorted(slices.Values(sample))
	n := len(s)
	r, below, term := 1, 0.0, math.Pow(0.5, float64(n))
	for i := range n / 2 {
		if below += term; below > 0.025 { // P(X <= i)
			break
		}
		r = i + 1
		term *= float64(n-i) / float64(i+1)
	}
	return (s[(n-1)/2] + s[n/2]) / 2, s[r-1], s[n-r]
}
