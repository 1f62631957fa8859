package score

import "sync/atomic"

// last remembers what was made of the last key: rows in a row often share their
// pattern or schema.
type last[T any] struct {
	made atomic.Pointer[keyed[T]]
}

type keyed[T any] struct {
	key   string
	value T
	err   error
}

// get is make of key.
func (l *last[T]) get(key string, make func(string) (T, error)) (T, error) {
	if m := l.made.Load(); m != nil && m.key == key {
		return m.value, m.err
	}
	value, err := make(key)
	l.made.Store(&keyed[T]{key, value, err})
	return value, err
}
