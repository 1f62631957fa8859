// Package input reads the rows of a batch from files of several formats, one
// row at a time, whatever the size of the files.
//
// What is wrong with one row is in that row. What is wrong with a whole file
// (it is missing, it lacks a column, its compression is broken) is an error,
// and Open finds it before an engine is started where the file's beginning or
// schema tells.
package input

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"stepbench/bench/batch"
	"stepbench/engine"
)

// Format is how a file holds its rows.
type Format string

const (
	OpenAI  Format = "openai"  // OpenAI Batch: custom_id, method, url and body, a JSON object a line
	JSONL   Format = "jsonl"   // a JSON object a line, columns are its keys
	Parquet Format = "parquet" // columns of a Parquet file
)

// Options say where a row's parts are and what it does not say itself.
type Options struct {
	// Format of every file; empty finds it out from each file's content.
	Format Format
	// At most one of these is set. With none, the first of messages, prompt,
	// text and tokens that a file has is its column.
	PromptColumn, MessagesColumn, TokensColumn string
	// IDColumn is id, where there is one, if empty.
	IDColumn string
	// Empty if there is none. In an OpenAI row they stand beside custom_id.
	ReferenceColumn, OptionsColumn, AnswerColumn, GroupColumn string
	// Sampling holds what a row does not say. If neither says MaxTokens it is 0
	// in the row.
	Sampling engine.Sampling
	// N is how many completions a row that does not say so asks for; 0 means 1.
	N int
	// Stdin is read for the path "-"; nil means the process's.
	Stdin io.Reader
}

// Stdin is the path that means standard input.
const Stdin = "-"

// Source gives the rows of files in order. It holds one row, the ids as hashes
// (at most 16 bytes each), and what the open file's reader buffers. It is not
// safe for concurrent use, but for Progress.
type Source struct {
	options Options
	paths   []string // not opened yet
	file    *file
	stdin   *file // opened ahead by Open, which cannot open it twice
	index   int64
	ids     idSet

	passed atomic.Int64 // bytes of files already closed
	reader atomic.Pointer[counter]
	total  int64
}

// Open expands paths and checks the format and columns of every file.
func Open(paths []string, o Options) (*Source, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	paths, err := Expand(paths)
	if err != nil {
		return nil, err
	}
	s := &Source{options: o, paths: paths}
	var wrong []error
	for _, path := range paths {
		f, err := openFile(path, &s.options)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s: %w", path, err))
		case path == Stdin:
			s.stdin = f
		default:
			s.total += f.bytes.total
			f.close()
		}
	}
	if s.stdin != nil {
		s.total = 0 // whatever the files have is not all
	}
	return s, errors.Join(wrong...)
}

func (o *Options) check() error {
	switch o.Format {
	case "", OpenAI, JSONL, Parquet:
	default:
		return fmt.Errorf("input format %q is none of %s, %s, %s", o.Format, OpenAI, JSONL, Parquet)
	}
	set := 0
	for _, c := range []string{o.PromptColumn, o.MessagesColumn, o.TokensColumn} {
		if c != "" {
			set++
		}
	}
	if set > 1 {
		return errors.New("a row has one prompt: give one of the prompt, messages and tokens columns")
	}
	if o.AnswerColumn != "" && o.OptionsColumn == "" {
		return errors.New("an answer column needs an options column")
	}
	if o.N < 0 {
		return fmt.Errorf("%d completions a row: at least 1 is needed", o.N)
	}
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	return nil
}

// Next gives the next row, which is the caller's to keep, and io.EOF after the
// last. Any other error is final: a file that cannot be read on.
func (s *Source) Next() (*batch.Row, error) {
	for {
		if s.file == nil {
			if err := s.advance(); err != nil {
				return nil, err
			}
		}
		row, err := s.file.next()
		if err == nil {
			s.number(row)
			return row, nil
		}
		if err != io.EOF {
			return nil, fmt.Errorf("%s: line %d: %w", s.file.name, s.file.records.line(), err)
		}
		s.leave()
	}
}

// advance opens the next file.
func (s *Source) advance() error {
	if len(s.paths) == 0 {
		return io.EOF
	}
	path := s.paths[0]
	if path == Stdin {
		s.file = s.stdin
	} else {
		f, err := openFile(path, &s.options)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		s.file = f
	}
	s.paths = s.paths[1:]
	s.reader.Store(s.file.bytes)
	return nil
}

func (s *Source) leave() {
	s.reader.Store(nil)
	s.passed.Add(s.file.bytes.total)
	s.file.close()
	s.file = nil
}

// number gives row its place in the run and refuses an id that was there.
func (s *Source) number(row *batch.Row) {
	row.Index = s.index
	s.index++
	if row.ID == "" {
		row.ID = fmt.Sprintf("row-%d", row.Index)
		return
	}
	if !s.ids.add(row.ID) && row.Err == nil {
		row.Err = &batch.RowError{Place: row.Place, Field: s.file.idField, Message: fmt.Sprintf("duplicate id %s: an earlier row has it", clip(row.ID))}
	}
}

// Progress says how much of the files has been read, in bytes as they are
// stored. total is 0 if it is not known.
func (s *Source) Progress() (read, total int64) {
	read = s.passed.Load()
	if r := s.reader.Load(); r != nil {
		read += r.read.Load()
	}
	return read, s.total
}

// Close ends reading early.
func (s *Source) Close() error {
	if s.file != nil {
		s.leave()
	}
	s.paths = nil
	return nil
}

// Strict reads everything and gives what is wrong with the first rows, at most
// most of them, and the number of rows. check, which may be nil, looks at rows
// that can run.
func Strict(paths []string, o Options, most int, check func(*batch.Row) error) (rows int64, wrong []*batch.RowError, err error) {
	for _, p := range paths {
		if p == Stdin {
			return 0, nil, errors.New("standard input cannot be read twice, which a strict check needs: save it to a file")
		}
	}
	s, err := Open(paths, o)
	if err != nil {
		return 0, nil, err
	}
	defer s.Close()
	for {
		row, err := s.Next()
		if err == io.EOF {
			return s.index, wrong, nil
		}
		if err != nil {
			return s.index, wrong, err
		}
		if row.Err == nil && check != nil {
			if err := check(row); err != nil {
				row.Err = &batch.RowError{Place: row.Place, Message: err.Error()}
			}
		}
		if row.Err != nil && len(wrong) < most {
			wrong = append(wrong, row.Err)
		}
	}
}
