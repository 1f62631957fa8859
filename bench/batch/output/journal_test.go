package output

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/internal/golden"
)

// FuzzJournal: whatever a journal holds, what is read of it is whole lines
// from its beginning, reading them again gives the same, and a store that goes
// on with it ends with every row once.
func FuzzJournal(f *testing.F) {
	var text bytes.Buffer
	for row := range int64(3) {
		r := result(row)
		if err := appendLine(&text, &r); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(text.Bytes())
	f.Add(text.Bytes()[:text.Len()-5])
	f.Add(append(text.Bytes(), make([]byte, 40)...))
	f.Add([]byte("{\"strikes\":{\"5\":2}}\n" + text.String()))
	f.Add([]byte("{\"index\":18446744073709551615}\n{\"index\":1,\"choices\":null}\n"))
	f.Add([]byte("{\"index\":9223372036854775807}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var rows []int64
		good, err := scanJournal(bytes.NewReader(text), func(e entry, at, length int64) error {
			if e.Result != nil {
				if e.Index < 0 {
					t.Fatalf("row %d", e.Index)
				}
				rows = append(rows, e.Index)
			} else if len(e.Strikes) == 0 {
				t.Fatal("neither a result nor strikes")
			}
			if at+length > int64(len(text)) || text[at+length-1] != '\n' {
				t.Fatalf("a line from %d of %d bytes", at, length)
			}
			return nil
		})
		if good > int64(len(text)) || good > 0 && text[good-1] != '\n' || err != nil && err.Error() == "" {
			t.Fatalf("%d of %d bytes are good, %v", good, len(text), err)
		}
		var again []int64
		if _, err := scanJournal(bytes.NewReader(text[:good]), func(e entry, _, _ int64) error {
			if e.Result != nil {
				again = append(again, e.Index)
			}
			return nil
		}); err != nil {
			t.Fatalf("what is good is not: %v", err)
		}
		if diff := cmp.Diff(rows, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzOpenAILine: parts are read by the next start too.
func FuzzOpenAILine(f *testing.F) {
	for row := range int64(6) {
		r := result(row)
		var text bytes.Buffer
		if err := appendLine(&text, newOpenAILine(&r, "m", 1)); err != nil {
			f.Fatal(err)
		}
		f.Add(text.Bytes())
	}
	f.Add([]byte(`{"response":{"body":{"choices":[null]}},"stepbench":{"choices":[{}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseOpenAILine(text)
		if (r == nil) == (err == nil) || r != nil && r.Index < 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	})
}

// TestRowSetMemory: a million rows, and stray ones, take little.
func TestRowSetMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var s rowSet
	const rows = 1_000_000
	for row := range int64(rows) {
		if !s.add((row*7919)%rows) || s.add((row*7919)%rows) {
			t.Fatalf("row %d", row)
		}
	}
	s.add(1 << 62)
	s.add(1<<62 + 1)
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytes := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if bytes > 256<<10 {
		t.Errorf("%d bytes for a million rows", bytes)
	}
	t.Logf("%d bytes for a million rows and a stray one", bytes)
	if diff := cmp.Diff([]Range{{0, rows - 1}, {1 << 62, 1<<62 + 1}}, s.ranges()); diff != "" {
		t.Error(diff)
	}
	if !s.has(5) || s.has(rows) || s.has(1<<40) {
		t.Error("has is wrong")
	}
}

func TestRowSet(t *testing.T) {
	of := func(rows ...int64) *rowSet {
		s := new(rowSet)
		for _, r := range rows {
			s.add(r)
		}
		return s
	}
	tests := []struct {
		name    string
		have    *rowSet
		rows    int64
		missing []Range
	}{
		{"none", of(), 3, []Range{{0, 2}}},
		{"all", of(0, 1, 2), 3, nil},
		{"holes", of(1, 2, 63, 64, 65, 65535, 65536), 65540, []Range{{0, 0}, {3, 62}, {66, 65534}, {65537, 65539}}},
		{"beyond", of(0, 9), 3, []Range{{1, 2}}},
		{"no rows", of(), 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.missing, tt.have.missing(tt.rows)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if !of(1, 2, 70000).contains(of(70000)) || of(1).contains(of(1, 70000)) || of(1).contains(of(2)) || !of().contains(of()) {
		t.Error("contains is wrong")
	}
}

// TestOpenAIGolden shows what a reader of OpenAI's files gets.
func TestOpenAIGolden(t *testing.T) {
	var text bytes.Buffer
	for row := range int64(6) {
		r := result(row)
		if err := appendLine(&text, newOpenAILine(&r, "smollm2", 1_700_000_000)); err != nil {
			t.Fatal(err)
		}
	}
	golden.Check(t, filepath.Join("testdata", "openai.jsonl"), text.Bytes())
}

// TestReadWhileRunning reads a folder again and again while another goroutine
// appends, seals and finishes: every time it gets at least what was appended
// before, each row once.
func TestReadWhileRunning(t *testing.T) {
	m := manifest(JSONL)
	m.PartRows = 20
	dir := t.TempDir()
	s := open(t, dir, m)
	appendRows(t, s, 0)
	ended := make(chan error, 1)
	go func() {
		for row := int64(1); row < 600; row++ {
			if err := s.Append(results(row)); err != nil {
				ended <- err
				return
			}
		}
		ended <- s.Finish(Complete, 600)
	}()
	for reads := 1; ; reads++ {
		before := s.DoneCount()
		rows := int64(0)
		for r, err := range Results(dir, ByIndex) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Index != rows {
				t.Fatalf("row %d, want %d", r.Index, rows)
			}
			rows++
		}
		if rows < before {
			t.Fatalf("%d rows are read, %d were appended before", rows, before)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			wantRows(t, dir, 600)
			t.Logf("%d reads", reads)
			return
		default:
		}
	}
}

// TestWarn: what was mended is said.
func TestWarn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, manifest(JSONL))
	appendRows(t, s, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, journalName(0)), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprint(f, `{"index":1,"pl`)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	var said []string
	s, err = Open(dir, manifest(JSONL), Options{Warn: func(m string) { said = append(said, m) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if diff := cmp.Diff([]string{"journal-00000.jsonl ended in 14 bytes of a line that was cut off: its row runs again"}, said); diff != "" {
		t.Error(diff)
	}
}
