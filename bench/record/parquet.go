package record

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"stepbench/internal/atomicfile"
	"stepbench/internal/parquetfile"
)

// Keys of the Parquet files' own metadata.
const (
	metaSchemaVersion = "schema_version"
	metaManifestHash  = "manifest_sha256" // of the manifest.json beside it
)

// writeParquet writes rows to path in one piece, with their units and the
// hash of the manifest they belong to.
func writeParquet[T any](path string, rows []T, manifestHash string) (File, error) {
	sum := sha256.New()
	err := atomicfile.Write(path, func(f io.Writer) error {
		return parquetfile.Write(io.MultiWriter(f, sum), rows, map[string]string{
			metaSchemaVersion: strconv.Itoa(SchemaVersion), metaManifestHash: manifestHash,
		})
	})
	return File{Rows: len(rows), SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// readParquet reads all rows of path and the manifest hash it carries. Only the
// very bytes that were written are parsed, or those that somebody wrote a hash for.
func readParquet[T any](path string, want File) (rows []T, manifestHash string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return nil, "", fmt.Errorf("read %s: it is damaged, or not this run's: sha256 %s, %s says %s", path, got, ManifestFile, want.SHA256)
	}
	rows, manifestHash, err = parseParquet[T](f, size, want.Rows)
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", path, err)
	}
	return rows, manifestHash, nil
}

// parseParquet reads a table of so many rows, whatever its bytes are: a damaged
// footer can promise any number of them.
func parseParquet[T any](r io.ReaderAt, size int64, want int) (rows []T, manifestHash string, err error) {
	defer parquetfile.Recover(&err)
	file, err := parquetfile.Open(r, size)
	if err != nil {
		return nil, "", err
	}
	if version, _ := file.Lookup(metaSchemaVersion); version != strconv.Itoa(SchemaVersion) {
		return nil, "", fmt.Errorf("schema version %q, this program reads %d", version, SchemaVersion)
	}
	in := parquet.NewGenericReader[T](file)
	defer in.Close()
	for buffer := make([]T, 256); ; {
		clear(buffer) // slices of rows that were given are not ours to write to
		n, err := in.Read(buffer)
		rows = append(rows, buffer[:n]...)
		switch ended := errors.Is(err, io.EOF); {
		case err != nil && !ended:
			return nil, "", err
		case len(rows) > want || ended && len(rows) < want:
			return nil, "", fmt.Errorf("%d rows, %s says %d", len(rows), ManifestFile, want)
		case ended:
			manifestHash, _ = file.Lookup(metaManifestHash)
			return rows, manifestHash, nil
		case n == 0:
			return nil, "", errors.New("its rows end before their number says")
		}
	}
}
