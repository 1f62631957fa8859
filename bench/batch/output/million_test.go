package output

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"stepbench/bench/batch"
)

// BenchmarkAppend writes rows of a usual size as a run does: batches of 64,
// sealed on the way.
func BenchmarkAppend(b *testing.B) {
	for _, f := range Formats {
		b.Run(string(f), func(b *testing.B) {
			s, err := Open(b.TempDir(), manifest(f), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			results := make([]batch.Result, 64)
			var row int64
			for b.Loop() {
				for i := range results {
					results[i] = usual(row)
					row++
				}
				if err := s.Append(results); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(row)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// usual is a chat of 100 words.
func usual(row int64) batch.Result {
	text := make([]byte, 600)
	for i := range text {
		text[i] = "abcdefg hijklmn "[(int64(i)*row)%16]
	}
	return batch.Result{Index: row, Place: batch.Place{File: "in.jsonl", Line: row + 1}, ID: fmt.Sprintf("row-%d", row), PromptTokens: 100,
		Choices: []batch.Choice{{Text: string(text), OutputTokens: 120, Finish: "stop", QueueS: 0.1234567, PrefillS: 0.0123456, DecodeS: 1.2345678, E2ES: 1.37}}}
}

// TestMillion writes, resumes, gathers in order and reads a million rows, and
// says how much memory that took. It needs two minutes and 2 GB of disk.
func TestMillion(t *testing.T) {
	if os.Getenv("STEPBENCH_TEST_MILLION") == "" {
		t.Skip("STEPBENCH_TEST_MILLION is not set")
	}
	const rows = 1_000_000
	m := manifest(Parquet)
	m.Ordered = true
	dir := t.TempDir()
	start := time.Now()
	var peak uint64
	note := func(what string) {
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		peak = max(peak, ms.Sys)
		t.Logf("%7.1f s %-28s heap %4d MiB, from the system %4d MiB", time.Since(start).Seconds(), what, ms.HeapAlloc>>20, ms.Sys>>20)
	}
	s, err := Open(dir, m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	results := make([]batch.Result, 100)
	for at := int64(0); at < rows; at += 100 {
		for i := range results {
			// As a scheduler that sorts by length returns them: anywhere among 10,000.
			results[i] = usual(at/10_000*10_000 + (at%10_000+int64(i))*7919%10_000)
		}
		if err := s.Append(results); err != nil {
			t.Fatal(err)
		}
		if at%200_000 == 0 {
			note(fmt.Sprintf("%d rows", at))
		}
		if at == rows/2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(dir, m, Options{}); err != nil {
				t.Fatal(err)
			}
			note("opened again")
		}
	}
	note("appended")
	if err := s.Finish(Complete, rows); err != nil {
		t.Fatal(err)
	}
	note("gathered in order")
	next := int64(0)
	for r, err := range Results(dir, ByIndex) {
		if err != nil || r.Index != next {
			t.Fatalf("row %d: %+v, %v", next, r, err)
		}
		next++
	}
	note("read")
	if next != rows || peak > 600<<20 {
		t.Errorf("%d rows, %d MiB", next, peak>>20)
	}
}
