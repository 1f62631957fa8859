package build

import "fmt"

// InputError is a mistake in what was asked for, or in the source that was to
// be compiled; nothing was written.
type InputError struct{ Err error }

func (e *InputError) Error() string { return e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

// ToolError is a missing or unusable tool or package on this machine.
type ToolError struct{ Err error }

func (e *ToolError) Error() string { return e.Err.Error() }
func (e *ToolError) Unwrap() error { return e.Err }

// CompileError is what a compiler or linker says about the changed source.
type CompileError struct {
	Phase  string // "compile", "link"
	Output string // the compiler's own lines, with paths as the user gave them
}

func (e *CompileError) Error() string { return fmt.Sprintf("%s failed:\n%s", e.Phase, e.Output) }

func refuse(format string, args ...any) error { return &InputError{fmt.Errorf(format, args...)} }

func unusable(format string, args ...any) error { return &ToolError{fmt.Errorf(format, args...)} }

// full is the advice that ends the refusal of a change that a library of
// overriding ops cannot carry.
const full = ": build the whole module with --full"
