package output

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stepbench/bench/batch"
)

// fullDisk is a journal on a disk that takes no more than room bytes, and part
// of a write before it says so.
type fullDisk struct {
	*os.File
	room        int
	truncateErr error
	syncErr     error
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) <= d.room {
		d.room -= len(p)
		return d.File.Write(p)
	}
	n, err := d.File.Write(p[:d.room])
	d.room = 0
	return n, errors.Join(err, syscall.ENOSPC)
}

func (d *fullDisk) Truncate(size int64) error {
	if d.truncateErr != nil {
		return d.truncateErr
	}
	return d.File.Truncate(size)
}

func (d *fullDisk) Sync() error { return d.syncErr }

func withDisk(t *testing.T, d fullDisk) (dir string, s *Store) {
	dir = t.TempDir()
	s = open(t, dir, manifest(JSONL))
	d.File = s.current.f.(*os.File)
	s.current.f = &d
	return dir, s
}

// TestFullJournal: what went down of results is taken back, and when there is
// room again the same process goes on.
func TestFullJournal(t *testing.T) {
	inMemory(t)
	for room := 0; room < 900; room += 3 {
		d := fullDisk{room: room}
		dir, s := withDisk(t, d)
		var appended int64
		for ; appended < 10; appended++ {
			if err := s.Append(results(appended)); err != nil {
				if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "write journal-00000.jsonl") {
					t.Fatalf("room %d: %v", room, err)
				}
				break
			}
		}
		if s.DoneCount() != appended || s.Done(appended) {
			t.Fatalf("room %d: %d rows done, %d appended", room, s.DoneCount(), appended)
		}
		s.current.f.(*fullDisk).room = 1 << 20
		appendRows(t, s, upTo(10)[appended:]...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantRows(t, dir, 10)
	}
}

// TestBrokenJournal: a journal whose cut line cannot be taken back, or that
// cannot be synced, takes nothing more, and the next start goes on with what
// is whole.
func TestBrokenJournal(t *testing.T) {
	broken := errors.New("disk is gone")
	dir, s := withDisk(t, fullDisk{room: 700, truncateErr: broken})
	var appended int64
	for ; s.Append(results(appended)) == nil; appended++ {
	}
	if err := s.Append(results(9)); !errors.Is(err, broken) {
		t.Errorf("after that: %v", err)
	}
	if err := s.Finish(Complete, 10); !errors.Is(err, broken) {
		t.Errorf("Finish: %v", err)
	}
	if missing := complete(t, dir, manifest(JSONL), 10); missing != int(10-appended) || appended == 0 {
		t.Errorf("%d rows missing of 10, %d were appended", missing, appended)
	}

	dir, s = withDisk(t, fullDisk{room: 1 << 20, syncErr: broken})
	s.options.SyncEvery = time.Millisecond
	appendRows(t, s, 0)
	for row := int64(1); ; row++ { // the sync is on its way
		if err := s.Append(results(row)); err != nil {
			if !errors.Is(err, broken) || !strings.Contains(err.Error(), "sync journal-00000.jsonl") {
				t.Errorf("after a failed sync: %v", err)
			}
			break
		}
	}
	if err := s.Close(); !errors.Is(err, broken) {
		t.Errorf("Close: %v", err)
	}
	if open(t, dir, manifest(JSONL)).DoneCount() == 0 {
		t.Errorf("nothing is left")
	}
}

// TestFullDisk fills a real file system of 256 KiB, at every stage: journal,
// part, next journal. Then there is room, and the run completes.
func TestFullDisk(t *testing.T) {
	mount := t.TempDir()
	if err := unix.Mount("tmpfs", mount, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("a small file system cannot be mounted here (%v): TestFullJournal fills a pretended one", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, 0); err != nil {
			t.Error(err)
		}
	})
	const rows = 400
	for _, f := range Formats {
		for ballast := 0; ballast <= 200<<10; ballast += 20 << 10 {
			dir := filepath.Join(mount, "run")
			weight := filepath.Join(mount, "ballast")
			if err := os.WriteFile(weight, make([]byte, ballast), 0o600); err != nil {
				t.Fatal(err)
			}
			m := manifest(f)
			m.PartBytes = 32 << 10
			s, err := Open(dir, m, Options{})
			appended := 0
			for row := int64(0); row < rows && err == nil; row++ {
				r := result(row)
				r.ID = strings.Repeat(string(rune('a'+row%26)), 700)
				if err = s.Append([]batch.Result{r}); err == nil {
					appended++
				}
			}
			if s != nil {
				err = errors.Join(err, s.Finish(Complete, rows), s.Close())
			}
			if !errors.Is(err, syscall.ENOSPC) && f != Parquet { // which is much smaller
				t.Fatalf("%s, ballast %d: %v", f, ballast, err)
			}
			if err := os.WriteFile(weight, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("", mount, "", unix.MS_REMOUNT, "size=4m"); err != nil {
				t.Fatal(err)
			}
			s, err = Open(dir, m, Options{})
			if err != nil {
				t.Fatal(err)
			}
			missing := 0
			for row := range int64(rows) {
				if !s.Done(row) {
					missing++
					r := result(row)
					if err := s.Append([]batch.Result{r}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := s.Finish(Complete, rows); err != nil {
				t.Fatal(err)
			}
			if missing > rows-appended {
				t.Errorf("%s, ballast %d: %d rows appended, %d missing", f, ballast, appended, missing)
			}
			next := int64(0)
			for r, err := range Results(dir, ByIndex) {
				if err != nil || r.Index != next {
					t.Fatalf("%s, ballast %d: %v, %v, want row %d", f, ballast, r, err, next)
				}
				next++
			}
			if next != rows {
				t.Errorf("%s, ballast %d: %d rows", f, ballast, next)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("", mount, "", unix.MS_REMOUNT, "size=256k"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
