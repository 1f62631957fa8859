package suitereport

import (
	"encoding/json"
	"fmt"
	"io"

	"stepbench/bench/analysis"
)

// Format is a form in which an analysis goes to stdout.
type Format string

const (
	FormatMarkdown Format = "md"
	FormatHTML     Format = "html"
	FormatJSON     Format = "json"     // the analysis itself
	FormatCSV      Format = "csv"      // a line for each configuration
	FormatBenchfmt Format = "benchfmt" // for benchstat
	FormatVLLM     Format = "vllm"     // a line of JSON for each configuration, with vLLM's keys
)

// Formats that there are.
func Formats() []Format {
	return []Format{FormatMarkdown, FormatHTML, FormatJSON, FormatCSV, FormatBenchfmt, FormatVLLM}
}

// Encode writes analyses one after the other in the given format; CSV has one
// head for all.
func Encode(w io.Writer, f Format, all ...*analysis.Analysis) error {
	if f == FormatHTML && len(all) != 1 {
		return fmt.Errorf("html is one page of one suite, not of %d", len(all))
	}
	for i, a := range all {
		if err := encode(w, f, a, i == 0); err != nil {
			return err
		}
	}
	return nil
}

func encode(w io.Writer, f Format, a *analysis.Analysis, first bool) error {
	switch f {
	case FormatMarkdown:
		_, err := io.WriteString(w, Markdown(a))
		return err
	case FormatHTML:
		return HTML(w, a)
	case FormatJSON:
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(a)
	case FormatCSV:
		return csvLines(w, a, first)
	case FormatBenchfmt:
		return benchmarks(w, a)
	case FormatVLLM:
		return vllmLines(w, a)
	}
	return fmt.Errorf("no format %q", f)
}
