// Package encode writes a comparison of two arms in the formats that people
// and programs read. It judges nothing: every figure is one of abtest, in other
// units or summed up.
package encode

import (
	"fmt"
	"io"
	"time"

	"stepbench/bench/abtest"
)

const (
	// SchemaVersion is that of the documents and tables written here.
	SchemaVersion = 1
	// Method is the name of what was done, as records carry it.
	Method = "ab"
)

// Comparison is what is written.
type Comparison struct {
	Evidence *abtest.Evidence
	Result   *abtest.Result

	Command string    // as a shell takes it
	Version string    // of stepbench
	Start   time.Time // zero: not known
	// Setup is what else a reader should know of the conditions: the host, how
	// the variants were built, the calibration used.
	Setup []Fact
}

// Fact is one condition of a comparison.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Format is the name of an encoding, as a user gives it.
type Format string

const (
	Markdown    Format = "md"       // for a terminal and for reading
	JSON        Format = "json"     // everything but single bursts, one document
	JSONL       Format = "jsonl"    // an object for the verdict, each cell, kernel and gate
	Benchfmt    Format = "benchfmt" // Go benchmark format, a line per cell, arm and launch
	Parquet     Format = "parquet"  // a row per burst; their kernels are [Kernels]
	HTML        Format = "html"     // a page of its own, with figures
	PullRequest Format = "pr"       // Markdown for a comment on a pull request
)

// Formats are all formats.
func Formats() []Format {
	return []Format{Markdown, JSON, JSONL, Benchfmt, Parquet, HTML, PullRequest}
}

// Encode writes c to w.
func Encode(w io.Writer, f Format, c *Comparison) error {
	var err error
	switch f {
	case Markdown:
		err = asMarkdown(w, c)
	case JSON:
		err = document(w, c)
	case JSONL:
		err = lines(w, c)
	case Benchfmt:
		err = benchmarks(w, c)
	case Parquet:
		err = bursts(w, c)
	case HTML:
		err = page(w, c)
	case PullRequest:
		err = comment(w, c)
	default:
		return fmt.Errorf("unknown format %q", f)
	}
	if err != nil {
		return fmt.Errorf("write comparison as %s: %w", f, err)
	}
	return nil
}
