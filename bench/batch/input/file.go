package input

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"stepbench/bench/batch"
	"stepbench/internal/parquetfile"
)

// records gives a file's rows as objects. A *problem is of that row alone,
// io.EOF the end, and any other error final.
type records interface {
	next() (object, error)
	line() int64 // of the last one, from 1
}

// file is an open input file.
type file struct {
	name    string
	records records
	build   func(object, *batch.Row) error // fills a row; a *problem is the row's
	idField string
	blank   batch.Row // what every row begins as
	bytes   *counter
	closers []func()
}

// next gives the next row, without its index.
func (f *file) next() (*batch.Row, error) {
	o, err := f.records.next()
	row := f.blank
	row.Sampling.Stop = slices.Clone(row.Sampling.Stop)
	row.Place = batch.Place{File: f.name, Line: f.records.line()}
	if o != nil { // with an error too, for the id it may have
		if wrong := f.build(o, &row); err == nil {
			err = wrong
		}
	}
	var p *problem
	if errors.As(err, &p) {
		row.Err = &batch.RowError{Place: row.Place, Field: p.field, Message: p.message}
		err = nil
	}
	return &row, err
}

func (f *file) close() {
	for _, c := range slices.Backward(f.closers) {
		c()
	}
}

// counter counts what is read of a file as it is stored.
type counter struct {
	r     io.Reader
	total int64 // 0 if it is not known
	read  atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// openFile opens path, finds out what it is and checks that it has the columns
// asked for.
func openFile(path string, o *Options) (f *file, err error) {
	f = &file{name: path, blank: batch.Row{Answer: -1, N: o.N, Sampling: o.Sampling}}
	defer func() {
		if err != nil {
			f.close()
			f = nil
		}
	}()
	if path == Stdin {
		f.name = "stdin"
		f.bytes = &counter{r: o.Stdin}
		return f, f.openText(nil, o)
	}
	opened, err := os.Open(path)
	if err != nil {
		return f, errors.Unwrap(err) // the caller names the file
	}
	f.closers = append(f.closers, func() { _ = opened.Close() }) // only read
	info, err := opened.Stat()
	if err != nil {
		return f, err
	}
	f.bytes = &counter{r: opened, total: info.Size()}
	return f, f.openText(opened, o)
}

// openText looks at the first bytes. seekable is nil if the file can only be
// read forwards.
func (f *file) openText(seekable *os.File, o *Options) error {
	text := bufio.NewReaderSize(f.bytes, 64<<10)
	magic, _ := text.Peek(4) // an error comes again at the first read
	compressed := true
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(text)
		if err != nil {
			return fmt.Errorf("not gzip, though it begins as such: %w", err)
		}
		text = bufio.NewReaderSize(z, 64<<10)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One decoder of bounded memory: --long=27, the most zstd reads unasked.
		z, err := zstd.NewReader(text, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(1<<27))
		if err != nil {
			return fmt.Errorf("not zstd, though it begins as such: %w", err)
		}
		f.closers = append(f.closers, z.Close)
		text = bufio.NewReaderSize(z, 64<<10)
	default:
		compressed = false
	}
	if compressed {
		magic, _ = text.Peek(4)
	}
	switch isParquet := string(magic) == parquetfile.Magic; {
	case isParquet && (compressed || seekable == nil):
		return errors.New("parquet is read from its end: give it as a file that is not compressed itself")
	case isParquet && o.Format != "" && o.Format != Parquet:
		return fmt.Errorf("it is Parquet, not %s", o.Format)
	case !isParquet && o.Format == Parquet:
		return errors.New("not Parquet: it does not begin with PAR1")
	case isParquet:
		return f.openParquet(seekable, o)
	}
	return f.openLines(text, o)
}

// headLines are looked at to find out what a text file has.
const headLines = 100

// openLines reads ahead to know the format and the columns.
func (f *file) openLines(text io.Reader, o *Options) error {
	l := &jsonLines{lines: newLines(text)}
	keys, first, err := l.readHead()
	if err != nil {
		return err
	}
	f.records = l
	format := o.Format
	if format == "" {
		format = JSONL
		if first.has("body") && (first.has("custom_id") || first.has("url")) {
			format = OpenAI
		}
	}
	if first == nil && l.array {
		return errors.New("it is a JSON array: one object a line is read, as jq -c '.[]' writes it")
	}
	var has func(string) bool // of a column; nil if no row tells
	if first != nil {
		has = func(name string) bool { _, ok := keys[name]; return ok }
	}
	names := slices.Collect(maps.Keys(keys))
	if format == OpenAI {
		return f.useOpenAI(o, has, names)
	}
	_, err = f.usePlain(o, has, names)
	return err
}

// jsonLines are a text's lines as objects, of which some were read ahead.
type jsonLines struct {
	*lines
	head   []headRecord
	number int64
	array  bool // the text begins with [
}

type headRecord struct {
	o      object
	err    error
	number int64
}

// readHead reads ahead. It gives all keys it saw and the first object, nil if
// there was none.
func (l *jsonLines) readHead() (keys map[string]bool, first object, err error) {
	keys = map[string]bool{}
	size := 0
	for len(l.head) < headLines && size < maxRecordBytes {
		line, err := l.lines.next()
		if err == io.EOF {
			break
		}
		var p *problem
		if err != nil && !errors.As(err, &p) {
			return nil, nil, err
		}
		size += len(line)
		l.array = l.array || len(l.head) == 0 && bytes.HasPrefix(line, []byte("["))
		var o object
		if err == nil {
			o, err = parseObject(line)
		}
		l.head = append(l.head, headRecord{o, err, l.lines.number})
		if first == nil {
			first = o
		}
		for key := range o {
			keys[key] = true
		}
	}
	return keys, first, nil
}

func (l *jsonLines) next() (object, error) {
	if len(l.head) > 0 {
		h := l.head[0]
		l.head = l.head[1:]
		l.number = h.number
		return h.o, h.err
	}
	line, err := l.lines.next()
	l.number = l.lines.number
	if err != nil {
		return nil, err
	}
	return parseObject(line)
}

func (l *jsonLines) line() int64 { return l.number }
