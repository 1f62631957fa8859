package bridge

import (
	"errors"
	"fmt"
)

// Sentinels for the shim's own refusals. A Python exception is a *PythonError.
var (
	ErrABI    = errors.New("shim and program disagree on the ABI")
	ErrThread = errors.New("called on another thread than the one that started Python")
	ErrState  = errors.New("called out of order")
	ErrInit   = errors.New("python did not start")
	ErrMemory = errors.New("out of memory in the shim")
)

// PythonError is an exception that left a call, formatted where it was raised.
type PythonError struct {
	Type      string // "ValueError"
	Message   string
	Traceback string // as Python prints it, with a trailing newline
}

// Error gives type and message; the traceback is for logs.
func (e *PythonError) Error() string {
	if e.Message == "" { // a bare assert
		return e.Type
	}
	return e.Type + ": " + e.Message
}

// codes are the shim's SB_E* values.
const (
	codeOK = -iota
	codePython
	codeABI
	codeThread
	codeState
	codeInit
	codeMemory
)

// check turns a return code into an error, reading the shim's last error.
func (l *Library) check(code int32) error {
	if code == codeOK {
		return nil
	}
	if code == codeThread {
		return ErrThread // the shim's words are the same, and belong to that thread
	}
	l.lastError(&l.errView)
	kind, message := goString(l.errView.kind), goString(l.errView.message)
	if code == codePython {
		return &PythonError{Type: kind, Message: message, Traceback: goString(l.errView.traceback)}
	}
	sentinel := map[int32]error{
		codeABI: ErrABI, codeState: ErrState, codeInit: ErrInit, codeMemory: ErrMemory,
	}[code]
	if sentinel == nil {
		return fmt.Errorf("shim returned code %d: %s", code, message)
	}
	return fmt.Errorf("%w: %s", sentinel, message)
}
