package record

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"stepbench/engine"
	"stepbench/internal/golden"
	"stepbench/internal/parquetfile"
)

// TestSchema pins the columns. A change other than an addition needs a new
// SchemaVersion.
func TestSchema(t *testing.T) {
	text := parquet.SchemaOf(requestRow{}).String() + "\n" + parquet.SchemaOf(stepRow{}).String() + "\n" +
		parquet.SchemaOf(telemetryRow{}).String() + "\n"
	golden.Check(t, "testdata/schema.txt", []byte(text))
}

func TestUnits(t *testing.T) {
	for _, row := range []reflect.Type{reflect.TypeFor[requestRow](), reflect.TypeFor[stepRow](), reflect.TypeFor[telemetryRow]()} {
		for column, unit := range parquetfile.Units(row) {
			if column == "" || unit == "" {
				t.Errorf("%s: column %q has unit %q", row, column, unit)
			}
			if strings.HasSuffix(column, "_ns") != strings.HasPrefix(unit, "ns") {
				t.Errorf("%s: column %s has unit %q", row, column, unit)
			}
			if strings.HasSuffix(column, "_unix_ns") != strings.Contains(unit, "1970") {
				t.Errorf("%s: column %s has unit %q", row, column, unit)
			}
		}
	}
}

// TestNulls reads raw column values: what was never reached is null, and what
// took no time is 0.
func TestNulls(t *testing.T) {
	refused := engine.RequestResult{ID: 1, Finish: engine.FinishError, Error: "too long", ArrivalNs: 5, AdmitNs: 5}
	path := filepath.Join(t.TempDir(), "requests.parquet")
	if _, err := writeParquet(path, []requestRow{newRequestRow(&refused, false)}, "hash"); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]parquet.Row, 1)
	reader := file.RowGroups()[0].Rows()
	defer reader.Close()
	if n, _ := reader.ReadRows(rows); n != 1 {
		t.Fatalf("read %d rows", n)
	}
	got := map[string]string{}
	for _, v := range rows[0] {
		name := file.Schema().Columns()[v.Column()][0]
		got[name] = v.String()
	}
	want := map[string]string{
		"arrival_ns": "5", "admission_ns": "0", "error": "too long", "output_tokens": "0", "cached_tokens": "0", "finish": "error",
		"scheduled_ns": "<null>", "first_token_ns": "<null>", "engine_ttft_ns": "<null>", "engine_arrival_unix_ns": "<null>",
		"queue_ns": "<null>", "prefill_ns": "<null>", "ttft_ns": "<null>", "tpot_ns": "<null>", "e2e_ns": "<null>",
		"itl_ns": "<null>", "tokens": "<null>",
	}
	for column, value := range want {
		if got[column] != value {
			t.Errorf("%s = %s, want %s", column, got[column], value)
		}
	}
	for key, want := range map[string]string{metaSchemaVersion: "1", metaManifestHash: "hash"} {
		if got, _ := file.Lookup(key); got != want {
			t.Errorf("metadata %s = %q, want %q", key, got, want)
		}
	}
	if units, _ := file.Lookup("units"); !strings.Contains(units, `"arrival_ns":"ns, CLOCK_MONOTONIC"`) {
		t.Errorf("units %s", units)
	}
}

// TestRowsKeepEverything sets each field of a result to another value, so that
// a column left out or swapped shows.
func TestRowsKeepEverything(t *testing.T) {
	var r engine.RequestResult
	fill(reflect.ValueOf(&r).Elem())
	r.Finish = engine.FinishStop
	row := newRequestRow(&r, false)
	back, err := row.result()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	var s engine.Step
	fill(reflect.ValueOf(&s).Elem())
	stepRow := newStepRow(&s)
	if diff := cmp.Diff(s, stepRow.step()); diff != "" {
		t.Errorf("step (-want +got):\n%s", diff)
	}
	row.Finish = "exploded"
	if _, err := row.result(); err == nil || !strings.Contains(err.Error(), `"exploded"`) {
		t.Errorf("unknown finish reason: %v", err)
	}
}

func fill(v reflect.Value) {
	for i := range v.NumField() {
		f, n := v.Field(i), int64(i+1)
		switch f.Kind() {
		case reflect.Int32, reflect.Int64:
			f.SetInt(n)
		case reflect.Float64:
			f.SetFloat(float64(n) / 64)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), i, i))
			for k := range i {
				f.Index(k).SetInt(n + int64(k))
			}
		default:
			panic("no filler for " + f.Kind().String())
		}
	}
}
