package suitereport

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"stepbench/bench/analysis"
)

// Places in a suite directory.
const (
	MarkdownFile = "report.md"
	HTMLFile     = "report.html"
	FiguresDir   = "figures"
)

// Write puts the figures and both reports of a into the suite directory dir,
// replacing what is there.
func Write(dir string, a *analysis.Analysis) error {
	figures := filepath.Join(dir, FiguresDir)
	if err := os.MkdirAll(figures, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for _, f := range Figures(a) {
		stem := filepath.Join(figures, f.Stem)
		if err := errors.Join(writeFile(stem+".png", f.PNG), writeFile(stem+".svg", f.SVG)); err != nil {
			return err
		}
	}
	return errors.Join(
		writeFile(filepath.Join(dir, MarkdownFile), func(w io.Writer) error {
			_, err := io.WriteString(w, Markdown(a))
			return err
		}),
		writeFile(filepath.Join(dir, HTMLFile), func(w io.Writer) error { return HTML(w, a) }),
	)
}

// writeFile writes under a temporary name first, so that a half-written file
// never passes for a whole one.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".stepbench-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
