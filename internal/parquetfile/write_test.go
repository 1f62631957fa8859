package parquetfile_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"stepbench/internal/parquetfile"
)

type row struct {
	Name   string `parquet:"name,dict" unit:"text"`
	WallNs int64  `parquet:"wall_ns" unit:"ns"`
}

func TestWrite(t *testing.T) {
	want := []row{{"a", 1}, {"b", 2}}
	var b bytes.Buffer
	if err := parquetfile.Write(&b, want, map[string]string{"schema_version": "3"}); err != nil {
		t.Fatal(err)
	}
	in := bytes.NewReader(b.Bytes())
	file, err := parquetfile.Open(in, in.Size())
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"schema_version": "3", "units": `{"name":"text","wall_ns":"ns"}`} {
		if got, ok := file.Lookup(key); !ok || got != want {
			t.Errorf("metadata %s: %q, want %q", key, got, want)
		}
	}
	got, err := parquet.Read[row](in, in.Size())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-written +read)\n%s", diff)
	}
}
