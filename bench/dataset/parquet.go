package dataset

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"

	"stepbench/internal/parquetfile"
)

// parquetRows reads the columns of prompts or documents, whatever others the
// file has, in batches of a few rows.
type parquetRows struct {
	groups  []parquet.RowGroup // not opened yet
	open    parquet.Rows       // nil between groups
	buffer  []parquet.Row
	pending []parquet.Row // of buffer, not given yet
	number  int64         // of the last row given, from 1

	text, ids, output *parquet.LeafColumn // nil where the file has none
	textName          string
}

// parquetBatch is small, for a document can be large.
const parquetBatch = 16

func newParquetRows(f io.ReaderAt, size int64, kind Kind) (rows *parquetRows, err error) {
	defer parquetfile.Recover(&err)
	file, err := parquetfile.Open(f, size)
	if err != nil {
		return nil, fmt.Errorf("not Parquet: %w", err)
	}
	p := &parquetRows{groups: file.RowGroups(), buffer: make([]parquet.Row, parquetBatch), textName: "prompt"}
	if kind == KindC4 {
		p.textName = "text"
	}
	return p, p.findColumns(file.Schema(), kind)
}

// findColumns looks for a text, or token ids, and the output's length.
func (p *parquetRows) findColumns(schema *parquet.Schema, kind Kind) error {
	columns := map[string]*parquet.LeafColumn{}
	var names []string
	for _, path := range schema.Columns() {
		leaf, ok := schema.Lookup(path...)
		if ok && columns[path[0]] == nil {
			columns[path[0]] = &leaf
			names = append(names, strings.ToValidUTF8(path[0], "?"))
		}
	}
	p.text = columns[p.textName]
	if kind == KindParquet {
		p.ids, p.output = columns["token_ids"], columns["output_tokens"]
	}
	switch {
	case p.text == nil && p.ids == nil:
		return atField(p.textName, "no such column; the file has %s", strings.Join(names, ", "))
	case p.text != nil && p.ids != nil:
		return atField("token_ids", "there is a column prompt too: leave one out")
	case p.text != nil && !plain(p.text, parquet.ByteArray):
		return atField(p.textName, "the column is not of text")
	case p.ids != nil && !(whole(p.ids) && p.ids.MaxRepetitionLevel == 1):
		return atField("token_ids", "the column is not of lists of whole numbers")
	case p.output != nil && !(whole(p.output) && p.output.MaxRepetitionLevel == 0):
		return atField("output_tokens", "the column is not of whole numbers")
	}
	return nil
}

func plain(c *parquet.LeafColumn, kind parquet.Kind) bool {
	return c.MaxRepetitionLevel == 0 && c.Node.Type().Kind() == kind
}

func whole(c *parquet.LeafColumn) bool {
	kind := c.Node.Type().Kind()
	return kind == parquet.Int32 || kind == parquet.Int64
}

func (p *parquetRows) place() (string, int64) { return "row", p.number }

func (p *parquetRows) next() (row Row, err error) {
	defer parquetfile.Recover(&err)
	for len(p.pending) == 0 {
		if p.open == nil {
			if len(p.groups) == 0 {
				return row, io.EOF
			}
			p.open, p.groups = p.groups[0].Rows(), p.groups[1:]
		}
		n, err := p.open.ReadRows(p.buffer)
		p.pending = p.buffer[:n]
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.number++
				return row, err
			}
			// What came with the end is still to be given.
			if err := p.open.Close(); err != nil {
				return row, err
			}
			p.open = nil
		}
	}
	values := p.pending[0]
	p.pending = p.pending[1:]
	p.number++
	return p.row(values)
}

func (p *parquetRows) row(values parquet.Row) (row Row, err error) {
	is := func(c *parquet.LeafColumn, v parquet.Value) bool { return c != nil && v.Column() == c.ColumnIndex }
	text := p.text == nil
	for _, v := range values {
		switch null := v.IsNull(); {
		case is(p.text, v):
			text = true
			if null {
				row.LeftOut = "no text"
				continue
			}
			if row.Text, err = p.textOf(v.ByteArray()); err != nil {
				return row, err
			}
			row.LeftOut = emptyText(row.Text)
		case is(p.ids, v) && !null:
			id := v.Int64()
			if p.ids.Node.Type().Kind() == parquet.Int32 {
				id = int64(v.Int32())
			}
			if id < 0 || id > math.MaxInt32 {
				return row, atField("token_ids", "id %d at position %d is not a token id", id, len(row.Tokens)+1)
			}
			row.Tokens = append(row.Tokens, int32(id))
		case is(p.output, v) && !null:
			n := v.Int64()
			if p.output.Node.Type().Kind() == parquet.Int32 {
				n = int64(v.Int32())
			}
			if row.OutputTokens, err = parseCount("output_tokens", fmt.Sprint(n), 1); err != nil {
				return row, err
			}
		}
	}
	if !text {
		return row, fmt.Errorf("a damaged Parquet file: a row without a value of %s", p.textName)
	}
	if p.ids != nil {
		return row, checkIDs("token_ids", len(row.Tokens))
	}
	return row, nil
}

// textOf copies b: the reader uses its memory again.
func (p *parquetRows) textOf(b []byte) (string, error) {
	if len(b) > maxRecordBytes {
		return "", atField(p.textName, "%w", errTooLong)
	}
	if !utf8.Valid(b) {
		return "", validText(p.textName, b)
	}
	return string(b), nil
}
