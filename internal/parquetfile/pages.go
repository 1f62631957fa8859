package parquetfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// What a page may promise: parquet-go makes room for it before it reads it.
// Writers' defaults are 1 MiB and some thousand values.
const (
	maxPageBytes  = 1 << 28
	maxPageValues = 1 << 26
)

// checkPages refuses a file with a page header that promises what is not there.
func checkPages(r io.ReaderAt, file *parquet.File) error {
	for _, group := range file.Metadata().RowGroups {
		for _, column := range group.Columns {
			m := &column.MetaData
			if err := checkChunk(r, file.Size(), m); err != nil {
				return fmt.Errorf("column %q: %w", strings.Join(m.PathInSchema, "."), err)
			}
		}
	}
	return nil
}

// checkChunk walks the pages of a column in a row group, which follow each other.
func checkChunk(r io.ReaderAt, size int64, m *format.ColumnMetaData) error {
	at, length := cmp.Or(m.DictionaryPageOffset, m.DataPageOffset), m.TotalCompressedSize
	if length == 0 {
		return nil
	}
	if at < int64(len(Magic)) || length < 0 || at > size || length > size-at {
		return errors.New("it lies outside of the file")
	}
	first := false // a page begins where the data are said to
	for end := at + length; at < end; {
		first = first || at == m.DataPageOffset
		page, err := readPageHeader(r, at, end)
		if err != nil {
			return fmt.Errorf("a page's header: %w", err)
		}
		if page.compressed < 0 || page.compressed > end-at-page.header {
			return errors.New("a page is longer than the column")
		}
		if page.uncompressed > maxPageBytes || page.values > maxPageValues {
			return fmt.Errorf("a page has %d bytes and %d values, the most here are %d and %d", page.uncompressed, page.values, maxPageBytes, maxPageValues)
		}
		at += page.header + page.compressed
	}
	if !first {
		return errors.New("its data begin within a page")
	}
	return nil
}

// pageSize is what a page's header says, and how long it is itself.
type pageSize struct {
	header, compressed, uncompressed int64 // bytes
	values                           int64
}

// readPageHeader reads the header at a place, which may take all until end: it can
// hold the column's largest and smallest value.
func readPageHeader(r io.ReaderAt, at, end int64) (pageSize, error) {
	for window := int64(4 << 10); ; window *= 8 {
		data := make([]byte, min(window, end-at))
		if _, err := r.ReadAt(data, at); err != nil && err != io.EOF {
			return pageSize{}, err
		}
		var p pageSize
		t := thrift{data: data, integer: p.note}
		err := t.structure(0, 0)
		p.header = int64(t.at)
		if !errors.Is(err, errShort) || window >= end-at {
			return p, err
		}
	}
}

// note takes the fields of format.PageHeader by their numbers: the sizes, and the
// number of values, the first field of each kind's own header.
func (p *pageSize) note(outer, field, value int64) {
	const dataPage, dictionaryPage, dataPageV2 = 5, 7, 8
	switch {
	case outer == 0 && field == 2:
		p.uncompressed = value
	case outer == 0 && field == 3:
		p.compressed = value
	case field == 1 && (outer == dataPage || outer == dictionaryPage || outer == dataPageV2):
		p.values = max(p.values, value)
	}
}
