package parquetfile_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"stepbench/internal/parquetfile"
)

// ended is a file of nothing but a footer.
func ended(footer []byte) []byte {
	b := append([]byte(parquetfile.Magic), footer...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(footer)))
	return append(b, parquetfile.Magic...)
}

// written is a file with a page longer than any header here, and where the page
// begins.
func written(t testing.TB) ([]byte, *format.ColumnMetaData) {
	t.Helper()
	var b bytes.Buffer
	rows := make([]row, 500)
	for i := range rows {
		rows[i] = row{Name: strings.Repeat("x", i), WallNs: int64(i * i * i)}
	}
	if err := parquetfile.Write(&b, rows, nil); err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), &file.Metadata().RowGroups[0].Columns[1].MetaData
}

// Each of the forged files would make parquet-go take all memory or gigabytes, which
// for the first ends the process.
func TestOpenForged(t *testing.T) {
	valid, column := written(t)
	page := func(header ...byte) []byte {
		b := slices.Clone(valid)
		copy(b[column.DataPageOffset:], header)
		return b
	}
	const (
		i32, binaryKind, list, structure = 5, 8, 9, 12
		next                             = 1 << 4 // the field after the one before
	)
	most := []byte{0xff, 0xff, 0xff, 0xff, 0x07}                 // 2^31−1, a length
	mostI32 := []byte{0xfe, 0xff, 0xff, 0xff, 0x0f}              // 2^31−1, an integer
	sizes := []byte{next | i32, 0, next | i32, 2, next | i32, 2} // type, 1 byte, 1 byte
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"a schema of 2^31 elements", ended(slices.Concat([]byte{next | i32, 2, next | list, 0xf0 | structure}, most, []byte{0})), "its footer is damaged: it promises more bytes"},
		{"a string of 2 GiB", ended(slices.Concat([]byte{6<<4 | binaryKind}, most, []byte{0})), "its footer is damaged: it promises more bytes"},
		{"nested without end", ended(bytes.Repeat([]byte{next | structure}, 1000)), "its footer is damaged: its structures are nested too deeply"},
		{"lists in lists", ended(append([]byte{next | list}, bytes.Repeat([]byte{next | list}, 1000)...)), "its footer is damaged: its structures are nested too deeply"},
		{"a number without end", ended(bytes.Repeat([]byte{next | i32, 0xff}, 1)), "its footer is damaged: it promises more bytes"},
		{"a number of 70 bits", ended(append([]byte{next | i32}, bytes.Repeat([]byte{0xff}, 11)...)), "its footer is damaged: it has a number of more than 64 bits"},
		{"a map", ended([]byte{next | 11, 0, 0}), "its footer is damaged: it has Thrift's type 11"},
		{"no footer", ended(nil), "its footer is damaged: it promises more bytes"},
		{"a page's least value of 2 GiB", page(slices.Concat(sizes, []byte{2<<4 | structure, 5<<4 | structure, next | binaryKind}, most)...), "a page's header: it promises more bytes"},
		{"a page longer than the column", page(slices.Concat([]byte{2<<4 | i32, 2, next | i32}, mostI32, []byte{0})...), "a page is longer than the column"},
		{"a page of negative length", page(2<<4|i32, 2, next|i32, 1, 0), "a page is longer than the column"},
		{"a page of 2 GiB", page(slices.Concat([]byte{2<<4 | i32}, mostI32, []byte{next | i32, 2, 0})...), "a page has 2147483647 bytes"},
		{"a page of 2^31 values", page(slices.Concat(sizes, []byte{2<<4 | structure, next | i32}, mostI32, []byte{0, 0})...), "1 bytes and 2147483647 values"},
		{"a dictionary of 2^31 values", page(slices.Concat(sizes, []byte{4<<4 | structure, next | i32}, mostI32, []byte{0, 0})...), "1 bytes and 2147483647 values"},
		{"cut off", valid[:len(valid)-5], "it does not end in PAR1"},
		{"short", []byte("PAR1PAR1"), "it is too short"},
	} {
		_, err := parquetfile.Open(bytes.NewReader(test.file), int64(len(test.file)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
	if _, err := parquetfile.Open(bytes.NewReader(valid), int64(len(valid))); err != nil {
		t.Errorf("a sound file: %v", err)
	}
}

func TestCheckChunk(t *testing.T) {
	valid, column := written(t)
	for _, test := range []struct {
		name string
		edit func(*format.ColumnMetaData)
		want string
	}{
		{"sound", func(*format.ColumnMetaData) {}, ""},
		{"no pages", func(m *format.ColumnMetaData) { m.TotalCompressedSize = 0 }, ""},
		{"data within a page", func(m *format.ColumnMetaData) {
			m.DictionaryPageOffset, m.DataPageOffset = m.DataPageOffset, m.DataPageOffset+1
		}, "its data begin within a page"},
		{"before the file", func(m *format.ColumnMetaData) { m.DictionaryPageOffset = -1 }, "it lies outside of the file"},
		{"behind the file", func(m *format.ColumnMetaData) { m.DataPageOffset = 1 << 40 }, "it lies outside of the file"},
		{"longer than the file", func(m *format.ColumnMetaData) { m.TotalCompressedSize = 1<<63 - 1 }, "it lies outside of the file"},
		{"of negative length", func(m *format.ColumnMetaData) { m.TotalCompressedSize = -1 }, "it lies outside of the file"},
		{"ends within a page", func(m *format.ColumnMetaData) { m.TotalCompressedSize-- }, "a page is longer than the column"},
	} {
		m := *column
		test.edit(&m)
		err := parquetfile.CheckChunk(bytes.NewReader(valid), int64(len(valid)), &m)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

// A page's header can hold values longer than what is read of it at first.
func TestOpenLongStatistics(t *testing.T) {
	var b bytes.Buffer
	rows := []row{{Name: strings.Repeat("a", 50_000)}, {Name: strings.Repeat("b", 70_000)}}
	w := parquet.NewGenericWriter[row](&b, parquet.DataPageStatistics(true), parquet.ColumnIndexSizeLimit(func([]string) int { return 1 << 20 }))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := parquetfile.Open(bytes.NewReader(b.Bytes()), int64(b.Len())); err != nil {
		t.Error(err)
	}
}

// FuzzOpen: whatever a file's bytes are, opening it and reading its rows ends in rows
// or in an error.
func FuzzOpen(f *testing.F) {
	valid, _ := written(f)
	f.Add(valid)
	f.Add(valid[:len(valid)/2])
	f.Add(ended([]byte{0x15, 2, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0}))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = rowsOf(data)
	})
}

func rowsOf(data []byte) (n int, err error) {
	defer parquetfile.Recover(&err)
	file, err := parquetfile.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return 0, err
	}
	in := parquet.NewGenericReader[row](file)
	defer in.Close()
	for rows := make([]row, 64); n < 10_000; {
		got, err := in.Read(rows)
		if n += got; err != nil || got == 0 {
			return n, err
		}
	}
	return n, nil
}
