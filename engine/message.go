package engine

import (
	"encoding/json"
	"errors"

	"stepbench/bridge"
)

// command is what the parent asks of a worker. Exactly one field is set.
type command struct {
	Open  *openCommand
	Run   *Plan
	Play  *Script
	Feed  *Feed
	Call  *callCommand
	More  *more // for the feed in execution; may arrive at any time, as Stop
	Stop  bool  // end the plan in execution
	Close bool
}

// stoppable says whether a Stop ends the command early.
func (c *command) stoppable() bool { return c.Run != nil || c.Play != nil || c.Feed != nil }

type openCommand struct {
	Config []byte // JSON of Config: its Extra holds values of any type
	Host   Host
}

type callCommand struct {
	Method string
	Args   []byte // JSON
}

// GobEncode carries the parameters as JSON: gob itself omits a zero even behind
// a pointer, and with it the seed 0.
func (s Sampling) GobEncode() ([]byte, error) { return json.Marshal(s) }

// GobDecode is the inverse of GobEncode.
func (s *Sampling) GobDecode(text []byte) error { return json.Unmarshal(text, s) }

// report is what a worker says. A batch comes while a plan runs; every other
// command is answered by exactly one report with Done set.
type report struct {
	Done  bool
	Info  *Info
	Batch *Batch
	Reply []byte // JSON
	Err   *wireError
}

// wireError is an error with what survives the pipe.
type wireError struct {
	Text      string
	Stopped   bool
	NotOpen   bool   // ErrEnvironment
	Type      string // of a Python exception, else empty
	Message   string
	Traceback string
}

func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error(), Stopped: errors.Is(err, ErrStopped), NotOpen: errors.Is(err, ErrEnvironment)}
	var python *bridge.PythonError
	if errors.As(err, &python) {
		w.Type, w.Message, w.Traceback = python.Type, python.Message, python.Traceback
	}
	return w
}

// Error implements error.
func (w *wireError) Error() string { return w.Text }

// Is restores the mark of an engine that could not be opened.
func (w *wireError) Is(target error) bool { return w.NotOpen && target == ErrEnvironment }

// Unwrap gives back the error that callers branch on.
func (w *wireError) Unwrap() error {
	switch {
	case w.Stopped:
		return ErrStopped
	case w.Type != "":
		return &bridge.PythonError{Type: w.Type, Message: w.Message, Traceback: w.Traceback}
	}
	return nil
}
