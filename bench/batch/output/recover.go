package output

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// found is what one file says is done.
type found struct {
	name   string
	rows   rowSet
	failed int64
}

// recover finds out from the files in c what is done, finishes what an earlier
// process was sealing, and opens the journal.
func (s *Store) recover(c contents) error {
	var files []*found
	for _, name := range c.files(s.manifest.Format) {
		f, err := scanFile(s.dir, name, s.manifest.Format)
		if err != nil {
			f, err = s.redo(name, c, err)
		}
		if err != nil {
			return err
		}
		if f != nil {
			files = append(files, f)
		}
	}
	files, err := s.dropGathered(files, c)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := s.count(f); err != nil {
			return err
		}
	}
	return s.recoverJournals(c)
}

// count adds what f has to what is done.
func (s *Store) count(f *found) error {
	for _, r := range f.rows.ranges() {
		for row := r.From; row <= r.To; row++ {
			if !s.done.add(row) {
				return fmt.Errorf("%s: row %d is in another file of %s too", f.name, row, s.dir)
			}
		}
	}
	s.failed += f.failed
	return nil
}

// redo decides about a part that cannot be read: its journal, if it is still
// there, has all of it.
func (s *Store) redo(name string, c contents, err error) (*found, error) {
	for _, n := range c.journals {
		if name == partName(n, s.manifest.Format) {
			s.options.Warn(fmt.Sprintf("%v; it is made again of %s", err, journalName(n)))
			return nil, remove(s.dir, name)
		}
	}
	return nil, fmt.Errorf("%w; remove it, and its rows run again", err)
}

// dropGathered removes parts that the gathered file has whole, which a kill
// between the two left.
func (s *Store) dropGathered(files []*found, c contents) ([]*found, error) {
	if !c.ordered {
		return files, nil
	}
	all := files[0]
	kept := []*found{all}
	for _, f := range files[1:] {
		if !all.rows.contains(&f.rows) {
			kept = append(kept, f)
		} else if err := remove(s.dir, f.name); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// recoverJournals reads the journals of earlier processes. The last goes on,
// unless its part is there. The others end as the process would have ended
// them, once the strikes they hold are in the one that goes on.
func (s *Store) recoverJournals(c contents) (err error) {
	last := -1
	for _, n := range slices.Concat(c.journals, c.parts) {
		last = max(last, n)
	}
	var ending []*segment
	defer func() {
		for _, seg := range ending {
			_ = seg.f.Close() // what was sealed is closed already
		}
	}()
	for _, n := range c.journals {
		seg, state, err := openSegment(s.dir, n, s.options.Warn)
		if err != nil {
			return err
		}
		maps.Copy(s.strikes, state.strikes)
		if n == last && !slices.Contains(c.parts, n) {
			s.current = seg
		} else {
			ending = append(ending, seg)
		}
		if s.done.contains(&state.rows) {
			seg.spans = nil // there is nothing to seal
		} else if err := s.count(&state.found); err != nil {
			return err
		}
	}
	maps.DeleteFunc(s.strikes, func(row int64, _ int) bool { return s.done.has(row) })
	if s.current == nil {
		err = s.openNext(last + 1)
	} else if len(ending) > 0 {
		err = s.writeStrikes(s.strikes)
	}
	if err != nil {
		return err
	}
	for _, seg := range ending {
		if err := s.seal(seg, &s.manifest); err != nil {
			return err
		}
	}
	return nil
}

// journalState is what a journal says.
type journalState struct {
	found
	strikes map[int64]int
}

// openSegment reads a journal and cuts off what is not good at its end.
func openSegment(dir string, number int, warn func(string)) (*segment, *journalState, error) {
	name := journalName(number)
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, nil, err
	}
	seg := &segment{number: number, name: name, f: f}
	state := &journalState{found{name: name}, map[int64]int{}}
	seg.size, err = scanJournal(f, func(e entry, at, length int64) error {
		maps.Copy(state.strikes, e.Strikes)
		if e.Result == nil {
			return nil
		}
		if !state.rows.add(e.Index) {
			return fmt.Errorf("it is damaged: row %d is there twice", e.Index)
		}
		if e.Failure != nil {
			state.failed++
		}
		seg.spans = append(seg.spans, span{e.Index, at, length})
		return nil
	})
	if err == nil {
		err = seg.cut(f, warn)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read %s: %w", filepath.Join(dir, name), err), f.Close())
	}
	return seg, state, nil
}

// cut removes what lies behind the good lines.
func (s *segment) cut(f *os.File, warn func(string)) error {
	info, err := f.Stat()
	if err != nil || info.Size() == s.size {
		return err
	}
	warn(fmt.Sprintf("%s ended in %d bytes of a line that was cut off: its row runs again", s.name, info.Size()-s.size))
	return errors.Join(f.Truncate(s.size), f.Sync())
}
