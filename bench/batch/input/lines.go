package input

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxRecordBytes bounds a line, and a text of a Parquet file. A longer one is
// no prompt of any model.
const maxRecordBytes = 16 << 20

// lines gives the lines of a text that are not blank. One that is too long is
// passed over, so that the ones after it are still read.
type lines struct {
	r      *bufio.Reader
	buffer []byte
	number int64 // of the last line given, from 1
}

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, 256<<10)}
}

// next gives a line, valid until the next call; a *problem is of this line
// alone.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.read()
		if err != nil && (err != io.EOF || len(line) == 0) {
			return nil, err
		}
		l.number++
		if l.number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

// read gives a line with its end. The last one may lack it, and then comes
// with io.EOF.
func (l *lines) read() ([]byte, error) {
	l.buffer = l.buffer[:0]
	for {
		piece, err := l.r.ReadSlice('\n')
		if len(l.buffer)+len(piece) > maxRecordBytes {
			l.number++
			l.buffer = nil
			return nil, l.skip(err)
		}
		if err == nil && len(l.buffer) == 0 {
			return piece, nil
		}
		l.buffer = append(l.buffer, piece...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l.buffer, err
		}
	}
}

// skip reads to the end of a line of which the last piece came with err.
func (l *lines) skip(err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = l.r.ReadSlice('\n')
	}
	if err != nil && err != io.EOF {
		return err
	}
	return &problem{message: fmt.Sprintf("the line is longer than %d MiB", maxRecordBytes>>20)}
}
