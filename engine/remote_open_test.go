package engine_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"stepbench/engine"
)

func TestOpenRemote_Errors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		role, what, log string
	}{
		{"exits at once", "died: exit status 1", "cannot find libpython"},
		{"answers with text", "answered nonsense (broken frame: starts with 54 72 61 63) and was killed", ""},
		{"answers with half a frame", "answered nonsense (broken frame: ended after 10 of 100 bytes) and was killed", ""},
		{"answers with a frame of 4 GiB", "answered nonsense (broken frame: length 4294967295 exceeds 1073741824) and was killed", ""},
		{"answers without a description", "answered nonsense (no description of the engine) and was killed", ""},
		{"closes its pipe and stays", "closed its pipe without exiting and was killed", ""},
		{"never answers", "gave no sign for 300ms and was killed", "started"},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			t.Parallel()
			opt := pythonless(t, tt.role)
			pid := reportPID(&opt)
			opt.CloseTimeout = 300 * time.Millisecond
			if tt.role == "never answers" {
				opt.OpenTimeout = 300 * time.Millisecond
			}
			r, err := engine.OpenRemote(t.Context(), tiny("x"), opt)
			if r != nil {
				t.Error("an engine besides the error")
			}
			w := workerError(t, err, "open", tt.what)
			if !mentions(w.LogTail, tt.log) || !strings.Contains(err.Error(), tt.log) {
				t.Errorf("the log %q is missing in %q", tt.log, err)
			}
			assertGone(t, pid(t))
		})
	}
}

func reportPID(opt *engine.WorkerOptions) func(*testing.T) int {
	opt.Command = append([]string{"/bin/sh", "-c", `echo $$; exec "$@"`, "sh"}, opt.Command...)
	first := make(chan string, 1)
	next := opt.Log
	opt.Log = func(line string) {
		select {
		case first <- line:
		default:
			if next != nil {
				next(line)
			}
		}
	}
	return func(t *testing.T) int {
		t.Helper()
		pid, err := strconv.Atoi(<-first)
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
}

func TestOpenRemoteCannotStart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(*engine.WorkerOptions)
		want string
	}{
		{"no worker", func(o *engine.WorkerOptions) { o.Command = []string{"/nonexistent/stepbench"} },
			"start worker /nonexistent/stepbench: fork/exec /nonexistent/stepbench: no such file or directory"},
		{"no python", func(o *engine.WorkerOptions) { o.Host.Python = "/nonexistent/python" },
			"python /nonexistent/python: no such file or directory: set STEPBENCH_PYTHON to a python executable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opt := pythonless(t, "stepper")
			tt.edit(&opt)
			r, err := engine.OpenRemote(t.Context(), tiny("x"), opt)
			if r != nil || err == nil || err.Error() != tt.want {
				t.Fatalf("error %v\nwant  %s", err, tt.want)
			}
			if python := tt.name == "no python"; errors.Is(err, engine.ErrEnvironment) != python {
				t.Errorf("error %v marked as one of the environment: %v", err, !python)
			}
		})
	}
	if _, err := engine.OpenRemote(t.Context(), engine.Config{Extra: map[string]any{"f": func() {}}}, pythonless(t, "stepper")); err == nil {
		t.Error("a config that is no JSON was sent")
	}
}

func TestCancelOpening(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	opt := pythonless(t, "never answers")
	why := errors.New("the user gave up")
	opt.Log = func(line string) { // "started": the worker is up and silent
		cancel(why)
	}
	pid := reportPID(&opt)
	if _, err := engine.OpenRemote(ctx, tiny("x"), opt); err != why {
		t.Errorf("error %v, want the context's cause alone", err)
	}
	assertGone(t, pid(t))
}
