package abtest

import (
	"errors"
	"fmt"
	"strings"

	"stepbench/engine"
)

// Failure is an arm that died, hung or broke, or two that cannot be compared.
type Failure struct {
	Launch int      `json:"launch"`
	Arm    *Which   `json:"arm,omitempty"` // nil: not one arm's
	Side   string   `json:"side,omitempty"`
	During string   `json:"during"`
	Reason string   `json:"reason"`
	Log    []string `json:"log,omitempty"` // the worker's last lines

	err error
}

// Error implements error.
func (f *Failure) Error() string {
	text := f.Reason
	if f.Arm != nil {
		text = fmt.Sprintf("%s (%s): %s", f.Side, f.Arm, text)
	}
	return fmt.Sprintf("launch %d, %s: %s", f.Launch, f.During, text)
}

// Unwrap gives the arm's own error.
func (f *Failure) Unwrap() error { return f.err }

// failure is an arm's error as a Failure.
func failure(launch int, w Which, side Side, during string, err error) *Failure {
	f := &Failure{Launch: launch, Arm: &w, Side: side.Name, During: during, Reason: err.Error(), err: err}
	var dead *engine.WorkerError
	if errors.As(err, &dead) {
		f.Reason, f.Log = "the worker "+dead.What, dead.LogTail
	}
	f.Reason, _, _ = strings.Cut(f.Reason, "\n")
	return f
}

// startFailure is err as a Failure if a changed kernel may be what broke the
// start: engines run their kernels once while they open.
func startFailure(launch int, w Which, side Side, err error) error {
	var dead *engine.WorkerError
	if side.Variant == nil || !errors.As(err, &dead) {
		return err
	}
	return failure(launch, w, side, "opening", err)
}

func (l *launch) fail(w Which, during string, err error) error {
	return failure(l.Number, w, l.collector.evidence.Sides[w], during, err)
}

// blame finds the arm whose worker an error is about, if it is one's.
func (l *launch) blame(err error) error {
	var of *ArmError
	if errors.As(err, &of) {
		return l.fail(of.Arm, "outputs", of.Err)
	}
	return err
}

// ArmError says which arm an error of Job.Check comes from.
type ArmError struct {
	Arm Which
	Err error
}

// Error implements error.
func (e *ArmError) Error() string { return e.Arm.String() + ": " + e.Err.Error() }

// Unwrap gives the arm's error.
func (e *ArmError) Unwrap() error { return e.Err }
