package dataset

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Row is one request, or for C4 one document, as a file describes it. Which
// fields are set depends on the file's kind.
type Row struct {
	Line         int64   // where it ends in its file, from 1; in Parquet the number of the row
	Text         string  // prompt or document
	Completion   string  // what a model answered, whose length is the output's
	Tokens       []int32 // the prompt, where the file has token ids
	InputTokens  int     // of a trace, which has no prompts
	OutputTokens int     // 0 if the file does not say
	Blocks       []int64 // of a trace: equal ids are equal blocks of BlockTokens
	AtNs         int64   // of a trace: arrival, from the trace's beginning
	// LeftOut is why a well-formed row is no request; empty for one that is.
	LeftOut string
}

// Malformed is a place in a file that cannot be read.
type Malformed struct {
	File  string
	Unit  string // line or row
	Line  int64  // 0 if it is the file as a whole
	Field string // empty if it is the whole line
	Err   error
}

// Error names the file, the line and the field.
func (m *Malformed) Error() string {
	text := m.File
	separator := ": "
	if m.Line > 0 {
		text += fmt.Sprintf(": %s %d", m.Unit, m.Line)
		separator = ", "
	}
	if m.Field != "" {
		text += separator + "field " + m.Field
	}
	return text + ": " + m.Err.Error()
}

// Unwrap gives the cause.
func (m *Malformed) Unwrap() error { return m.Err }

// atField marks an error with the field it is about; the reader adds the place.
func atField(field, format string, args ...any) error {
	return &Malformed{Field: field, Err: fmt.Errorf(format, args...)}
}

// parser turns an open file into rows. Errors other than io.EOF are completed
// with the file and the line that place gives.
type parser interface {
	next() (Row, error)
	place() (unit string, line int64)
}

// Reader gives the rows of a file, or of several, one at a time. It holds no
// more than one row.
type Reader struct {
	kind  Kind
	paths []string // not opened yet
	name  string
	file  *os.File
	rows  parser
}

// Open starts reading s, whose kind must be one of files.
func Open(s Source) (*Reader, error) {
	if !slices.Contains(fileKinds, s.Kind) || s.Path == "" {
		return nil, fmt.Errorf("dataset %s is not in a file", s)
	}
	paths, err := s.files()
	if err != nil {
		return nil, err
	}
	r := &Reader{kind: s.Kind, paths: paths}
	return r, r.advance()
}

// files are the paths that s means, in order.
func (s Source) files() ([]string, error) {
	if !strings.ContainsAny(s.Path, "*?[") {
		return []string{s.Path}, nil
	}
	if s.Kind.Trace() {
		return nil, fmt.Errorf("%s: a trace is one file: join the files in order of time", s.Path)
	}
	paths, err := filepath.Glob(s.Path)
	if err == nil && len(paths) == 0 {
		err = errors.New("no file matches")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Path, err)
	}
	return paths, nil
}

// advance opens the next file.
func (r *Reader) advance() error {
	r.close()
	r.name, r.paths = r.paths[0], r.paths[1:]
	f, err := os.Open(r.name)
	if err != nil {
		return err
	}
	r.file = f
	rows, err := newParser(r.kind, r.name, f)
	if err != nil {
		r.rows = nil
		err = r.locate(err)
		r.close()
		return err
	}
	r.rows = rows
	return nil
}

func newParser(kind Kind, name string, f *os.File) (parser, error) {
	if kind == KindParquet || strings.HasSuffix(name, ".parquet") {
		if kind != KindParquet && kind != KindC4 {
			return nil, fmt.Errorf("a Parquet file cannot be of kind %s", kind)
		}
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return newParquetRows(f, info.Size(), kind)
	}
	text, err := uncompressed(name, f)
	if err != nil {
		return nil, err
	}
	return newTextParser(kind, text)
}

// newTextParser reads every kind but Parquet.
func newTextParser(kind Kind, text io.Reader) (parser, error) {
	switch kind {
	case KindC4:
		return &jsonLines{lines: newLines(text), row: c4Row}, nil
	case KindJSONL:
		return &jsonLines{lines: newLines(text), row: promptRow}, nil
	case KindMooncake:
		return &ordered{parser: &jsonLines{lines: newLines(text), row: mooncakeRow}, field: "timestamp"}, nil
	case KindAzure:
		return newTraceCSV(text, azureColumns())
	case KindBurstGPT:
		return newTraceCSV(text, burstGPTColumns())
	default:
		return newShareGPT(text), nil
	}
}

func uncompressed(name string, f io.Reader) (io.Reader, error) {
	if !strings.HasSuffix(name, ".gz") {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("not gzip, though its name ends in .gz: %w", err)
	}
	return z, nil
}

// Next gives the next row, and io.EOF after the last.
func (r *Reader) Next() (Row, error) {
	for {
		if r.file == nil {
			return Row{}, io.EOF
		}
		row, err := r.rows.next()
		if err == nil {
			_, row.Line = r.rows.place()
			return row, nil
		}
		if err != io.EOF {
			err = r.locate(err)
			r.close()
			return Row{}, err
		}
		if len(r.paths) == 0 {
			r.close()
			return Row{}, io.EOF
		}
		if err := r.advance(); err != nil {
			return Row{}, err
		}
	}
}

// locate completes err with the place it happened at.
func (r *Reader) locate(err error) error {
	m := &Malformed{Err: err}
	errors.As(err, &m)
	m.File = r.name
	if r.rows != nil {
		m.Unit, m.Line = r.rows.place()
	} else if !strings.HasSuffix(r.name, ".parquet") {
		m.Unit, m.Line = "line", 1 // of its header
	}
	return m
}

func (r *Reader) close() {
	if r.file != nil {
		_ = r.file.Close() // only read
		r.file = nil
	}
}

// Close ends reading early.
func (r *Reader) Close() { r.close() }

// ordered refuses a trace whose times go back.
type ordered struct {
	parser
	field  string
	lastNs int64
}

func (o *ordered) next() (Row, error) {
	row, err := o.parser.next()
	if err != nil {
		return row, err
	}
	if row.AtNs < o.lastNs {
		return row, atField(o.field, "%.3f s is earlier than %.3f s in the line before: sort the file by time",
			float64(row.AtNs)/1e9, float64(o.lastNs)/1e9)
	}
	o.lastNs = row.AtNs
	return row, nil
}
