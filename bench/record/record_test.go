package record

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/bench/workload"
	"stepbench/bench/workload/workloadtest"
	"stepbench/engine"
)

// write records m and finishes it.
func write(t testing.TB, m measured, state State, cause error) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	run, err := Create(dir, manifest(m))
	if err != nil {
		t.Fatal(err)
	}
	e := fakeEngine{batches: m.batches, err: cause}
	if err := e.Run(t.Context(), engine.Plan{}, run.Sink()); !errors.Is(err, cause) {
		t.Fatal(err)
	}
	if err := run.Finish(state, cause); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t testing.TB, dir string) *Record {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func diffRecords(t *testing.T, m measured, r *Record) {
	t.Helper()
	if diff := cmp.Diff(m.requests, r.Requests, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("requests (-recorded +read):\n%s", diff)
	}
	if diff := cmp.Diff(m.steps, r.Steps); diff != "" {
		t.Errorf("steps (-recorded +read):\n%s", diff)
	}
}

func TestRoundTrip(t *testing.T) {
	tests := []struct {
		name   string
		change func(*workload.Flags, *workloadtest.Engine)
		state  State
		cause  error
	}{
		{"complete", nil, Complete, nil},
		{"offline", func(f *workload.Flags, _ *workloadtest.Engine) { f.RatePerS = math.Inf(1) }, Complete, nil},
		{"interrupted", func(_ *workload.Flags, e *workloadtest.Engine) { e.AbortNs = 3e9 }, Interrupted, errors.New("interrupted by the user")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := simulate(t, tt.change)
			dir := write(t, m, tt.state, tt.cause)
			if diff := cmp.Diff([]string{ManifestFile, RequestsFile, StepsFile}, files(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			r := open(t, dir)
			diffRecords(t, m, r)
			if r.Source != FromParquet || len(r.Notes) != 0 || r.Manifest.State != tt.state {
				t.Errorf("source %s, state %s, notes %v", r.Source, r.Manifest.State, r.Notes)
			}
			want := manifest(m)
			want.SchemaVersion, want.MethodVersion, want.State = SchemaVersion, MethodVersion, tt.state
			want.StartNs = 1_000e9
			if tt.cause != nil {
				want.Error = tt.cause.Error()
			}
			if diff := cmp.Diff(want, r.Manifest, cmpopts.IgnoreFields(Manifest{}, "EndUTC", "Files")); diff != "" {
				t.Errorf("manifest (-want +got):\n%s", diff)
			}
			if r.Manifest.EndUTC.IsZero() {
				t.Errorf("no end time")
			}
			if f := r.Manifest.Files; f[RequestsFile].Rows != len(m.requests) || f[StepsFile].Rows != len(m.steps) {
				t.Errorf("tables %v, want %d and %d rows", f, len(m.requests), len(m.steps))
			}
			if s := r.Summary(); s.Counts.Planned != 16 {
				t.Errorf("summary counts %+v", s.Counts)
			}
		})
	}
}

// TestKilled leaves a run without Finish, as a kill does.
func TestKilled(t *testing.T) {
	m := simulate(t, nil)
	dir := filepath.Join(t.TempDir(), "run")
	run, err := Create(dir, manifest(m))
	if err != nil {
		t.Fatal(err)
	}
	e := fakeEngine{batches: m.batches}
	if err := e.Run(t.Context(), engine.Plan{}, run.Sink()); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	diffRecords(t, m, r)
	if r.Source != FromJournal || r.Manifest.State != Running || r.Manifest.StartNs != 1_000e9 || len(r.Notes) != 0 {
		t.Errorf("source %s, state %s, start %d, notes %v", r.Source, r.Manifest.State, r.Manifest.StartNs, r.Notes)
	}

	// Cut into the last line: its requests are lost, the steps before it stay.
	path := filepath.Join(dir, JournalFile)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-1); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir)
	m.requests = nil
	diffRecords(t, m, r)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "cut off") {
		t.Errorf("notes %v, want one about the cut line", r.Notes)
	}
}

// TestKilledWhileFinishing: at each point of Finish at which a kill leaves the
// old manifest, the journal still has everything.
func TestKilledWhileFinishing(t *testing.T) {
	m := simulate(t, nil)
	dir := filepath.Join(t.TempDir(), "run")
	run, err := Create(dir, manifest(m))
	if err != nil {
		t.Fatal(err)
	}
	e := fakeEngine{batches: m.batches}
	if err := e.Run(t.Context(), engine.Plan{}, run.Sink()); err != nil {
		t.Fatal(err)
	}
	// A folder in the way of the second table makes Finish fail after the first.
	obstacle := filepath.Join(dir, StepsFile)
	if err := os.Mkdir(obstacle, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run.Finish(Complete, nil); err == nil || !strings.Contains(err.Error(), StepsFile) {
		t.Fatalf("Finish = %v, want an error that names %s", err, StepsFile)
	}
	r := open(t, dir)
	diffRecords(t, m, r)
	if r.Source != FromJournal {
		t.Errorf("read from %s", r.Source)
	}
	for _, name := range files(t, dir) {
		if strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s was left behind", name)
		}
	}
}

func TestAfterFinish(t *testing.T) {
	m := simulate(t, nil)
	run, err := Create(filepath.Join(t.TempDir(), "run"), manifest(m))
	if err != nil {
		t.Fatal(err)
	}
	run.Warn("%d doubts", 2)
	if err := run.Finish(Failed, errors.New("engine: no memory")); err != nil {
		t.Fatal(err)
	}
	if err := run.Sink()(m.batches[0]); !errors.Is(err, errFinished) {
		t.Errorf("Sink after Finish: %v", err)
	}
	if err := run.Finish(Complete, nil); !errors.Is(err, errFinished) {
		t.Errorf("second Finish: %v", err)
	}
	r := open(t, run.Dir())
	if r.Manifest.Error != "engine: no memory" || len(r.Requests)+len(r.Steps) != 0 || r.Manifest.Warnings[0] != "2 doubts" {
		t.Errorf("record of a run that failed at once: %+v", r.Manifest)
	}
}

func TestCreate_Errors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Create(dir, Manifest{})
	if err == nil || !strings.Contains(err.Error(), "not empty (it holds thesis.txt)") {
		t.Errorf("Create in a used directory: %v", err)
	}
	if diff := cmp.Diff([]string{"thesis.txt"}, files(t, dir)); diff != "" {
		t.Errorf("a refused directory was changed:\n%s", diff)
	}
	if _, err := Create(filepath.Join(dir, "thesis.txt", "run"), Manifest{}); err == nil {
		t.Errorf("Create below a file succeeded")
	}
}

func TestSinkRefusesNaN(t *testing.T) {
	run, err := Create(filepath.Join(t.TempDir(), "run"), Manifest{})
	if err != nil {
		t.Fatal(err)
	}
	err = run.Sink()(engine.Batch{StartNs: 1, Steps: []engine.Step{{KVUsageFrac: math.NaN()}}})
	if err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("Sink took NaN: %v", err)
	}
	if err := run.Finish(Failed, err); err != nil {
		t.Errorf("the refused batch spoiled the journal: %v", err)
	}
}

func TestDefaultDir(t *testing.T) {
	at := time.Date(2026, 1, 2, 4, 4, 5, 0, time.FixedZone("CET", 3600))
	if got, want := DefaultDir(at, "run"), filepath.Join("results", "20260102T030405Z-run"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
