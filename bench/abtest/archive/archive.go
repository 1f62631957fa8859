// Package archive keeps a comparison on disk: a directory with a manifest, a
// journal of bursts while it runs, and the whole evidence with its verdict and
// reports when it has ended.
package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/record"
	"stepbench/engine"
	"stepbench/internal/atomicfile"
)

// SchemaVersion is that of the manifest and of the evidence beside it.
const SchemaVersion = 1

// MethodVersion is that of the definitions of what is measured.
const MethodVersion = 1

// Files of a comparison's directory.
const (
	ManifestFile = "manifest.json"
	JournalFile  = "bursts.jsonl" // while it runs, or after a kill
	EvidenceFile = "evidence.json"
	VerdictFile  = "verdict.json"
)

// Manifest says what was compared, on what and with what.
type Manifest struct {
	SchemaVersion int          `json:"schema_version"`
	Method        string       `json:"method"` // ab
	MethodVersion int          `json:"method_version"`
	State         record.State `json:"state"`
	Error         string       `json:"error,omitempty"`

	Tool        record.Tool       `json:"tool"`
	Args        []string          `json:"args"`
	Environment map[string]string `json:"environment,omitempty"`
	Host        record.Host       `json:"host"`
	StartUTC    time.Time         `json:"start_utc"`
	EndUTC      time.Time         `json:"end_utc,omitzero"`

	Engine engine.Config  `json:"engine"` // of both arms, but for the variant
	Sides  [2]abtest.Side `json:"sides"`
	Plan   estimate.Plan  `json:"plan"`
	Cells  []string       `json:"cells"`
	// Builds are the manifests of the variants, as they were built.
	Builds map[string]any `json:"builds,omitempty"`

	Files map[string]string `json:"files,omitempty"` // SHA-256 by name
}

// Directory is a comparison being written.
type Directory struct {
	Path     string
	Manifest Manifest
	journal  *os.File
}

// Create makes the directory, which must not exist or be empty.
func Create(path string, m Manifest) (*Directory, error) {
	m.SchemaVersion, m.Method, m.MethodVersion, m.State = SchemaVersion, "ab", MethodVersion, record.Running
	m.StartUTC = time.Now().UTC()
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("make results directory: %w: choose another with --out", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("results directory %s is not empty: choose another with --out", path)
	}
	journal, err := os.Create(filepath.Join(path, JournalFile))
	if err != nil {
		return nil, err
	}
	d := &Directory{Path: path, Manifest: m, journal: journal}
	return d, d.save()
}

// line is a burst in the journal.
type line struct {
	Launch int `json:"launch"`
	abtest.Burst
}

// Burst adds a burst to the journal in one write, so that a kill loses at most
// the burst being measured.
func (d *Directory) Burst(launch int, b abtest.Burst) error {
	text, err := json.Marshal(line{launch, b})
	if err != nil {
		return fmt.Errorf("encode burst: %w", err)
	}
	if _, err := d.journal.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", d.journal.Name(), err)
	}
	return nil
}

// Finish writes evidence and verdict, after which the journal has served. A
// nil evidence leaves the journal as all there is.
func (d *Directory) Finish(ev *abtest.Evidence, r *abtest.Result, cause error) error {
	m := &d.Manifest
	m.EndUTC = time.Now().UTC()
	switch {
	case cause != nil:
		m.State, m.Error = record.Failed, cause.Error()
	case ev.Interrupted:
		m.State = record.Interrupted
	default:
		m.State = record.Complete
	}
	errs := []error{d.journal.Close()}
	if ev != nil {
		errs = append(errs, d.writeJSON(EvidenceFile, ev))
		if r != nil {
			errs = append(errs, d.writeJSON(VerdictFile, r))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if ev != nil {
		errs = append(errs, os.Remove(d.journal.Name()))
	}
	return errors.Join(append(errs, d.save())...)
}

// Write adds a file of the given name, and its hash to the manifest.
func (d *Directory) Write(name string, write func(io.Writer) error) error {
	sum := sha256.New()
	err := atomicfile.Write(filepath.Join(d.Path, name), func(w io.Writer) error { return write(io.MultiWriter(w, sum)) })
	if err != nil {
		return err
	}
	if d.Manifest.Files == nil {
		d.Manifest.Files = map[string]string{}
	}
	d.Manifest.Files[name] = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (d *Directory) writeJSON(name string, value any) error {
	return d.Write(name, func(w io.Writer) error { return json.NewEncoder(w).Encode(value) })
}

func (d *Directory) save() error {
	return atomicfile.Write(filepath.Join(d.Path, ManifestFile), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(d.Manifest)
	})
}
