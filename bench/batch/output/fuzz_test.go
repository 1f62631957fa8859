package output

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzPart: whatever the bytes of a part are, reading it ends in results or in an
// error, in all formats.
func FuzzPart(f *testing.F) {
	for kind, format := range Formats {
		path := filepath.Join(f.TempDir(), partName(0, format))
		out, err := os.Create(path)
		if err != nil {
			f.Fatal(err)
		}
		m := manifest(format)
		w, err := newResultWriter(out, &m)
		if err != nil {
			f.Fatal(err)
		}
		for row := range int64(12) {
			r := result(row)
			if err := w.write(&r); err != nil {
				f.Fatal(err)
			}
		}
		if err := w.close(); err != nil {
			f.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint8(kind))
		f.Add(data[:len(data)/2], uint8(kind))
		f.Add(append(data[:len(data)/2:len(data)/2], data[len(data)*3/4:]...), uint8(kind))
	}
	f.Add([]byte("PAR1\xff\xff\xff\x7fPAR1"), uint8(0))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		format := Formats[int(kind)%len(Formats)]
		name := partName(0, format)
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = scanFile(dir, name, format) // a part that tells its rows may still be damaged
		r, err := openResults(dir, name, format)
		if err != nil {
			return
		}
		defer r.close()
		for range 10_000 { // a damaged footer can promise any number of rows
			result, err := r.next()
			if err != nil {
				return
			}
			if result == nil {
				t.Fatal("neither a result nor an error")
			}
		}
	})
}

// FuzzManifest: batch.json is read whole or refused.
func FuzzManifest(f *testing.F) {
	dir := f.TempDir()
	for _, format := range Formats {
		m := manifest(format)
		m.SchemaVersion = SchemaVersion
		if err := m.write(dir); err != nil {
			f.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, ManifestFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(text[:len(text)/2])
	}
	f.Add([]byte(`{"schema_version":1,"format":"parquet","shard":{"index":-1,"count":0},"part_rows":-1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, ManifestFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := ReadManifest(dir)
		if err != nil {
			return
		}
		if len(m.differences(&m)) > 0 {
			t.Fatalf("it differs from itself: %q", m.differences(&m))
		}
		if text, err = json.Marshal(m); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ManifestFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := ReadManifest(dir)
		if err != nil || len(m.differences(&again)) > 0 {
			t.Fatalf("on the second reading %v, %v", m.differences(&again), err)
		}
	})
}
