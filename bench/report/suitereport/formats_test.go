package suitereport

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"path/filepath"
	"testing"

	"golang.org/x/perf/benchfmt"

	"stepbench/bench/analysis"
	"stepbench/internal/golden"
)

func encoded(t *testing.T, f Format, a *analysis.Analysis) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(&b, f, a); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFormatsGolden(t *testing.T) {
	for _, tt := range samples {
		for _, f := range []Format{FormatCSV, FormatBenchfmt, FormatVLLM} {
			t.Run(tt.name+"_"+string(f), func(t *testing.T) {
				golden.Check(t, filepath.Join("testdata", tt.name+"."+string(f)), encoded(t, f, tt.make()))
			})
		}
	}
}

// Another program's parser reads every export, whatever the text in it.
func TestFormatsParse(t *testing.T) {
	for _, tt := range []struct {
		name string
		a    *analysis.Analysis
	}{{"twelve", twelve()}, {"hostile", hostileAnalysis(hostile)}} {
		t.Run(tt.name, func(t *testing.T) {
			rows, err := csv.NewReader(bytes.NewReader(encoded(t, FormatCSV, tt.a))).ReadAll()
			if err != nil || len(rows) != 1+len(tt.a.Points) {
				t.Errorf("csv: %d rows, %v", len(rows), err)
			}
			lines := 0
			for d := json.NewDecoder(bytes.NewReader(encoded(t, FormatVLLM, tt.a))); d.More(); lines++ {
				var k struct {
					RequestThroughput float64 `json:"request_throughput"`
					Median            float64 `json:"median_e2el_ms"`
				}
				if err := d.Decode(&k); err != nil {
					t.Fatal(err)
				}
				if k.RequestThroughput <= 0 || k.Median <= 0 {
					t.Errorf("line %d: %+v", lines, k)
				}
			}
			if lines != len(tt.a.Points)-1 {
				t.Errorf("%d lines of vLLM's keys, want all but the failed point", lines)
			}
			var back analysis.Analysis
			if err := json.Unmarshal(encoded(t, FormatJSON, tt.a), &back); err != nil || len(back.Points) != len(tt.a.Points) {
				t.Errorf("json: %v", err)
			}
			samples := 0
			for r := benchfmt.NewReader(bytes.NewReader(encoded(t, FormatBenchfmt, tt.a)), tt.name); r.Scan(); {
				switch rec := r.Result().(type) {
				case *benchfmt.SyntaxError:
					t.Errorf("benchfmt: %v", rec)
				case *benchfmt.Result:
					samples++
				}
			}
			if want := 3 * (len(tt.a.Points) - 1); samples != want {
				t.Errorf("%d samples for benchstat, want %d", samples, want)
			}
		})
	}
}
