package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"stepbench/bench/dataset"
)

func TestDatasetInspect(t *testing.T) {
	trace := traceFile(t)
	tests := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // contained
	}{
		{"markdown", []string{trace}, exitOK, "| input | tokens | 2 | 374 | 385.0 |", ""},
		{"what was left out", []string{trace}, exitOK, "3 rows, 2 usable, 1 left out: no output tokens", ""},
		{"flag behind the file", []string{trace, "--rows", "1"}, exitOK, "1 rows (there are more)", ""},
		{"kind", []string{"--kind", "burstgpt", trace}, exitUsage, "", "line 1, field Timestamp: no such column"},
		{"unknown kind", []string{"--kind", "gpt", trace}, exitUsage, "", `--kind "gpt": choose one of`},
		{"format", []string{trace, "-o", "xml"}, exitUsage, "", `--output "xml": want one of md, json`},
		{"no rows", []string{trace, "--rows", "0"}, exitUsage, "", "--rows 0: at least 1"},
		{"no file", nil, exitUsage, "", "takes one file, got 0"},
		{"missing file", []string{"none.csv"}, exitUsage, "", `"none.csv" is neither a file nor`},
		{"built in", []string{"random-short"}, exitUsage, "", "is made here, and in no file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(append([]string{"stepbench", "dataset", "inspect"}, tt.args...), &stdout, &stderr)
			if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("exit %d, stdout\n%s\nstderr\n%s", code, stdout.String(), stderr.String())
			}
		})
	}
	var stdout, stderr bytes.Buffer
	run([]string{"stepbench", "dataset", "inspect", trace, "-o", "json"}, &stdout, &stderr)
	var got dataset.Inspection
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil || got.Usable != 2 || got.Arrivals == nil {
		t.Errorf("JSON %s: %v", stdout.String(), err)
	}
}
