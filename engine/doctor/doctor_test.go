package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"stepbench/internal/golden"
)

var probe = Options{Probe: []string{"stepbench", "probe"}}

// The whole report of a fixture host; cmd/stepbench prints the same as a table.
func TestReportGolden(t *testing.T) {
	got := examine(context.Background(), probe, cloudHost())
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(got); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/cloud.json", out.Bytes())
	if !got.OK {
		t.Error("warnings alone block a run")
	}
}

// With nothing readable, each check says so and none claims success or gives a
// number; what a run cannot do without fails, each with a remedy.
func TestEverythingVanished(t *testing.T) {
	report := examine(context.Background(), probe, emptyHost())
	if report.OK {
		t.Error("a host without Python is said to be ready")
	}
	failed := map[string]bool{}
	for _, c := range report.Checks {
		switch c.Status {
		case OK:
			if c.Name != "threads" { // states only that a variable is not set
				t.Errorf("%s is ok: %+v", c.Name, c)
			}
		case Fail:
			failed[c.Name] = true
			fallthrough
		case Warn:
			if c.Remedy == "" {
				t.Errorf("%s has no remedy: %+v", c.Name, c)
			}
		case Absent:
			if c.Value != NotAvailable || c.Detail == "" {
				t.Errorf("%s does not say what is missing: %+v", c.Name, c)
			}
		}
	}
	if len(failed) != 2 || !failed["python"] || !failed["shim"] {
		t.Errorf("failed: %v, want python and shim alone, the causes of the rest", failed)
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range examine(context.Background(), probe, cloudHost()).Checks {
		if seen[c.Name] {
			t.Errorf("two checks are named %q", c.Name)
		}
		seen[c.Name] = true
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		name  string
		bytes uint64
		want  string
	}{
		{"small", 88576, "86 KiB"},
		{"below a GiB", 1<<30 - 1, "1023 MiB"},
		{"fraction", 3 << 29, "1.5 GiB"},
	}
	for _, tt := range tests {
		if got := size(tt.bytes); got != tt.want {
			t.Errorf("%s: size(%d) = %s, want %s", tt.name, tt.bytes, got, tt.want)
		}
	}
}
