package output

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"stepbench/bench/batch"
)

// resultWriter writes results to a file. Without close the file has no end.
type resultWriter interface {
	write(*batch.Result) error
	close() error
}

// resultReader gives results until io.EOF.
type resultReader interface {
	next() (*batch.Result, error)
	close()
}

func newResultWriter(w io.Writer, m *Manifest) (resultWriter, error) {
	if m.Format == Parquet {
		return newParquetWriter(w)
	}
	lines := lineWriter{buffer: bufio.NewWriterSize(w, 1<<20)}
	lines.encoder = json.NewEncoder(lines.buffer)
	lines.encoder.SetEscapeHTML(false)
	lines.shape = func(r *batch.Result) any { return r }
	if m.Format == OpenAI {
		created := time.Now().Unix()
		lines.shape = func(r *batch.Result) any { return newOpenAILine(r, m.Model, created) }
	}
	return &lines, nil
}

// lineWriter writes a JSON object a line.
type lineWriter struct {
	buffer  *bufio.Writer
	encoder *json.Encoder
	shape   func(*batch.Result) any
}

func (w *lineWriter) write(r *batch.Result) error { return w.encoder.Encode(w.shape(r)) }

func (w *lineWriter) close() error { return w.buffer.Flush() }

func newResultReader(f *os.File, format Format) (resultReader, error) {
	if format == Parquet {
		return newParquetReader(f)
	}
	parse := parseResult
	if format == OpenAI {
		parse = parseOpenAILine
	}
	return &lineReader{r: bufio.NewReaderSize(f, 256<<10), parse: parse, done: func() { _ = f.Close() }}, nil
}

// lineReader reads a result a line.
type lineReader struct {
	r      *bufio.Reader
	parse  func([]byte) (*batch.Result, error)
	number int
	done   func()
}

func (r *lineReader) next() (*batch.Result, error) {
	line, err := r.r.ReadBytes('\n')
	if err == io.EOF && len(line) == 0 {
		return nil, io.EOF
	}
	r.number++
	if err == io.EOF {
		err = errors.New("it was cut off")
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", r.number, err)
	}
	result, err := r.parse(line)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", r.number, err)
	}
	return result, nil
}

func (r *lineReader) close() { r.done() }

func parseResult(line []byte) (*batch.Result, error) {
	e, err := parseEntry(line)
	if err == nil && e.Result == nil {
		err = errors.New("it is damaged: strikes instead of a result")
	}
	return e.Result, err
}

// openResults opens a file of dir with sealed results.
func openResults(dir, name string, format Format) (resultReader, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	r, err := newResultReader(f, format)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", f.Name(), err), f.Close())
	}
	return &named{r, f.Name()}, nil
}

// named puts the file's name before errors.
type named struct {
	resultReader
	name string
}

func (n *named) next() (*batch.Result, error) {
	r, err := n.resultReader.next()
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read %s: %w", n.name, err)
	}
	return r, err
}

// bytesOf is about how much of memory and of a file r takes.
func bytesOf(r *batch.Result) int64 {
	const fixed, place = 256, 64
	n := int64(fixed + len(r.ID) + place*len(r.PromptLogprobs))
	for i := range r.PromptLogprobs {
		n += int64(place * len(r.PromptLogprobs[i].Top))
	}
	for i := range r.Choices {
		c := &r.Choices[i]
		n += int64(fixed + len(c.Text) + 4*len(c.Tokens) + place*len(c.Logprobs))
		for j := range c.Logprobs {
			n += int64(place * len(c.Logprobs[j].Top))
		}
	}
	return n
}

// scanFile finds out which rows a file has.
func scanFile(dir, name string, format Format) (*found, error) {
	out := &found{name: name}
	return out, scanRows(dir, name, format, func(row int64, failed bool) error {
		if row < 0 || !out.rows.add(row) {
			return fmt.Errorf("read %s: row %d is there twice", filepath.Join(dir, name), row)
		}
		if failed {
			out.failed++
		}
		return nil
	})
}

// scanRows visits the rows of a file, without reading texts where the format
// allows that.
func scanRows(dir, name string, format Format, visit func(row int64, failed bool) error) error {
	if format == Parquet {
		return scanParquet(filepath.Join(dir, name), visit)
	}
	r, err := openResults(dir, name, format)
	if err != nil {
		return err
	}
	defer r.close()
	for {
		result, err := r.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = visit(result.Index, result.Failure != nil)
		}
		if err != nil {
			return err
		}
	}
}
