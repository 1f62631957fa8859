package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Exit codes, stable across versions.
const (
	exitOK           = 0
	exitRegression   = 1   // SLOWER, or a regression
	exitInconclusive = 2   // INCONCLUSIVE
	exitInvalid      = 3   // INVALID, or not comparable
	exitDiffers      = 4   // outputs differ
	exitFailedRows   = 5   // finished, some requests or rows failed
	exitUsage        = 64  // usage or bad input
	exitEnvironment  = 69  // the machine or its set-up
	exitInternal     = 70  // a worker or this program failed
	exitInterrupted  = 130 // interrupted, partial results written
)

// exitError is an error with the exit code it leads to.
type exitError struct {
	code int
	err  error // nil: nothing to print
}

func exitWith(code int, err error) error { return &exitError{code, err} }

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// ExitCode is the process's exit code.
func (e *exitError) ExitCode() int { return e.code }

// exitCode prints err once and gives the exit code that it stands for.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	code := exitInternal
	var e *exitError
	switch {
	case errors.As(err, &e):
		code = e.code
		if e.err == nil {
			return code
		}
	case errors.Is(err, context.Canceled):
		code = exitInterrupted
	}
	fmt.Fprintln(stderr, "stepbench:", err)
	return code
}
