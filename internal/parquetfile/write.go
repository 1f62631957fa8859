package parquetfile

import (
	"encoding/json"
	"io"
	"reflect"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// unitsKey holds, in a file's own metadata, a JSON object of column to unit.
const unitsKey = "units"

// Units maps each column of a row type to its unit, from its fields' tags parquet
// and unit.
func Units(row reflect.Type) map[string]string {
	units := map[string]string{}
	for i := range row.NumField() {
		name, _, _ := strings.Cut(row.Field(i).Tag.Get("parquet"), ",")
		units[name] = row.Field(i).Tag.Get("unit")
	}
	return units
}

// Config is that of a writer of rows of type T: compressed, with the units of its
// columns and further metadata; more wins.
func Config[T any](metadata map[string]string, more ...parquet.WriterOption) (*parquet.WriterConfig, error) {
	units, err := json.Marshal(Units(reflect.TypeFor[T]()))
	if err != nil {
		return nil, err
	}
	options := []parquet.WriterOption{
		parquet.SchemaOf(new(T)), parquet.Compression(&zstd.Codec{}), parquet.KeyValueMetadata(unitsKey, string(units)),
	}
	for key, value := range metadata {
		options = append(options, parquet.KeyValueMetadata(key, value))
	}
	// NewGenericWriter panics on a bad configuration; this reports it.
	return parquet.NewWriterConfig(append(options, more...)...)
}

// Write writes a file of rows in one piece.
func Write[T any](w io.Writer, rows []T, metadata map[string]string) error {
	config, err := Config[T](metadata)
	if err != nil {
		return err
	}
	out := parquet.NewGenericWriter[T](w, config)
	if _, err := out.Write(rows); err != nil {
		return err
	}
	return out.Close() // without it the file has no footer
}
