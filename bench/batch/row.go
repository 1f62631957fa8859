package batch

import (
	"encoding/json"
	"fmt"

	"stepbench/engine"
)

// Row is one request of the input. Exactly one of Messages, Text and Tokens is
// set, unless Err says why the row cannot run.
type Row struct {
	// Index counts the rows of all inputs in their order, from 0, whatever is
	// wrong with them: it is the row's identity in a run.
	Index int64
	Place Place
	// ID is the row's custom_id or id, or "row-" and Index.
	ID string
	// Endpoint is the url of an OpenAI Batch row, else empty.
	Endpoint string

	Messages json.RawMessage // of a chat, as the model's template takes them
	Text     string
	Tokens   []int32

	Sampling engine.Sampling
	N        int // completions asked for; 0 means 1

	Reference string   // what the answer is compared with, if HasReference
	Options   []string // of a multiple choice: scored by log-likelihood, not generated
	Answer    int      // index of the right option, -1 if not known
	Group     string   // whose scores are also given apart

	HasReference bool
	Err          *RowError
}

// Place is where a row stands.
type Place struct {
	File string `json:"file"`
	// Line of a text, or number of a Parquet row, both from 1.
	Line int64 `json:"line"`
}

// RowError is what is wrong with one row. It never ends a run.
type RowError struct {
	Place
	Field   string `json:"field,omitempty"` // "body.messages[1].role"
	Message string `json:"message"`
}

// Error names file, line and field.
func (e *RowError) Error() string {
	at := fmt.Sprintf("%s:%d", e.File, e.Line)
	if e.Field != "" {
		at += ": " + e.Field
	}
	return at + ": " + e.Message
}
