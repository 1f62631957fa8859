package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"stepbench/bench/batch/input"
	"stepbench/engine"
	"stepbench/internal/atomicfile"
)

// SchemaVersion of batch.json, the journal and the parts.
const SchemaVersion = 1

// State is how far a run came.
type State string

const (
	Running     State = "running" // or killed
	Complete    State = "complete"
	Interrupted State = "interrupted"
)

// Bounds of a part, if the manifest says none: whichever comes first.
const (
	defaultPartRows  = 50_000
	defaultPartBytes = 64 << 20
)

// Shard is the share of an input that a run has.
type Shard struct {
	Index int `json:"index"` // from 0
	Count int `json:"count"`
}

// Counts are rows.
type Counts struct {
	// InputRows are those of the whole input, all shards, 0 until its end was
	// reached.
	InputRows int64 `json:"input_rows,omitempty"`
	Done      int64 `json:"done"`
	Failed    int64 `json:"failed"` // of those done
}

// Manifest is batch.json. What makes rows of two starts comparable must be
// equal to resume: Input, Shard, Format, Ordered, Sampling, Engine, Model.
type Manifest struct {
	SchemaVersion int               `json:"schema_version"`
	Command       []string          `json:"command,omitempty"`
	Input         input.Fingerprint `json:"input"`
	Shard         *Shard            `json:"shard,omitempty"`
	Format        Format            `json:"format"`
	// Ordered gathers the parts in one file in the input's order at the end.
	Ordered bool `json:"ordered,omitempty"`
	// PartRows and PartBytes (of journal) bound a part; 0 means 50,000 and 64 MiB.
	PartRows  int64           `json:"part_rows,omitempty"`
	PartBytes int64           `json:"part_bytes,omitempty"`
	Sampling  engine.Sampling `json:"sampling"` // of rows that say nothing
	Engine    json.RawMessage `json:"engine,omitempty"`
	Model     string          `json:"model,omitempty"` // as OpenAI output names it

	State          State  `json:"state"`
	StartedUnixNs  int64  `json:"started_unix_ns"`
	FinishedUnixNs int64  `json:"finished_unix_ns,omitempty"`
	Counts         Counts `json:"counts"`
}

// Exists says that dir holds a run.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, ManifestFile))
	return err == nil
}

// ReadManifest reads batch.json of dir.
func ReadManifest(dir string) (Manifest, error) {
	var m Manifest
	path := filepath.Join(dir, ManifestFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return m, fmt.Errorf("%s is no output of a batch: it has no %s", dir, ManifestFile)
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("read %s: %w", path, err)
	}
	if m.SchemaVersion != SchemaVersion {
		return m, fmt.Errorf("read %s: schema version %d, this program reads %d", path, m.SchemaVersion, SchemaVersion)
	}
	return m, m.check()
}

// check refuses what cannot be written.
func (m *Manifest) check() error {
	if !slices.Contains(Formats, m.Format) {
		return fmt.Errorf("output format %q is none of %s, %s, %s", m.Format, Parquet, JSONL, OpenAI)
	}
	if m.PartRows < 0 || m.PartBytes < 0 {
		return fmt.Errorf("a part of %d rows, %d bytes: neither may be negative", m.PartRows, m.PartBytes)
	}
	return nil
}

func (m *Manifest) write(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", ManifestFile, err)
	}
	if err := atomicfile.WriteBytes(filepath.Join(dir, ManifestFile), append(text, '\n')); err != nil {
		return err
	}
	return syncDir(dir)
}

// differences says what of m forbids to go on as now, a line each.
func (m *Manifest) differences(now *Manifest) []string {
	out := m.Input.Differences(now.Input)
	add := func(what string, was, is any) {
		if !reflect.DeepEqual(was, is) {
			out = append(out, fmt.Sprintf("%s: was %s, is %s", what, jsonOf(was), jsonOf(is)))
		}
	}
	add("shard", m.Shard, now.Shard)
	add("format", m.Format, now.Format)
	add("ordered", m.Ordered, now.Ordered)
	add("model", m.Model, now.Model)
	add("sampling", jsonOf(m.Sampling), jsonOf(now.Sampling))
	add("engine", compact(m.Engine), compact(now.Engine))
	return out
}

func jsonOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, _ := json.Marshal(v) // plain data
	return string(text)
}

// compact is JSON as write leaves it, without white space and with characters that
// HTML minds escaped: what is read again must not differ from what was written.
func compact(raw json.RawMessage) string {
	text, err := json.Marshal(raw)
	if err != nil {
		return string(raw)
	}
	return string(text)
}

// mayResume refuses to go on with a run that is another.
func (m *Manifest) mayResume(dir string, now *Manifest) error {
	if wrong := m.differences(now); len(wrong) > 0 {
		return fmt.Errorf("cannot resume %s: it is of another run; give another output folder, or restore what changed:\n  %s",
			dir, strings.Join(wrong, "\n  "))
	}
	return nil
}
