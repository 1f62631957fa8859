//go:build integration

package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// TestReaders opens the parts with DuckDB, pandas and Polars, and compares
// what they see with what was written. STEPBENCH_READERS_PYTHON is the python
// of a virtual environment that has duckdb, pandas, pyarrow and polars.
func TestReaders(t *testing.T) {
	python := os.Getenv("STEPBENCH_READERS_PYTHON")
	if python == "" {
		t.Fatal("STEPBENCH_READERS_PYTHON is not set: make a virtual environment with duckdb, pandas, pyarrow and polars, and give its python")
	}
	const rows = 300
	m := manifest(Parquet)
	m.PartRows = 100
	dir := t.TempDir()
	s := open(t, dir, m)
	want := map[string]float64{}
	for row := range int64(rows) {
		r := result(row)
		want["rows"]++
		want["lines"] += float64(max(1, len(r.Choices)))
		want["choice_score"] += r.Scores["choice"]
		if r.Failure != nil {
			want["failed"]++
		}
		for _, c := range r.Choices {
			want["output_tokens"] += float64(c.OutputTokens)
			want["text_characters"] += float64(utf8.RuneCountInString(c.Text))
			want["token_ids"] += float64(len(c.Tokens))
			want["logprobs"] += float64(len(c.Logprobs))
			want["prefill_s"] += c.PrefillS
		}
		appendRows(t, s, row)
	}
	want["prefill_s"] = math.Round(want["prefill_s"]*1e6) / 1e6
	if err := s.Finish(Complete, rows); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/readers.py", filepath.Join(dir, "*.parquet"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 69 {
		t.Fatalf("%s: %s", python, stderr.Bytes())
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	var got map[string]map[string]float64
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for _, reader := range []string{"duckdb", "pandas", "polars"} {
		if diff := cmp.Diff(want, got[reader]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reader, diff)
		}
	}
}
