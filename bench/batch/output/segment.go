package output

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"stepbench/bench/batch"
)

// journalFile is what a segment needs of *os.File, so that tests can have a
// disk that fails.
type journalFile interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// segment is a journal that is written to.
type segment struct {
	number int
	name   string
	f      journalFile
	size   int64  // of whole lines
	spans  []span // of the results, 24 bytes each
}

// span is where a result's line lies.
type span struct {
	row    int64
	at     int64
	length int64
}

// createSegment makes an empty journal.
func createSegment(dir string, number int) (*segment, error) {
	name := journalName(number)
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &segment{number: number, name: name, f: f}, nil
}

// write adds whole lines in one write, so that a kill between two writes loses
// nothing. On a full disk it takes back what went down of them.
func (s *segment) write(text []byte, spans []span) error {
	if _, err := s.f.Write(text); err != nil {
		err = fmt.Errorf("write %s: %w", s.name, err)
		if cut := s.f.Truncate(s.size); cut != nil {
			return errors.Join(err, &brokenError{fmt.Errorf("take back a cut line of %s: %w", s.name, cut)})
		}
		return err
	}
	for _, sp := range spans {
		sp.at += s.size
		s.spans = append(s.spans, sp)
	}
	s.size += int64(len(text))
	return nil
}

// brokenError means that nothing may be written to a journal any more.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// scanJournal reads whole lines from the beginning and gives the length of
// what is good. A last line without its end, or anything from a zero byte on,
// is what a kill, a full disk or a power cut leaves, and not good; what is
// damaged otherwise is an error with its line.
func scanJournal(r io.Reader, visit func(e entry, at, length int64) error) (good int64, err error) {
	lines := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return good, nil
		}
		if err != nil {
			return good, fmt.Errorf("line %d: %w", n, err)
		}
		if bytes.IndexByte(line, 0) >= 0 {
			return good, nil
		}
		e, err := parseEntry(line)
		if err == nil {
			err = visit(e, good, int64(len(line)))
		}
		if err != nil {
			return good, fmt.Errorf("line %d: %w", n, err)
		}
		good += int64(len(line))
	}
}

// spanReader gives the results of a journal by their places.
type spanReader struct {
	name   string
	f      io.ReaderAt
	spans  []span
	buffer []byte
	done   func()
}

// inOrder sorts spans by row.
func inOrder(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.row, b.row) })
	return spans
}

func (r *spanReader) next() (*batch.Result, error) {
	if len(r.spans) == 0 {
		return nil, io.EOF
	}
	sp := r.spans[0]
	r.spans = r.spans[1:]
	r.buffer = slices.Grow(r.buffer[:0], int(sp.length))[:sp.length]
	if _, err := r.f.ReadAt(r.buffer, sp.at); err != nil {
		return nil, fmt.Errorf("read %s: row %d: %w", r.name, sp.row, err)
	}
	e, err := parseEntry(r.buffer)
	if err == nil && (e.Result == nil || e.Index != sp.row) {
		err = errors.New("it is damaged: another row was there before")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: row %d: %w", r.name, sp.row, err)
	}
	return e.Result, nil
}

func (r *spanReader) close() {
	if r.done != nil {
		r.done()
	}
}
