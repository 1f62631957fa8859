// Package parquetfile guards the reading of Parquet files that others wrote:
// parquet-go trusts its input.
package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// Magic is what a Parquet file begins and ends with.
const Magic = "PAR1"

// ErrNoEnd is of a file that does not end in Magic.
var ErrNoEnd = errors.New("it does not end in " + Magic)

// Open opens a file once its footer and its page headers promise no more than it
// holds: parquet-go would first make room for whatever length it finds there, which
// can end the process. Indexes and Bloom filters are not read. What is read from the
// file later can still panic; see Recover.
func Open(r io.ReaderAt, size int64, options ...parquet.FileOption) (file *parquet.File, err error) {
	defer Recover(&err)
	if err := checkFooter(r, size); err != nil {
		return nil, err
	}
	options = append([]parquet.FileOption{parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true)}, options...)
	if file, err = parquet.OpenFile(r, size, options...); err != nil {
		return nil, err
	}
	if err := checkPages(r, file); err != nil {
		return nil, err
	}
	return file, nil
}

// checkFooter refuses a file whose last 8 bytes are not the magic number and the
// length of a footer that it can hold, or whose footer promises what is not there.
func checkFooter(r io.ReaderAt, size int64) error {
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
	length := int64(binary.LittleEndian.Uint32(end))
	if length > size-int64(len(Magic)+len(end)) {
		return fmt.Errorf("its footer of %d bytes is longer than the file", length)
	}
	footer := thrift{data: make([]byte, length)}
	if _, err := r.ReadAt(footer.data, size-int64(len(end))-length); err != nil {
		return err
	}
	if err := footer.structure(0, 0); err != nil {
		return fmt.Errorf("its footer is damaged: %w", err)
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
