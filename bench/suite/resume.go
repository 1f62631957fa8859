package suite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"encoding/json"

	"stepbench/bench/record"
)

// ErrOccupied marks a directory that holds something else than this suite.
var ErrOccupied = errors.New("the results directory is taken")

// resume prepares dir for m: makes a new one, or takes over what an earlier run
// of the same suite completed there.
func resume(dir string, m *Manifest) error {
	m.State, m.Error, m.EndUTC = record.Running, "", time.Time{}
	old, err := Open(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return begin(dir, m)
	case err != nil:
		return err
	}
	if why := old.differs(m); why != "" {
		return fmt.Errorf("%w: %s holds another suite: %s: choose another --out or remove it", ErrOccupied, dir, why)
	}
	m.StartUTC = old.StartUTC
	for i := range m.Points {
		p := &m.Points[i]
		for k := range p.Repeats {
			if complete(filepath.Join(dir, filepath.FromSlash(p.Repeats[k].Dir))) {
				p.Repeats[k].State = record.Complete
			}
		}
	}
	for i := range m.Engines {
		e, before := &m.Engines[i], old.engine(m.Engines[i].Name)
		if before == nil {
			continue
		}
		e.Opened, e.Info = before.Opened, before.Info
		if before.Attribution != "" && m.complete(e.Name) {
			e.Attribution = before.Attribution
		}
	}
	return nil
}

func begin(dir string, m *Manifest) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create suite directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("create suite directory: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%w: %s is not empty (it holds %s) and holds no suite: choose another --out or remove it", ErrOccupied, dir, entries[0].Name())
	}
	m.StartUTC = time.Now().UTC()
	return nil
}

// complete says that a run lies in dir from its start to its end.
func complete(dir string) bool {
	r, err := record.Open(dir)
	return err == nil && r.Manifest.State == record.Complete
}

// complete says that every point of an engine is.
func (m *Manifest) complete(engine string) bool {
	for i := range m.Points {
		p := &m.Points[i]
		if p.Engine == engine && slices.ContainsFunc(p.Repeats, func(r Repeat) bool { return r.State != record.Complete }) {
			return false
		}
	}
	return true
}

// differs says what makes n another measurement than m; empty if nothing does.
// What an engine was opened with must be equal too: the same suite means another
// thing on another machine.
func (m *Manifest) differs(n *Manifest) string {
	switch {
	case m.TextSHA256 != n.TextSHA256:
		return "its text has changed"
	case m.SampleHz != n.SampleHz:
		return fmt.Sprintf("it was sampled at %g Hz, not %g", m.SampleHz, n.SampleHz)
	case (m.SLO == nil) != (n.SLO == nil) || m.SLO != nil && *m.SLO != *n.SLO:
		return "its service level differs"
	case len(m.Points) != len(n.Points):
		return fmt.Sprintf("it has %d points, not %d", len(m.Points), len(n.Points))
	}
	for i := range m.Points {
		a, b := &m.Points[i], &n.Points[i]
		if a.ID != b.ID || a.Engine != b.Engine || len(a.Repeats) != len(b.Repeats) {
			return fmt.Sprintf("its point %s is now %s on %s", a.ID, b.ID, b.Engine)
		}
	}
	for i := range n.Engines {
		e := &n.Engines[i]
		if before := m.engine(e.Name); before == nil || !same(before.Config, e.Config) {
			return fmt.Sprintf("engine %s is configured differently", e.Name)
		}
	}
	return ""
}

// same compares by text: what came from JSON has other number types.
func same(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}
