package abtest

import (
	"context"

	"stepbench/bench/micro"
	"stepbench/engine"
)

// Arm is an open engine that runs one side's kernels; engine.Remote in the
// product.
type Arm interface {
	micro.Player
	Call(ctx context.Context, method string, args, reply any) error
	PID() int
	Close() error
}

// Side is one of the two builds. A is the baseline, B the candidate.
type Side struct {
	Name    string          `json:"name"`
	Variant *engine.Variant `json:"variant,omitempty"` // nil: the kernels vLLM was installed with
	// Unchanged says that the variant's sources are those of the installed
	// vLLM, only compiled again.
	Unchanged bool `json:"unchanged,omitempty"`
	// Host is the kind of the worker's process. Where the sides' differ it is
	// what a host costs that is compared, by wall time.
	Host engine.HostMode `json:"host,omitempty"`
}

// sameLibrary says that both sides load the same files.
func sameLibrary(a, b Side) bool {
	if a.Variant == nil || b.Variant == nil {
		return a.Variant == b.Variant
	}
	return hashes(a.Variant) == hashes(b.Variant)
}

// hashes of a variant's files, one text whatever the folder they are in.
func hashes(v *engine.Variant) string {
	text := v.SHA256[v.Library]
	for _, name := range sortedKeys(v.Modules) {
		text += "\n" + name + " " + v.SHA256[v.Modules[name]]
	}
	return text
}

// Which says whose: the index of A is 0, that of B is 1.
type Which int

const (
	ArmA Which = iota
	ArmB
)

// String is the arm's letter.
func (w Which) String() string { return string(rune('A' + w)) }

// MarshalText implements encoding.TextMarshaler.
func (w Which) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (w *Which) UnmarshalText(text []byte) error {
	*w = ArmA
	if string(text) == "B" {
		*w = ArmB
	}
	return nil
}
