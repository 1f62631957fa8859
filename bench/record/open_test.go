package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpen_Errors(t *testing.T) {
	finished := write(t, simulate(t, nil), Complete, nil)
	data, err := os.ReadFile(filepath.Join(finished, ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) string { return strings.Replace(string(data), old, new, 1) }
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"nothing there", nil, "not a run directory"},
		{"broken manifest", map[string]string{ManifestFile: "{"}, "read "},
		{"newer schema", map[string]string{ManifestFile: edit(`"schema_version": 1`, `"schema_version": 2`)}, "schema version 2, this program reads 1"},
		{"tables missing", map[string]string{ManifestFile: string(data)}, RequestsFile},
		{"tables broken", map[string]string{ManifestFile: string(data), RequestsFile: "PAR1", StepsFile: "PAR1"}, "requests.parquet: it is damaged"},
		{"journal missing", map[string]string{ManifestFile: edit(`"complete"`, `"running"`)}, "unfinished run"},
		{"journal broken", map[string]string{ManifestFile: edit(`"complete"`, `"running"`), JournalFile: "{}\n[]\n{}\n"}, "line 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r, err := Open(dir)
			if err == nil || r != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open = %v, %v, want an error with %q", r, err, tt.want)
			}
		})
	}
}

func TestEditedManifestIsNoticed(t *testing.T) {
	dir := write(t, simulate(t, nil), Complete, nil)
	path := filepath.Join(dir, ManifestFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), "gpt2", "gpt3", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := open(t, dir); len(r.Notes) != 2 {
		t.Errorf("notes %v, want one for each table", r.Notes)
	}
}
