// Package encode writes the results of step measurements in the formats that
// people and programs read. It computes nothing but units.
package encode

import (
	"fmt"
	"io"

	"stepbench/bench/micro"
)

// Format is the name of an encoding, as a user gives it.
type Format string

const (
	Markdown Format = "md"       // tables for people
	CSV      Format = "csv"      // a row per cell
	JSON     Format = "json"     // everything but single steps, one document
	JSONL    Format = "jsonl"    // an object per cell
	Benchfmt Format = "benchfmt" // Go benchmark format, a line per round
	Parquet  Format = "parquet"  // a row per cell; single steps are [Steps]
)

// Formats are all formats.
func Formats() []Format { return []Format{Markdown, CSV, JSON, JSONL, Benchfmt, Parquet} }

// Encode writes res to w.
func Encode(w io.Writer, f Format, res *micro.Results) error {
	var err error
	switch f {
	case Markdown:
		err = writeMarkdown(w, res)
	case CSV:
		err = table(w, res)
	case JSON:
		err = document(w, res)
	case JSONL:
		err = lines(w, res)
	case Benchfmt:
		err = benchmarks(w, res)
	case Parquet:
		err = cells(w, res)
	default:
		return fmt.Errorf("unknown format %q", f)
	}
	if err != nil {
		return fmt.Errorf("write results as %s: %w", f, err)
	}
	return nil
}
