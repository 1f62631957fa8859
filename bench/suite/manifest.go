// Package suite measures many points in one go: it reads a suite file, lays its
// axes out as points on engines, runs them with as few engine starts as it can,
// and keeps the state of all of it in a directory that a later run continues.
package suite

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"stepbench/bench/record"
	"stepbench/bench/workload"
	"stepbench/engine"
	"stepbench/internal/atomicfile"
)

// SchemaVersion is that of suite.json.
const SchemaVersion = 1

// Places in a suite directory.
const (
	ManifestFile    = "suite.json"
	EnginesDir      = "engines"
	PointsDir       = "points"
	AttributionFile = "attribution.json" // bottleneck.Attribution, in EnginesDir/<engine>
)

// Manifest says what a suite consists of and how far it has come. It is
// complete from the start: every point and repeat is listed before the first
// engine is opened.
type Manifest struct {
	SchemaVersion int    `json:"schema_version"`
	Suite         string `json:"suite"`
	Profile       string `json:"profile"`    // quick or standard
	Text          string `json:"suite_text"` // the suite file as it was read
	TextSHA256    string `json:"suite_text_sha256"`

	Tool record.Tool `json:"tool"`
	Args []string    `json:"args"` // the whole command line
	Host record.Host `json:"host"`

	State    record.State `json:"state"`
	Error    string       `json:"error,omitempty"`
	StartUTC time.Time    `json:"start_utc"`
	EndUTC   time.Time    `json:"end_utc,omitzero"`

	SLO      *workload.SLO `json:"slo,omitempty"`
	SampleHz float64       `json:"sample_hz"` // 0: no telemetry

	Engines []Engine `json:"engines"`
	Points  []Point  `json:"points"`
	// NotRun is what the suite names and nobody measured, with the reason.
	NotRun []NotRun `json:"not_run,omitempty"`
	// Warnings are about the suite as a whole.
	Warnings []string `json:"warnings,omitempty"`
}

// Engine is one engine configuration: one worker process, unless one died.
type Engine struct {
	Name   string        `json:"name"` // "gpt2", "llama-2-7b tp=2"
	Dir    string        `json:"dir"`  // relative to the suite's: engines/<name fit for a file>
	Model  string        `json:"model"`
	TP     int           `json:"tp"`
	PP     int           `json:"pp"`
	Config engine.Config `json:"config"`
	Info   *engine.Info  `json:"info,omitempty"` // nil until it was open
	// Opened counts the worker processes: more than one if one died or the suite
	// was continued later.
	Opened  int    `json:"opened"`
	Problem string `json:"problem,omitempty"` // why it could not be opened
	// Attribution is the file with the device's busy times, relative to the
	// suite's directory; empty if there is none.
	Attribution string `json:"attribution,omitempty"`
}

// Point is one configuration: an engine under a load.
type Point struct {
	ID          string  `json:"id"`     // unique, fit for a file name
	Label       string  `json:"label"`  // short, for an axis of a figure
	Axis        string  `json:"axis"`   // what it varies: base, model, dataset, rate, pattern, concurrency, parallelism or cross
	Engine      string  `json:"engine"` // name of one of Engines
	Model       string  `json:"model"`
	Dataset     string  `json:"dataset"` // as the suite names it
	StandIn     bool    `json:"synthetic_stand_in,omitempty"`
	Pattern     string  `json:"pattern"`              // of arrivals, "offline" or "closed"
	RatePerS    float64 `json:"rate_per_s,omitempty"` // 0 offline and closed
	Concurrency int     `json:"concurrency,omitempty"`
	TP          int     `json:"tp"`
	PP          int     `json:"pp"`
	Devices     int     `json:"devices"` // GPUs, or CPU ranks: tp·pp
	// WarmUp requests at the start are not summarised; 0: workload's own number.
	WarmUp int `json:"warm_up_requests,omitempty"`
	// Cut says how the dataset was cut down for a slow machine.
	Cut DatasetOptions `json:"cut,omitzero"`

	Repeats []Repeat `json:"repeats"`
}

// Repeat is one run of a point. The resolved workload.Spec is in the record's
// own manifest once it ran.
type Repeat struct {
	Dir   string         `json:"dir"` // relative to the suite's: points/<id>/<number from 1>
	Flags workload.Flags `json:"flags"`
	// State is empty until it ran.
	State   record.State `json:"state,omitempty"`
	Problem string       `json:"problem,omitempty"` // why it is not complete
}

// NotRun is a configuration without a measurement, and why.
type NotRun struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Open reads the manifest of the suite in dir.
func Open(dir string) (*Manifest, error) {
	path := filepath.Join(dir, ManifestFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("not a suite directory: %w", err)
	}
	m := &Manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if m.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("read %s: schema version %d, this program reads %d: use the stepbench that wrote it", path, m.SchemaVersion, SchemaVersion)
	}
	for _, place := range m.places() {
		if place != "" && !filepath.IsLocal(filepath.FromSlash(place)) {
			return nil, fmt.Errorf("read %s: %q is not in the suite's directory", path, place)
		}
	}
	return m, nil
}

// places are the files and folders that m names, relative to its own.
func (m *Manifest) places() (all []string) {
	for i := range m.Engines {
		all = append(all, m.Engines[i].Dir, m.Engines[i].Attribution)
	}
	for i := range m.Points {
		for _, r := range m.Points[i].Repeats {
			all = append(all, r.Dir)
		}
	}
	return all
}

// save writes the manifest so that its name never holds half of it.
func (m *Manifest) save(dir string) error {
	return writeJSON(filepath.Join(dir, ManifestFile), m)
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return atomicfile.WriteBytes(path, append(data, '\n'))
}

// engine finds an engine by its name.
func (m *Manifest) engine(name string) *Engine {
	for i := range m.Engines {
		if m.Engines[i].Name == name {
			return &m.Engines[i]
		}
	}
	return nil
}
