package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// roleVar makes this test binary a worker process instead, good or bad.
const roleVar = "STEPBENCH_TEST_WORKER"

// Python must live on the process's main thread, which only init can lock.
func init() {
	if os.Getenv(roleVar) != "" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVar)
	if role == "" {
		os.Exit(m.Run())
	}
	play, known := roles[role]
	if !known {
		fmt.Fprintln(os.Stderr, "no role", role)
		os.Exit(64)
	}
	in, out := os.NewFile(3, "commands"), os.NewFile(4, "reports")
	if role != "parent" {
		syscall.CloseOnExec(3)
		syscall.CloseOnExec(4)
	}
	if err := play(in, out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

var roles = map[string]func(in, out *os.File) error{
	// The product's worker on the fake vllm.
	"local": func(in, out *os.File) error {
		w := engine.Worker{Open: openLocal, Orphaned: engine.KillGroup}
		return w.Serve(in, out)
	},
	// A worker without Python.
	"stepper": func(in, out *os.File) error {
		w := engine.Worker{Open: openStepper, Orphaned: engine.KillGroup}
		return w.Serve(in, out)
	},
	// A parent that opens a worker, says both process ids and waits.
	"parent": func(_, _ *os.File) error { return playParent() },

	"exits at once": func(_, _ *os.File) error { return errors.New("cannot find libpython") },
	"answers with text": func(_, out *os.File) error {
		fmt.Fprintln(out, "Traceback (most recent call last):")
		return forever()
	},
	"answers with half a frame": func(_, out *os.File) error {
		_, err := out.Write(append(header(100), "0123456789"...))
		return err
	},
	"answers with a frame of 4 GiB": func(_, out *os.File) error {
		_, _ = out.Write(header(1<<32 - 1))
		return forever()
	},
	"answers without a description": func(in, out *os.File) error {
		_ = engine.ReadFrame(in, &engine.Command{})
		_ = engine.WriteFrame(out, engine.Report{Done: true})
		return forever()
	},
	"never answers": func(_, _ *os.File) error {
		fmt.Println("started")
		return forever()
	},
	"closes its pipe and stays": func(_, out *os.File) error {
		out.Close()
		return forever()
	},
	"ignores close": func(in, out *os.File) error {
		_ = engine.ReadFrame(in, &engine.Command{})
		_ = engine.WriteFrame(out, engine.Report{Done: true, Info: &engine.Info{}})
		_, _ = io.Copy(io.Discard, in)
		return forever()
	},
	"does not read": func(in, out *os.File) error {
		_ = engine.ReadFrame(in, &engine.Command{})
		_ = engine.WriteFrame(out, engine.Report{Done: true, Info: &engine.Info{}})
		return forever()
	},
	"exits instead of closing": func(in, out *os.File) error {
		_ = engine.ReadFrame(in, &engine.Command{})
		_ = engine.WriteFrame(out, engine.Report{Done: true, Info: &engine.Info{}})
		return errors.New("lost its mind")
	},
}

// forever is longer than any test waits, but not for ever: a test that is killed
// leaves nothing behind.
func forever() error {
	time.Sleep(2 * time.Minute)
	return nil
}

func openLocal(cfg engine.Config, host engine.Host) (engine.Stepper, error) {
	e, err := engine.OpenLocal(cfg, host)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// openStepper makes a fake engine with steps of 5 ms. Extra's "log" is written to
// standard error, a line of "line" bytes to standard output, and "child" starts a
// process that would stay.
func openStepper(cfg engine.Config, _ engine.Host) (engine.Stepper, error) {
	if text, ok := cfg.Extra["log"].(string); ok {
		fmt.Fprintln(os.Stderr, text)
	}
	if n, ok := cfg.Extra["line"].(float64); ok {
		fmt.Println(strings.Repeat("x", int(n)))
	}
	if cfg.Extra["child"] == true {
		child := exec.Command("sleep", "120")
		if err := child.Start(); err != nil {
			return nil, err
		}
	}
	f := &enginetest.Fake{Clock: enginetest.NewRealClock(), About: engine.Info{Device: cfg.Model.Name}}
	f.StepTime = func(engine.Step) time.Duration { return 5 * time.Millisecond }
	f.OnCall = func(method string, args any) (any, error) {
		switch method {
		case "echo":
			return args, nil
		case "hang":
			return nil, forever()
		case "panic":
			panic("a bug in the worker")
		}
		return nil, fmt.Errorf("no control method %q", method)
	}
	return loud{f}, nil
}

// farewell is how many lines a worker without Python writes when it closes.
const farewell = 200

type loud struct{ *enginetest.Fake }

func (l loud) Close() error {
	for i := range farewell {
		fmt.Println("line", i)
	}
	return l.Fake.Close()
}

func playParent() error {
	opt := workerOptions("stepper")
	opt.Host.Python = os.Getenv("STEPBENCH_PYTHON")
	r, err := engine.OpenRemote(context.Background(), engine.Config{Extra: map[string]any{"child": true}}, opt)
	if err != nil {
		return err
	}
	fmt.Println(os.Getpid(), r.PID())
	return forever()
}

// workerOptions runs this test binary in the given role.
func workerOptions(role string) engine.WorkerOptions {
	return engine.WorkerOptions{
		Command: []string{os.Args[0]},
		// The race detector sleeps a second at exit by default.
		Env: []string{roleVar + "=" + role, "GORACE=atexit_sleep_ms=0"},
	}
}
