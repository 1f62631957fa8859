package archive

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"stepbench/bench/abtest"
)

// Open reads a comparison back. One that was killed gives the bursts of its
// journal, without what is known of launches only at their end.
func Open(path string) (*Manifest, *abtest.Evidence, error) {
	var m Manifest
	if err := readJSON(filepath.Join(path, ManifestFile), &m); err != nil {
		return nil, nil, fmt.Errorf("not a comparison's directory: %w", err)
	}
	if m.Method != "ab" || m.SchemaVersion != SchemaVersion {
		return nil, nil, fmt.Errorf("%s: method %q with schema %d, this program reads ab with %d", path, m.Method, m.SchemaVersion, SchemaVersion)
	}
	var ev abtest.Evidence
	err := readJSON(filepath.Join(path, EvidenceFile), &ev)
	if errors.Is(err, fs.ErrNotExist) {
		ev, err = fromJournal(filepath.Join(path, JournalFile), &m)
	}
	if err == nil {
		err = ev.Check()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the comparison in %s: %w", path, err)
	}
	return &m, &ev, nil
}

// mostLaunches is far beyond any plan: a launch's number in a journal is not
// believed beyond it.
const mostLaunches = 10_000

func fromJournal(path string, m *Manifest) (abtest.Evidence, error) {
	ev := abtest.Evidence{Sides: m.Sides, Plan: m.Plan, Cells: m.Cells, Model: m.Engine.Model, Interrupted: true}
	f, err := os.Open(path)
	if err != nil {
		return ev, err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // a last line without its end was cut off
			return ev, nil
		}
		if err != nil {
			return ev, err
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return ev, fmt.Errorf("%s, line %d: %w", path, n, err)
		}
		if l.Launch < 1 || l.Launch > mostLaunches {
			return ev, fmt.Errorf("%s, line %d: launch %d is none", path, n, l.Launch)
		}
		for len(ev.Launches) < l.Launch {
			ev.Launches = append(ev.Launches, abtest.Launch{Number: len(ev.Launches) + 1})
		}
		launch := &ev.Launches[l.Launch-1]
		launch.Bursts = append(launch.Bursts, l.Burst)
	}
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
