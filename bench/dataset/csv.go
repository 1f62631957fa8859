package dataset

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// traceColumns are the columns of a trace and how its times are written.
type traceColumns struct {
	at, input, output string
	// parseAt gives the time in ns, from wherever the trace counts.
	parseAt func(field, text string) (int64, error)
	// fromFirst makes times count from the first row's.
	fromFirst bool
}

// azureColumns are those of the Azure LLM inference traces of 2023 and 2024
// (Azure/AzurePublicDataset): wall-clock times with and without a zone.
func azureColumns() traceColumns {
	return traceColumns{at: "TIMESTAMP", input: "ContextTokens", output: "GeneratedTokens", parseAt: parseWallClock, fromFirst: true}
}

// burstGPTColumns are those of BurstGPT (HPMLL/BurstGPT): seconds from the
// first day. A response of 0 tokens is a failed request.
func burstGPTColumns() traceColumns {
	return traceColumns{at: "Timestamp", input: "Request tokens", output: "Response tokens",
		parseAt: func(field, text string) (int64, error) { return parseTime(field, text, 1e9) }}
}

func parseWallClock(field, text string) (int64, error) {
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			if t.Year() < 1970 || t.Year() > 2200 {
				return 0, atField(field, "%s is not in this age", clip(text))
			}
			return t.UnixNano(), nil
		}
	}
	return 0, atField(field, "%s is not a time as 2023-11-16 18:15:46.6805900", clip(text))
}

// traceCSV reads a trace with a header. A record is a line: none of these
// traces has line breaks inside a field, and so every record is bounded.
type traceCSV struct {
	*lines
	columns           traceColumns
	width             int
	at, input, output int
	started           bool
	firstNs           int64
}

func newTraceCSV(r io.Reader, columns traceColumns) (parser, error) {
	t := &traceCSV{lines: newLines(r), columns: columns}
	header, err := t.record()
	if err == io.EOF {
		return nil, fmt.Errorf("is empty: a header with %s, %s and %s is needed", columns.at, columns.input, columns.output)
	}
	if err != nil {
		return nil, err
	}
	t.width = len(header)
	for _, c := range []struct {
		name string
		at   *int
	}{{columns.at, &t.at}, {columns.input, &t.input}, {columns.output, &t.output}} {
		if *c.at = slices.Index(header, c.name); *c.at < 0 {
			return nil, atField(c.name, "no such column; the header has %s", strings.ToValidUTF8(strings.Join(header, ", "), "?"))
		}
	}
	return &ordered{parser: t, field: columns.at}, nil
}

// record gives the fields of the next line.
func (t *traceCSV) record() ([]string, error) {
	line, err := t.lines.next()
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(line))
	r.FieldsPerRecord = -1
	fields, err := r.Read()
	if err != nil {
		if parse, ok := err.(*csv.ParseError); ok {
			err = parse.Err // its line is that of this one-line text
		}
		return nil, fmt.Errorf("not CSV: %w", err)
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, nil
}

func (t *traceCSV) next() (row Row, err error) {
	fields, err := t.record()
	if err != nil {
		return row, err
	}
	if len(fields) != t.width {
		return row, fmt.Errorf("%d fields, the header has %d", len(fields), t.width)
	}
	err = cmp.Or(validText(t.columns.at, []byte(fields[t.at])),
		validText(t.columns.input, []byte(fields[t.input])), validText(t.columns.output, []byte(fields[t.output])))
	if err != nil {
		return row, err
	}
	at, err := t.columns.parseAt(t.columns.at, fields[t.at])
	if err != nil {
		return row, err
	}
	if !t.started && t.columns.fromFirst {
		t.firstNs = at
	}
	t.started = true
	row.AtNs = at - t.firstNs
	if row.InputTokens, err = parseCount(t.columns.input, fields[t.input], 0); err != nil {
		return row, err
	}
	if row.OutputTokens, err = parseCount(t.columns.output, fields[t.output], 0); err != nil {
		return row, err
	}
	row.LeftOut = emptyRequest(row.InputTokens, row.OutputTokens)
	return row, nil
}
