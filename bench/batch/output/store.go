package output

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"stepbench/bench/batch"
)

// Options are of this start alone.
type Options struct {
	// SyncEvery is how long results may be in memory of the kernel alone, where
	// a power cut takes them; 0 means 1 s. Negative leaves it to the kernel:
	// parts are durable all the same.
	SyncEvery time.Duration
	// LockWait is how long to wait for another process that writes there.
	LockWait time.Duration
	// Warn hears of what was mended; nil is deaf.
	Warn func(message string)
}

// Store is a run's folder, open for writing. Its methods may be called from
// any goroutine.
type Store struct {
	dir     string
	options Options
	lock    *os.File

	mu       sync.Mutex
	manifest Manifest
	done     rowSet
	failed   int64
	strikes  map[int64]int // of rows not done
	current  *segment      // nil once finished
	sealing  chan error    // the end of sealing the one before; nil if none is
	timer    *time.Timer   // until the next sync; nil if all is synced
	err      error         // what ended all writing

	// at is told each step of sealing, and may end it, in tests.
	at func(step string) error
}

// Open makes dir the folder of a new run, or goes on with the run it holds.
// Another process that writes there is ErrLocked. A run of another input,
// format, sampling or engine is refused with the differences.
func Open(dir string, m Manifest, o Options) (s *Store, err error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if o.SyncEvery == 0 {
		o.SyncEvery = time.Second
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if m.PartRows == 0 {
		m.PartRows = defaultPartRows
	}
	if m.PartBytes == 0 {
		m.PartBytes = defaultPartBytes
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s = &Store{dir: dir, options: o, manifest: m, strikes: map[int64]int{}, at: func(string) error { return nil }}
	if s.lock, err = awaitLock(dir, o.LockWait, o.Warn); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// begin writes the manifest of this start, after it has compared it with the
// one that is there, and finds out what is done.
func (s *Store) begin() error {
	m := &s.manifest
	m.SchemaVersion, m.State, m.FinishedUnixNs, m.Counts = SchemaVersion, Running, 0, Counts{}
	m.StartedUnixNs = time.Now().UnixNano()
	c, err := list(s.dir, m.Format)
	if err != nil {
		return err
	}
	if Exists(s.dir) {
		was, err := ReadManifest(s.dir)
		if err != nil {
			return err
		}
		if err := was.mayResume(s.dir, m); err != nil {
			return err
		}
		m.StartedUnixNs = was.StartedUnixNs
	} else if len(c.journals)+len(c.parts) > 0 || c.ordered {
		return fmt.Errorf("%s holds results and no %s: give another output folder", s.dir, ManifestFile)
	}
	for _, name := range c.temporary {
		if err := remove(s.dir, name); err != nil {
			return err
		}
	}
	if err := m.write(s.dir); err != nil {
		return err
	}
	return s.recover(c)
}

// Done says that row index has a result.
func (s *Store) Done(index int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done.has(index)
}

// DoneCount is the number of rows that have one.
func (s *Store) DoneCount() int64 { return s.Counts().Done }

// Counts are of the rows done so far, by all starts.
func (s *Store) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts()
}

func (s *Store) counts() Counts { return Counts{Done: s.done.n, Failed: s.failed} }

// Append keeps results, all or none of them. A row that has a result already
// is an error. When it returns a kill of this process cannot lose them.
func (s *Store) Append(results []batch.Result) error {
	if len(results) == 0 {
		return nil
	}
	var text bytes.Buffer
	spans := make([]span, len(results))
	for i := range results {
		r := storable(&results[i])
		at := int64(text.Len())
		if err := appendLine(&text, r); err != nil {
			return fmt.Errorf("encode the result of row %d: %w", r.Index, err)
		}
		spans[i] = span{r.Index, at, int64(text.Len()) - at}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	seen := make(map[int64]bool, len(results))
	for i := range results {
		row := results[i].Index
		if row < 0 || seen[row] || s.done.has(row) {
			return fmt.Errorf("row %d has a result already", row)
		}
		seen[row] = true
	}
	if err := s.write(text.Bytes(), spans); err != nil {
		return err
	}
	for i := range results {
		s.record(&results[i])
	}
	if s.full() {
		return s.rotate(true)
	}
	return nil
}

// record takes note of a row that is done.
func (s *Store) record(r *batch.Result) bool {
	if r.Failure != nil {
		s.failed++
	}
	delete(s.strikes, r.Index)
	return s.done.add(r.Index)
}

func (s *Store) full() bool {
	return int64(len(s.current.spans)) >= s.manifest.PartRows || s.current.size >= s.manifest.PartBytes
}

func (s *Store) usable() error {
	if s.current == nil && s.err == nil {
		return errors.New("the output is finished")
	}
	return s.err
}

// write adds lines to the journal and sees to it that they get to the disk.
func (s *Store) write(text []byte, spans []span) error {
	err := s.current.write(text, spans)
	if broken := new(brokenError); errors.As(err, &broken) {
		s.err = err
	}
	if err == nil && s.timer == nil && s.options.SyncEvery > 0 {
		s.timer = time.AfterFunc(s.options.SyncEvery, s.sync)
	}
	return err
}

// sync makes durable what was appended. It does not hold up Append.
func (s *Store) sync() {
	s.mu.Lock()
	s.timer = nil
	current := s.current
	s.mu.Unlock()
	if current == nil {
		return
	}
	// After a failed sync the kernel may have dropped what it could not write,
	// and would say so only once: nothing more may be trusted to this file.
	if err := current.f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err = errors.Join(s.err, fmt.Errorf("sync %s: %w", current.name, err))
	}
}

// Strike counts a strike for each of the rows that were in flight when a
// worker died. It is on the disk when Strike returns. Rows done have none.
func (s *Store) Strike(indices []int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	now := map[int64]int{}
	for _, row := range indices {
		if !s.done.has(row) {
			now[row] = s.strikes[row] + 1
		}
	}
	if err := s.writeStrikes(now); err != nil {
		return err
	}
	maps.Copy(s.strikes, now)
	return nil
}

func (s *Store) writeStrikes(strikes map[int64]int) error {
	if len(strikes) == 0 {
		return nil
	}
	var text bytes.Buffer
	if err := appendLine(&text, entry{Strikes: strikes}); err != nil {
		return err
	}
	if err := s.write(text.Bytes(), nil); err != nil {
		return err
	}
	if s.options.SyncEvery < 0 {
		return nil
	}
	return s.current.f.Sync()
}

// Strikes are those of rows not done.
func (s *Store) Strikes() map[int64]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.strikes)
}

// Close gives the folder free as it is, to go on with later. After Finish it
// does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.wait(), s.release())
}

// release closes everything.
func (s *Store) release() error {
	var err error
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if s.current != nil {
		if s.options.SyncEvery > 0 {
			err = s.current.f.Sync()
		}
		err = errors.Join(err, s.current.f.Close())
		s.current = nil
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return err
}
