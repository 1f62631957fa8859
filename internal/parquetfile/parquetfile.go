// Package parquetfile guards the reading of Parquet files that others wrote:
// parquet-go trusts its input.
package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Magic is what a Parquet file begins and ends with.
const Magic = "PAR1"

// ErrNoEnd is of a file that does not end in Magic.
var ErrNoEnd = errors.New("it does not end in " + Magic)

// CheckFooter refuses a file whose last 8 bytes are not the magic number and the
// length of a footer that it can hold: parquet-go would first make room for
// whatever length it finds there.
func CheckFooter(r io.ReaderAt, size int64) error {
	end := make([]byte, 8)
	if size < int64(len(Magic)+len(end)) {
		return errors.New("it is too short")
	}
	if _, err := r.ReadAt(end, size-int64(len(end))); err != nil {
		return err
	}
	if string(end[4:]) != Magic {
		return ErrNoEnd
	}
	if footer := int64(binary.LittleEndian.Uint32(end)); footer > size-int64(len(Magic)+len(end)) {
		return fmt.Errorf("its footer of %d bytes is longer than the file", footer)
	}
	return nil
}

// Recover, deferred, turns a panic into an error: a damaged file can crash
// parquet-go.
func Recover(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("a damaged Parquet file: %v", p)
	}
}
