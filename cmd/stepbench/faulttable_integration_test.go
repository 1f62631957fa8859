//go:build integration

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepbench/internal/markdown"
)

// faultTable is what a run of TestFaults saw.
type faultTable struct{ real, constructed [][]string }

func (f *faultTable) add(name string, exit int, said, left string, took time.Duration) {
	code := fmt.Sprint(exit)
	if exit < 0 {
		code = "by the signal"
	}
	f.real = append(f.real, []string{
		markdown.Escape(name), code, markdown.Escape(markdown.OneLine(said)), markdown.Escape(left), fmt.Sprintf("%.1f", took.Seconds()),
	})
}

func (f *faultTable) construct(s standIn, passed int) {
	f.constructed = append(f.constructed, []string{
		markdown.Escape(s.fault), markdown.Escape(s.outcome), markdown.Escape(strings.TrimPrefix(s.pkg, "./") + ": " + s.test), fmt.Sprint(passed),
	})
}

func (f *faultTable) write(t *testing.T, path string) {
	t.Helper()
	text := "# What was broken, and what came of it\n\n" +
		"Written by `make faults`, with real vLLM and the tiny model. After each: no process, no shared memory, no socket and no\n" +
		"temporary file left, one error at most, no stack of our own, no half file under a whole one's name.\n\n" +
		markdown.Table([]markdown.Column{
			{Head: "fault", Text: true},
			{Head: "exit code"},
			{Head: "error", Text: true},
			{Head: "what is left", Text: true},
			{Head: "from the fault to the end, s"},
		}, f.real) +
		"\nFaults that vLLM and the machine cannot be brought to are constructed in unit tests, which ran as well:\n\n" +
		markdown.Table([]markdown.Column{
			{Head: "fault", Text: true},
			{Head: "outcome", Text: true},
			{Head: "tests", Text: true},
			{Head: "passed"},
		}, f.constructed)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
