package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
)

type number interface{ int64 | uint64 | float64 }

// Value is one reading. The zero Value is unknown: what cannot be read is never
// taken for 0. In JSON unknown is null.
type Value[T number] struct {
	V     T
	Known bool
}

// Of is a known value.
func Of[T number](v T) Value[T] { return Value[T]{v, true} }

func (v Value[T]) String() string {
	if !v.Known {
		return "unknown"
	}
	return fmt.Sprint(v.V)
}

// MarshalJSON writes a number or null.
func (v Value[T]) MarshalJSON() ([]byte, error) {
	if !v.Known {
		return []byte("null"), nil
	}
	return json.Marshal(v.V)
}

// UnmarshalJSON reads a number or null.
func (v *Value[T]) UnmarshalJSON(data []byte) error {
	*v = Value[T]{}
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	v.Known = true
	return json.Unmarshal(data, &v.V)
}

// plus is unknown if one of the two is.
func (v Value[T]) plus(w Value[T]) Value[T] {
	if !v.Known || !w.Known {
		return Value[T]{}
	}
	return Of(v.V + w.V)
}

// rise is what a counter gained. One that went back was started anew, by a
// reload of the driver for instance: what it gained is unknown.
func rise[T number](before, after Value[T]) Value[T] {
	if !before.Known || !after.Known || after.V < before.V {
		return Value[T]{}
	}
	return Of(after.V - before.V)
}

// over is the share v/whole, unknown over nothing.
func over(v, whole Value[float64]) Value[float64] {
	if !v.Known || !whole.Known || whole.V <= 0 {
		return Value[float64]{}
	}
	return Of(v.V / whole.V)
}
