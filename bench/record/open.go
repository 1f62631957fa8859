package record

import (
	"fmt"
	"path/filepath"

	"stepbench/bench/telemetry"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// Source is the files a record was read from.
type Source string

const (
	FromParquet Source = "parquet"
	// FromJournal: the run did not finish its record. It is running still, or
	// was killed; what it had delivered is there.
	FromJournal Source = "journal"
)

// Record is a run as it lies on disk.
type Record struct {
	Dir      string
	Manifest Manifest
	Requests []engine.RequestResult
	Steps    []engine.Step
	// Samples are the machine's, none if none were taken or the run was killed.
	Samples []telemetry.Sample
	Source  Source
	// Notes are doubts about the files themselves.
	Notes []string
}

// Open reads the run in dir, finished or not.
func Open(dir string) (*Record, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	r := &Record{Dir: dir, Manifest: m}
	if m.State == Running {
		err = r.fromJournal()
	} else {
		err = r.fromParquet()
	}
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", dir, err)
	}
	return r, nil
}

func (r *Record) fromJournal() error {
	r.Source = FromJournal
	j, err := readJournalFile(filepath.Join(r.Dir, JournalFile))
	if err != nil {
		return fmt.Errorf("unfinished run: %w", err)
	}
	r.Manifest.StartNs, r.Requests, r.Steps = j.startNs, j.requests, j.steps
	if j.truncated {
		r.Notes = append(r.Notes, "the last line of the journal was cut off and is left out")
	}
	return nil
}

func (r *Record) fromParquet() error {
	r.Source = FromParquet
	manifestHash, err := r.Manifest.hash()
	if err != nil {
		return err
	}
	requests, requestsHash, err := readParquet[requestRow](filepath.Join(r.Dir, RequestsFile), r.Manifest.Files[RequestsFile])
	if err != nil {
		return err
	}
	steps, stepsHash, err := readParquet[stepRow](filepath.Join(r.Dir, StepsFile), r.Manifest.Files[StepsFile])
	if err != nil {
		return err
	}
	for i := range requests {
		result, err := requests[i].result()
		if err != nil {
			return fmt.Errorf("read %s: %w", filepath.Join(r.Dir, RequestsFile), err)
		}
		r.Requests = append(r.Requests, result)
	}
	for i := range steps {
		r.Steps = append(r.Steps, steps[i].step())
	}
	if requestsHash != manifestHash {
		r.Notes = append(r.Notes, otherManifest(RequestsFile))
	}
	if stepsHash != manifestHash {
		r.Notes = append(r.Notes, otherManifest(StepsFile))
	}
	return r.readTelemetry(manifestHash)
}

func otherManifest(file string) string {
	return fmt.Sprintf("%s was written with another %s, which was changed since", file, ManifestFile)
}

// Summary computes what the run shows; nil if the manifest has no workload. There
// are no figures of steps where the engine's calls are none.
func (r *Record) Summary() *workload.Summary {
	if r.Manifest.Workload == nil {
		return nil
	}
	s := workload.Summarize(workload.Input{
		Spec: *r.Manifest.Workload, StartNs: r.Manifest.StartNs, Requests: r.Requests, Steps: r.Steps,
	})
	if i := r.Manifest.Info; i != nil && i.QueuedBatches > 0 {
		s.Steps = nil
	}
	return &s
}
