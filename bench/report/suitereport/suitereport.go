package suitereport

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"stepbench/bench/analysis"
	"stepbench/internal/atomicfile"
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
		if err := errors.Join(atomicfile.Write(stem+".png", f.PNG), atomicfile.Write(stem+".svg", f.SVG)); err != nil {
			return err
		}
	}
	return errors.Join(
		atomicfile.Write(filepath.Join(dir, MarkdownFile), func(w io.Writer) error {
			_, err := io.WriteString(w, Markdown(a))
			return err
		}),
		atomicfile.Write(filepath.Join(dir, HTMLFile), func(w io.Writer) error { return HTML(w, a) }),
	)
}
