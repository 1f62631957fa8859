package output

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"stepbench/bench/batch"
	"stepbench/internal/atomicfile"
)

// Seal makes a part of what the journal holds, and returns when it is there.
func (s *Store) Seal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if len(s.current.spans) > 0 {
		if err := s.rotate(true); err != nil {
			return err
		}
	}
	return s.wait()
}

// rotate opens the next journal, if there is to be one, and seals the current
// one beside what goes on.
func (s *Store) rotate(next bool) error {
	old := s.current
	if err := s.wait(); err != nil {
		return err
	}
	if next {
		if err := s.openNext(old.number + 1); err != nil {
			s.err = err
			return err
		}
	} else {
		s.current = nil
	}
	sealing := make(chan error, 1)
	s.sealing = sealing
	m := s.manifest
	go func() { sealing <- s.seal(old, &m) }()
	return nil
}

// openNext makes the journal of that number the current one. Strikes go over
// before the journal that held them is removed.
func (s *Store) openNext(number int) error {
	next, err := createSegment(s.dir, number)
	if err != nil {
		return err
	}
	s.current = next
	if err := s.writeStrikes(s.strikes); err != nil {
		return err
	}
	if s.options.SyncEvery < 0 {
		return nil
	}
	return syncDir(s.dir)
}

// wait returns when nothing is being sealed.
func (s *Store) wait() error {
	if s.sealing == nil {
		return nil
	}
	err := <-s.sealing
	s.sealing = nil
	if err != nil {
		s.err = errors.Join(s.err, err)
	}
	return err
}

// seal turns a journal that is no longer written to into a part. See the
// package's comment for why its steps have this order.
func (s *Store) seal(old *segment, m *Manifest) error {
	defer old.f.Close()
	if len(old.spans) > 0 {
		if s.options.SyncEvery > 0 {
			if err := old.f.Sync(); err != nil {
				return fmt.Errorf("sync %s: %w", old.name, err)
			}
		}
		if err := s.at("part"); err != nil {
			return err
		}
		results := &spanReader{name: old.name, f: old.f, spans: inOrder(old.spans)}
		if err := writeFile(filepath.Join(s.dir, partName(old.number, m.Format)), m, results.next); err != nil {
			return fmt.Errorf("seal %s: %w", old.name, err)
		}
	}
	if err := s.at("folder"); err != nil {
		return err
	}
	if err := syncDir(s.dir); err != nil {
		return err
	}
	if err := s.at("remove"); err != nil {
		return err
	}
	return remove(s.dir, old.name)
}

// writeFile writes what next gives until io.EOF to path, whole or not at all.
func writeFile(path string, m *Manifest, next func() (*batch.Result, error)) error {
	return atomicfile.Write(path, func(f io.Writer) error {
		w, err := newResultWriter(f, m)
		if err != nil {
			return err
		}
		for {
			r, err := next()
			if err == io.EOF {
				return w.close()
			}
			if err != nil {
				return err
			}
			if err := w.write(r); err != nil {
				return err
			}
		}
	})
}

// Finish seals what is left, gathers an ordered run that is complete in one
// file, writes the manifest and gives the folder free. inputRows is the number
// of rows of the whole input, 0 if its end was not reached. After an error the
// folder is as after a kill, and can be gone on with.
func (s *Store) Finish(state State, inputRows int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return errors.Join(err, s.wait(), s.release())
	}
	err := s.finish(state, inputRows)
	return errors.Join(err, s.release())
}

func (s *Store) finish(state State, inputRows int64) error {
	if err := s.rotate(len(s.strikes) > 0); err != nil {
		return err
	}
	if err := s.wait(); err != nil {
		return err
	}
	if s.manifest.Ordered && state == Complete {
		if err := s.gather(); err != nil {
			return err
		}
	}
	s.manifest.State, s.manifest.FinishedUnixNs = state, time.Now().UnixNano()
	s.manifest.Counts = s.counts()
	s.manifest.Counts.InputRows = inputRows
	return s.manifest.write(s.dir)
}

// gather merges the parts, each in order, into one file, and removes them.
func (s *Store) gather() error {
	c, err := list(s.dir, s.manifest.Format)
	if err != nil || len(c.parts) == 0 {
		return err
	}
	files := c.files(s.manifest.Format)
	sources := make([]source, len(files))
	for i, name := range files {
		sources[i] = fileSource(s.dir, name, s.manifest.Format)
	}
	merged, err := mergeSources(sources)
	if err != nil {
		return err
	}
	defer merged.close()
	if err := s.at("gather"); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.dir, orderedName(s.manifest.Format)), &s.manifest, merged.next); err != nil {
		return err
	}
	if err := s.at("gather folder"); err != nil {
		return err
	}
	if err := syncDir(s.dir); err != nil {
		return err
	}
	for _, n := range c.parts {
		if err := s.at("gather remove"); err != nil {
			return err
		}
		if err := remove(s.dir, partName(n, s.manifest.Format)); err != nil {
			return err
		}
	}
	return nil
}
