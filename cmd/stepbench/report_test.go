package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stepbench/bench/suite"
)

func TestReportAndCompare_Errors(t *testing.T) {
	empty, other := t.TempDir(), t.TempDir()
	// A suite of another schema is refused, not misread.
	if err := os.WriteFile(filepath.Join(other, suite.ManifestFile), []byte(`{"schema_version": 99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"report without a directory", []string{"report"}, "report needs a DIR"},
		{"report of nothing", []string{"report", empty}, "holds neither suite.json nor manifest.json"},
		{"report of another schema", []string{"report", other}, "schema version 99"},
		{"compare one", []string{"compare", empty}, "compare takes two directories, got 1"},
		{"compare nothing", []string{"compare", empty, empty}, "holds neither"},
		{"margin", []string{"compare", empty, empty, "--margin", "-3"}, "--margin -3 is not"},
		{"margin is no number", []string{"compare", empty, empty, "--margin", "NaN"}, "--margin NaN is not"},
		{"format of compare", []string{"compare", empty, empty, "-o", "csv"}, `--output "csv": want one of md, json`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(append([]string{"stepbench"}, tt.args...), &stdout, &stderr); code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			if !strings.Contains(stderr.String(), tt.want) || stdout.Len() > 0 {
				t.Errorf("stdout %q, stderr %q lacks %q", stdout.String(), stderr.String(), tt.want)
			}
			if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
				t.Errorf("%d files were written, %v", len(left), err)
			}
		})
	}
}
