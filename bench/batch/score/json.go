package score

import (
	"encoding/json"
	"io"
)

// SchemaVersion is that of the JSON documents.
const SchemaVersion = 1

// header opens a document. method tells what computed it.
type header struct {
	SchemaVersion int    `json:"schema_version"`
	Method        string `json:"method"`
	Line          string `json:"line"`
}

// JSON writes the summary as one object.
func (s *Summary) JSON(w io.Writer) error {
	return document(w, struct {
		header
		*Summary
	}{header{SchemaVersion, "batch-summary", s.Line()}, s})
}

// JSON writes the comparison as one object.
func (c *Comparison) JSON(w io.Writer) error {
	return document(w, struct {
		header
		*Comparison
	}{header{SchemaVersion, "batch-comparison", c.Line()}, c})
}

func document(w io.Writer, of any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // texts of models
	e.SetIndent("", "  ")
	return e.Encode(of)
}
