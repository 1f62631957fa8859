package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"stepbench/bench/workload"
	"stepbench/engine"
	"stepbench/internal/atomicfile"
)

// Run is the record of a run in progress. It belongs to one goroutine.
type Run struct {
	// Manifest may be changed until Finish; Save puts changes on disk.
	Manifest Manifest

	dir     string
	journal *os.File
	startNs int64
	watch   *watch // nil without telemetry, and after it
	samples []telemetryRow
}

// Create makes the directory dir, which must be new or empty, and puts the
// manifest into it in state running.
func Create(dir string, m Manifest) (*Run, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create results directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("create results directory: %w", err)
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("results directory %s is not empty (it holds %s): choose another or remove it", dir, entries[0].Name())
	}
	m.SchemaVersion, m.MethodVersion, m.State = SchemaVersion, MethodVersion, Running
	r := &Run{Manifest: m, dir: dir}
	if err := r.Save(); err != nil {
		return nil, err
	}
	r.journal, err = os.OpenFile(filepath.Join(dir, JournalFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	return r, nil
}

// Dir is the run directory.
func (r *Run) Dir() string { return r.dir }

// Save writes the manifest as it is now.
func (r *Run) Save() error {
	data, err := r.Manifest.encode()
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(r.dir, ManifestFile), data)
}

// Warn adds a doubt about the result to the manifest.
func (r *Run) Warn(format string, args ...any) {
	r.Manifest.Warnings = append(r.Manifest.Warnings, fmt.Sprintf(format, args...))
}

// Sink records batches as they come.
func (r *Run) Sink() engine.Sink {
	return func(b engine.Batch) error {
		if r.journal == nil {
			return fmt.Errorf("record batch: %w", errFinished)
		}
		known := r.startNs == b.StartNs
		if known && len(b.Steps)+len(b.Requests) == 0 {
			return nil // only a sign of life
		}
		r.startNs = b.StartNs
		if err := appendBatch(r.journal, b); err != nil {
			return fmt.Errorf("record batch in %s: %w", r.journal.Name(), err)
		}
		return nil
	}
}

var errFinished = errors.New("the run is finished")

// Finish turns the journal into Parquet files and closes the record in the
// given state; cause, if any, is why the run did not complete. It fails if
// they cannot be written; the journal then stays, and Open reads it.
func (r *Run) Finish(state State, cause error) error {
	if r.journal == nil {
		return fmt.Errorf("finish %s: %w", r.dir, errFinished)
	}
	r.Unwatch()
	path := r.journal.Name()
	err := r.journal.Close()
	r.journal = nil
	if err != nil {
		return fmt.Errorf("finish %s: %w", r.dir, err)
	}
	j, err := readJournalFile(path)
	if err != nil {
		return fmt.Errorf("finish %s: %w", r.dir, err)
	}
	m := &r.Manifest
	m.State, m.EndUTC, m.StartNs = state, time.Now().UTC(), j.startNs
	if cause != nil {
		m.Error = cause.Error()
	}
	if err := r.writeTables(j); err != nil {
		return err
	}
	// Until here the manifest on disk says running, which points to the
	// journal; from here on it points to the tables.
	if err := r.Save(); err != nil {
		return err
	}
	return os.Remove(path)
}

func (r *Run) writeTables(j journal) error {
	m := &r.Manifest
	hash, err := m.hash()
	if err != nil {
		return err
	}
	unscheduled := m.Workload != nil && m.Workload.Unscheduled()
	requests := make([]requestRow, len(j.requests))
	for i := range j.requests {
		requests[i] = newRequestRow(&j.requests[i], unscheduled)
	}
	if m.Workload != nil {
		span := workload.SpanOf(*m.Workload, j.startNs, j.requests)
		for i := range requests {
			requests[i].Role = span.Role(&j.requests[i])
		}
	}
	steps := make([]stepRow, len(j.steps))
	for i := range j.steps {
		steps[i] = newStepRow(&j.steps[i])
	}
	m.Files = map[string]File{}
	if m.Files[RequestsFile], err = writeParquet(filepath.Join(r.dir, RequestsFile), requests, hash); err != nil {
		return err
	}
	if m.Files[StepsFile], err = writeParquet(filepath.Join(r.dir, StepsFile), steps, hash); err != nil {
		return err
	}
	return r.writeTelemetry(hash)
}
