package input

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/parquet-go/parquet-go"

	"stepbench/internal/parquetfile"
)

// parquetBatch rows are read at once; few, for a prompt can be large.
const parquetBatch = 16

// parquetRows gives the used columns of a Parquet file as objects, so that one
// code reads both kinds of file and says the same of the same mistake.
type parquetRows struct {
	groups  []parquet.RowGroup // not opened yet
	open    parquet.Rows       // nil between groups
	buffer  []parquet.Row
	pending []parquet.Row // of buffer, not given yet
	number  int64         // of the last row given, from 1

	leaves []leaf // by column index; unused ones have no column name
	rows   int64  // of the file
	bytes  *counter
}

// openParquet reads the footer, and checks that the columns are there.
func (f *file) openParquet(r *os.File, o *Options) error {
	p, names, err := newParquetRows(r, f.bytes.total)
	if err != nil {
		return err
	}
	p.bytes = f.bytes
	f.records = p
	f.closers = append(f.closers, p.close)
	c, err := f.usePlain(o, func(name string) bool { return slices.Contains(names, name) }, names)
	if err != nil {
		return err
	}
	return p.use(&c)
}

func newParquetRows(r io.ReaderAt, size int64) (p *parquetRows, names []string, err error) {
	defer parquetfile.Recover(&err)
	opened, err := parquetfile.Open(r, size)
	if err != nil {
		if errors.Is(err, parquetfile.ErrNoEnd) { // it begins as one
			err = fmt.Errorf("%w: it was cut off", err)
		}
		return nil, nil, fmt.Errorf("not Parquet: %w", err)
	}
	p = &parquetRows{groups: opened.RowGroups(), buffer: make([]parquet.Row, parquetBatch), rows: opened.NumRows()}
	p.leaves = leavesOf(opened.Schema())
	for _, l := range p.leaves {
		if !slices.Contains(names, l.path[0]) {
			names = append(names, l.path[0])
		}
	}
	return p, names, nil
}

func (p *parquetRows) line() int64 { return p.number }

func (p *parquetRows) next() (o object, err error) {
	defer parquetfile.Recover(&err)
	for len(p.pending) == 0 {
		if err := p.fill(); err != nil {
			return nil, err
		}
	}
	values := p.pending[0]
	p.pending = p.pending[1:]
	p.number++
	if p.bytes != nil && p.rows > 0 {
		p.bytes.read.Store(int64(float64(p.bytes.total) * min(1, float64(p.number)/float64(p.rows))))
	}
	return p.object(values)
}

// fill reads the next rows of the open group, or opens the next group.
func (p *parquetRows) fill() error {
	if p.open == nil {
		if len(p.groups) == 0 {
			return io.EOF
		}
		p.open, p.groups = p.groups[0].Rows(), p.groups[1:]
	}
	n, err := p.open.ReadRows(p.buffer)
	p.pending = p.buffer[:n]
	if err == nil && n == 0 {
		return errors.New("a damaged Parquet file: its rows end before their number says")
	}
	if err != nil && err != io.EOF {
		p.number++
		return err
	}
	if err == io.EOF { // what came with it is still to be given
		err = p.open.Close()
		p.open = nil
	}
	return err
}

func (p *parquetRows) close() {
	if p.open != nil {
		_ = p.open.Close() // only read
		p.open = nil
	}
}
