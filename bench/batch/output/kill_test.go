package output

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var errKilled = errors.New("killed")

// inMemory puts the test's folders where syncing takes no time.
func inMemory(t *testing.T) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm")
	}
}

// copyDir makes a copy of what a kill would leave.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// complete goes on with dir and checks that it then has rows 0 to n-1 once.
func complete(t testing.TB, dir string, m Manifest, n int64) (missing int) {
	t.Helper()
	s := open(t, dir, m)
	for row := range n {
		if !s.Done(row) {
			missing++
			appendRows(t, s, row)
		}
	}
	if err := s.Finish(Complete, n); err != nil {
		t.Fatal(err)
	}
	wantRows(t, dir, n)
	c, err := list(dir, m.Format)
	if err != nil || len(c.journals)+len(c.temporary) > 0 {
		t.Errorf("left over: %+v, %v", c, err)
	}
	return missing
}

// TestKillAtEachStep ends the program at every step of sealing and gathering,
// and goes on. Beside each the half-written file of atomicfile is left.
func TestKillAtEachStep(t *testing.T) {
	inMemory(t)
	const rows = 30
	for _, f := range Formats {
		for _, ordered := range []bool{false, true} {
			m := manifest(f)
			m.PartRows, m.Ordered = 10, ordered
			for stop, more := 1, true; more; stop++ {
				dir := t.TempDir()
				s := open(t, dir, m)
				steps, at := 0, ""
				s.at = func(step string) error {
					if steps++; steps >= stop { // a process killed takes no further step
						at = step
						return errKilled
					}
					return nil
				}
				var err error
				appended := int64(0)
				for row := int64(0); row < rows && err == nil; row++ {
					if err = s.Append(results(row)); err == nil {
						appended++
					}
				}
				err = errors.Join(err, s.Finish(Complete, rows), s.Close())
				more = errors.Is(err, errKilled)
				if !more && err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, temporary+"12345"), []byte("half"), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Run(fmt.Sprintf("%s ordered=%t step %d %s", f, ordered, stop, at), func(t *testing.T) {
					if missing := complete(t, dir, m, rows); missing > int(rows-appended) {
						t.Errorf("%d rows lost of %d appended", missing-int(rows-appended), appended)
					}
				})
			}
		}
	}
}

// TestTruncated cuts the journal at every byte of its last two lines.
func TestTruncated(t *testing.T) {
	inMemory(t)
	const rows = 6
	m := manifest(JSONL)
	dir := t.TempDir()
	s := open(t, dir, m)
	for row := range int64(rows) {
		appendRows(t, s, row)
	}
	whole, err := os.ReadFile(filepath.Join(dir, journalName(0)))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	last, before := len(lines[rows-1])+1, len(lines[rows-2])
	zeros := bytes.Repeat([]byte{0}, 50) // where the file's size got to the disk before its data
	for cut := range last + before + 1 {
		keep := whole[:len(whole)-cut]
		want := 2
		if cut <= last {
			want = 1
		}
		if cut == 0 {
			want = 0
		}
		for name, text := range map[string][]byte{"cut": keep, "zeros": append(keep[:len(keep):len(keep)], zeros...)} {
			dir := copyDir(t, dir)
			if err := os.WriteFile(filepath.Join(dir, journalName(0)), text, 0o644); err != nil {
				t.Fatal(err)
			}
			if n := len(read(t, dir, ByIndex)); n != rows-want {
				t.Errorf("%s %d bytes from the end: %d rows are read", name, cut, n)
			}
			if missing := complete(t, dir, m, rows); missing != want {
				t.Errorf("%s %d bytes from the end: %d rows missing, want %d", name, cut, missing, want)
			}
		}
	}
}

func TestDamagedJournal_Errors(t *testing.T) {
	good := `{"index":1,"place":{"file":"a","line":1},"id":"x","prompt_tokens":1}` + "\n"
	tests := []struct{ name, text, want string }{
		{"not JSON", good + "{\"index\":2,\n" + good, "journal-00000.jsonl: line 2: it is damaged: unexpected end of JSON input"},
		{"nothing", "{}\n", "line 1: it is damaged: neither a result nor strikes"},
		{"empty line", good + "\n", "line 2: it is damaged"},
		{"a row twice", good + good, "line 2: it is damaged: row 1 is there twice"},
		{"no such row", `{"index":-1}` + "\n", "line 1: it is damaged: row -1"},
		{"no number", `{"id":"x"}` + "\n", "line 1: it is damaged: neither"},
		{"both", `{"index":1,"strikes":{"1":2}}` + "\n", "line 1: it is damaged: neither"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, manifest(JSONL))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, journalName(0)), []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, manifest(JSONL), Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestDamagedPart: a part is made again while its journal is there, and else
// the error says what to do.
func TestDamagedPart(t *testing.T) {
	for _, f := range Formats {
		t.Run(string(f), func(t *testing.T) {
			m := manifest(f)
			dir := t.TempDir()
			s := open(t, dir, m)
			appendRows(t, s, upTo(10)...)
			withJournal := copyDir(t, dir)
			if err := s.Finish(Interrupted, 0); err != nil {
				t.Fatal(err)
			}
			part := partName(0, f)
			whole, err := os.ReadFile(filepath.Join(dir, part))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range []string{dir, withJournal} {
				if err := os.WriteFile(filepath.Join(d, part), whole[:len(whole)/2], 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Open(dir, m, Options{}); err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), "remove it, and its rows run again") {
				t.Errorf("error %v", err)
			}
			if missing := complete(t, withJournal, m, 10); missing != 0 {
				t.Errorf("%d rows lost", missing)
			}
			if err := os.Remove(filepath.Join(dir, part)); err != nil {
				t.Fatal(err)
			}
			if missing := complete(t, dir, m, 10); missing != 10 {
				t.Errorf("%d rows missing after the part was removed", missing)
			}
		})
	}
}

// TestEmptyFolderOfAKill: killed after the lock, after the manifest, and after
// the journal was made.
func TestEmptyFolderOfAKill(t *testing.T) {
	m := manifest(Parquet)
	full := t.TempDir()
	s := open(t, full, m)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for n, names := range [][]string{{lockFile}, {lockFile, ManifestFile}, {lockFile, ManifestFile, journalName(0)}} {
		dir := copyDir(t, full)
		for _, name := range []string{lockFile, ManifestFile, journalName(0)}[n+1:] {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if missing := complete(t, dir, m, 5); missing != 5 {
			t.Errorf("with %v: %d rows missing", names, missing)
		}
	}
}

// TestStrikes are kept over starts, sealing and an interrupted end, and end
// with the row.
func TestStrikes(t *testing.T) {
	m := manifest(JSONL)
	m.PartRows = 5
	dir := t.TempDir()
	s := open(t, dir, m)
	want := func(s *Store, strikes map[int64]int) {
		t.Helper()
		if diff := cmpStrikes(strikes, s.Strikes()); diff != "" {
			t.Error(diff)
		}
	}
	for _, rows := range [][]int64{{50, 60, 3}, {60}, nil} {
		if err := s.Strike(rows); err != nil {
			t.Fatal(err)
		}
	}
	want(s, map[int64]int{50: 1, 60: 2, 3: 1})
	killed := copyDir(t, dir)
	want(open(t, killed, m), map[int64]int{50: 1, 60: 2, 3: 1})
	for row := range int64(12) {
		appendRows(t, s, row)
	}
	if err := s.Strike([]int64{3, 50}); err != nil { // 3 is done
		t.Fatal(err)
	}
	if err := s.Finish(Interrupted, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = open(t, dir, m)
		want(s, map[int64]int{50: 2, 60: 2})
		if err := s.Finish(Interrupted, 0); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, m)
	appendRows(t, s, 50, 60)
	if err := s.Finish(Complete, 0); err != nil {
		t.Fatal(err)
	}
	want(open(t, dir, m), map[int64]int{})
}

func cmpStrikes(want, got map[int64]int) string {
	if fmt.Sprint(want) != fmt.Sprint(got) {
		return fmt.Sprintf("strikes %v, want %v", got, want)
	}
	return ""
}

// killDir, in the environment of this test binary, makes TestSIGKILL the
// process that is killed.
const killDir = "STEPBENCH_TEST_BATCH_KILL_DIR"

// TestSIGKILL kills a process that writes rows at a moment of no one's choice,
// again and again. What it said was appended must be there.
func TestSIGKILL(t *testing.T) {
	const rows = 20_000
	m := manifest(Parquet)
	m.PartRows = 200
	if dir := os.Getenv(killDir); dir != "" {
		s := open(t, dir, m)
		for row := range int64(rows) {
			if !s.Done(row) {
				appendRows(t, s, row)
				fmt.Printf("appended %d\n", row)
			}
		}
		t.Fatal("it was not killed")
	}
	dir := t.TempDir()
	said := map[int64]bool{}
	for kill := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSIGKILL$")
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(80+37*kill) * time.Millisecond)
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
		if text := out.String(); strings.Contains(text, "FAIL") {
			t.Fatal(text)
		}
		for line := range strings.Lines(out.String()) {
			var row int64
			if n, _ := fmt.Sscanf(line, "appended %d\n", &row); n == 1 && strings.HasSuffix(line, "\n") {
				if said[row] {
					t.Errorf("row %d was appended twice", row)
				}
				said[row] = true
			}
		}
	}
	s := open(t, dir, m)
	for row := range said {
		if !s.Done(row) {
			t.Errorf("row %d was appended and is lost", row)
		}
	}
	n := s.DoneCount()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n < int64(len(said)) || n == 0 {
		t.Errorf("%d rows done, %d were said to be", n, len(said))
	}
	t.Logf("%d rows appended by 8 processes that were killed", n)
	wantRows(t, dir, n)
}
