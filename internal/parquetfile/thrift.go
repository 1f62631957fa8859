package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of the compact Thrift protocol, in which Parquet's footer and page headers
// are written (thrift/doc/specs/thrift-compact-protocol.md).
const (
	thriftStop   = 0
	thriftTrue   = 1
	thriftFalse  = 2
	thriftI8     = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftStruct = 12
)

// maxDepth is twice that of Parquet's own structures.
const maxDepth = 16

var (
	errShort = errors.New("it promises more bytes than there are")
	errDeep  = errors.New("its structures are nested too deeply")
)

// thrift walks a structure and makes room for nothing: whatever it says of its
// lengths, the bytes must be there.
type thrift struct {
	data []byte
	at   int
	// integer is told each integer of the outermost structure (outer is 0) and of the
	// structures in it (outer is their field).
	integer func(outer, field, value int64)
}

func (t *thrift) structure(outer int64, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	for field := int64(0); ; {
		head, err := t.byte()
		if err != nil || head == thriftStop {
			return err
		}
		if delta := int64(head >> 4); delta != 0 {
			field += delta
		} else if field, err = t.varint(); err != nil {
			return err
		}
		switch kind := head & 0xf; kind {
		case thriftTrue, thriftFalse: // the type is the value
		case thriftI16, thriftI32, thriftI64:
			var v int64
			if v, err = t.varint(); depth < 2 && t.integer != nil {
				t.integer(outer, field, v)
			}
		default:
			err = t.value(kind, field, depth)
		}
		if err != nil {
			return err
		}
	}
}

// value walks one that is not the type itself: of a field, or of a list.
func (t *thrift) value(kind byte, field int64, depth int) error {
	switch kind {
	case thriftTrue, thriftFalse, thriftI8:
		return t.skip(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := t.varint()
		return err
	case thriftDouble:
		return t.skip(8)
	case thriftBinary:
		n, err := t.uvarint()
		if err != nil {
			return err
		}
		return t.skip(n)
	case thriftList, thriftSet:
		return t.list(depth)
	case thriftStruct:
		return t.structure(field, depth+1)
	}
	return fmt.Errorf("it has Thrift's type %d, which Parquet does not use", kind)
}

func (t *thrift) list(depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	head, err := t.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = t.uvarint(); err != nil {
			return err
		}
	}
	if n > uint64(len(t.data)-t.at) { // none takes less than a byte
		return errShort
	}
	for range n {
		if err := t.value(head&0xf, 0, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (t *thrift) byte() (byte, error) {
	if t.at == len(t.data) {
		return 0, errShort
	}
	t.at++
	return t.data[t.at-1], nil
}

func (t *thrift) skip(n uint64) error {
	if n > uint64(len(t.data)-t.at) {
		return errShort
	}
	t.at += int(n)
	return nil
}

func (t *thrift) uvarint() (uint64, error) {
	v, n := binary.Uvarint(t.data[t.at:])
	switch {
	case n == 0:
		return 0, errShort
	case n < 0:
		return 0, errors.New("it has a number of more than 64 bits")
	}
	t.at += n
	return v, nil
}

func (t *thrift) varint() (int64, error) {
	v, err := t.uvarint()
	return int64(v>>1) ^ -int64(v&1), err
}
