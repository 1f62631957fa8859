// Package record keeps what a run measured: a directory with a manifest, and
// one Parquet file each for requests and steps. While the run lasts, a journal
// of JSON lines takes their place, so that a killed run can be read as far as
// it came.
package record

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"stepbench/bench/workload"
	"stepbench/engine"
)

// SchemaVersion is that of the manifest and of every column; it grows with
// each change that a reader could trip over.
const SchemaVersion = 1

// MethodVersion is that of the definitions of what is measured.
const MethodVersion = 1

// Files of a run directory.
const (
	ManifestFile = "manifest.json"
	RequestsFile = "requests.parquet"
	StepsFile    = "steps.parquet"
	JournalFile  = "journal.jsonl"
)

// State is how far a run has come.
type State string

const (
	Running     State = "running" // or killed, if its process is gone
	Complete    State = "complete"
	Interrupted State = "interrupted" // by the user, with partial results
	Failed      State = "failed"
)

// Manifest says what was run, on what and with what. It is enough to run it
// again.
type Manifest struct {
	SchemaVersion int    `json:"schema_version"`
	Method        string `json:"method"` // openloop, closedloop or offline
	MethodVersion int    `json:"method_version"`

	State    State    `json:"state"`
	Error    string   `json:"error,omitempty"`
	Warnings []string `json:"warnings,omitempty"`

	Tool    Tool     `json:"tool"`
	Command string   `json:"command"` // the sub-command
	Args    []string `json:"args"`    // the whole command line
	// Environment are the variables that act on vLLM, torch or the threads.
	Environment map[string]string `json:"environment,omitempty"`
	Host        Host              `json:"host"`

	StartUTC time.Time `json:"start_utc"`
	EndUTC   time.Time `json:"end_utc,omitzero"`
	// StartNs is the plan's start on the clock of all stamps, CLOCK_MONOTONIC.
	StartNs int64 `json:"start_monotonic_ns,omitempty"`

	Engine   engine.Config  `json:"engine"`
	Info     *engine.Info   `json:"engine_info,omitempty"` // nil if it never opened
	Workload *workload.Spec `json:"workload,omitempty"`

	// Ranks is what each used during the run, memory as it was at the end; empty
	// where the engine is one process.
	Ranks []engine.RankUse `json:"ranks,omitempty"`

	// Telemetry is nil where nobody watched the machine.
	Telemetry *Telemetry `json:"telemetry,omitempty"`

	// Files are the tables of a finished run.
	Files map[string]File `json:"files,omitempty"`
}

// File is a table beside the manifest.
type File struct {
	Rows   int    `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Tool is the program that wrote the record.
type Tool struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

// NewManifest begins a manifest of a run of the sub-command command, with
// everything that can be said before an engine is chosen.
func NewManifest(tool Tool, command string, args []string) Manifest {
	tool.Go = runtime.Version()
	return Manifest{
		SchemaVersion: SchemaVersion, MethodVersion: MethodVersion, State: Running,
		Tool: tool, Command: command, Args: args,
		Environment: Environment(os.Environ()), Host: ReadHost(os.DirFS("/")),
		StartUTC: time.Now().UTC(),
	}
}

// SetWorkload records the measured point and the method it belongs to.
func (m *Manifest) SetWorkload(s workload.Spec) {
	m.Workload, m.Method = &s, "openloop"
	switch {
	case s.Offline():
		m.Method = "offline"
	case s.Closed():
		m.Method = "closedloop"
	}
}

// DefaultDir is where results go unless the user says otherwise:
// results/<UTC>-<command>, in order of time.
func DefaultDir(now time.Time, command string) string {
	return filepath.Join("results", now.UTC().Format("20060102T150405Z")+"-"+command)
}

func (m *Manifest) encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(data, '\n'), nil
}

// hash identifies the manifest in the tables: the SHA-256 of its text without
// Files, which cannot be known before they are written.
func (m Manifest) hash() (string, error) {
	m.Files = nil
	data, err := m.encode()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

func readManifest(dir string) (m Manifest, err error) {
	path := filepath.Join(dir, ManifestFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return m, fmt.Errorf("not a run directory: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("read %s: %w", path, err)
	}
	if m.SchemaVersion != SchemaVersion {
		return m, fmt.Errorf("read %s: schema version %d, this program reads %d: use the stepbench that wrote it", path, m.SchemaVersion, SchemaVersion)
	}
	return m, nil
}
