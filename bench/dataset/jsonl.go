package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// jsonLines reads a JSON object a line.
type jsonLines struct {
	*lines
	row func(object) (Row, error)
}

func (j *jsonLines) next() (Row, error) {
	line, err := j.lines.next()
	if err != nil {
		return Row{}, err
	}
	o, err := parseObject(line)
	if err != nil {
		return Row{}, err
	}
	return j.row(o)
}

// object is a JSON object whose values are still text. Keys count exactly,
// where encoding/json would accept another case.
type object map[string]json.RawMessage

func parseObject(text []byte) (object, error) {
	var o object
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if o == nil {
		return nil, errors.New("not a JSON object: null")
	}
	return o, nil
}

func (o object) has(field string) bool {
	raw, ok := o[field]
	return ok && !bytes.Equal(raw, []byte("null"))
}

// missing is the error for a field that must be there.
func (o object) missing(field string) error {
	keys := slices.Sorted(maps.Keys(o))
	if len(keys) > 8 {
		keys = append(keys[:8], "…")
	}
	return atField(field, "is missing; the object has %s", strings.ToValidUTF8(strings.Join(keys, ", "), "?"))
}

func (o object) text(field string) (string, error) {
	if !o.has(field) {
		return "", o.missing(field)
	}
	if err := validText(field, o[field]); err != nil {
		return "", err
	}
	var s string
	if err := json.Unmarshal(o[field], &s); err != nil {
		return "", atField(field, "is not text")
	}
	return s, nil
}

func (o object) count(field string, least int) (int, error) {
	if !o.has(field) {
		return 0, o.missing(field)
	}
	return parseCount(field, string(o[field]), least)
}

// c4Row reads the schema of C4 as allenai/c4 publishes it: text, timestamp and
// url, of which only text is used.
func c4Row(o object) (Row, error) {
	text, err := o.text("text")
	if err != nil {
		return Row{}, err
	}
	for _, field := range []string{"timestamp", "url"} {
		if o.has(field) {
			if _, err := o.text(field); err != nil {
				return Row{}, err
			}
		}
	}
	return Row{Text: text, LeftOut: emptyText(text)}, nil
}

func emptyText(text string) string {
	if text == "" {
		return "empty text"
	}
	return ""
}

// promptRow reads a prompt or its token_ids, and output_tokens if it is there.
func promptRow(o object) (row Row, err error) {
	switch prompt, ids := o.has("prompt"), o.has("token_ids"); {
	case prompt && ids:
		return row, atField("token_ids", "prompt is given too: leave one out")
	case ids:
		row.Tokens, err = o.ids("token_ids")
	default:
		row.Text, err = o.text("prompt")
		row.LeftOut = emptyText(row.Text)
	}
	if err == nil && o.has("output_tokens") {
		row.OutputTokens, err = o.count("output_tokens", 1)
	}
	return row, err
}

func (o object) ids(field string) ([]int32, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(o[field], &raw); err != nil {
		return nil, atField(field, "is not a list of token ids")
	}
	ids := make([]int32, len(raw))
	for i, text := range raw {
		n, err := parseInteger(field, i, text)
		if err != nil {
			return nil, err
		}
		if n < 0 || n > math.MaxInt32 {
			return nil, atField(field, "id %d at position %d is not a token id", n, i+1)
		}
		ids[i] = int32(n)
	}
	return ids, checkIDs(field, len(ids))
}

func checkIDs(field string, n int) error {
	if n == 0 {
		return atField(field, "is empty")
	}
	if n > maxTokens {
		return atField(field, "%d token ids: the most is %d", n, maxTokens)
	}
	return nil
}

func parseInteger(field string, i int, text json.RawMessage) (int64, error) {
	var n int64
	if err := json.Unmarshal(text, &n); err != nil || string(text) == "null" {
		return 0, atField(field, "%s at position %d is not a whole number", clip(string(text)), i+1)
	}
	return n, nil
}

// BlockTokens is the size of the blocks that Mooncake's hash_ids name.
const BlockTokens = 512

// mooncakeRow reads the schema of the Mooncake traces: timestamp in ms from the
// start, input_length, output_length, and hash_ids, equal for equal blocks of
// 512 tokens of the prompt (FAST25-release of kvcache-ai/Mooncake).
func mooncakeRow(o object) (row Row, err error) {
	if !o.has("timestamp") {
		return row, o.missing("timestamp")
	}
	if row.AtNs, err = parseTime("timestamp", string(o["timestamp"]), 1e6); err != nil {
		return row, err
	}
	if row.InputTokens, err = o.count("input_length", 0); err != nil {
		return row, err
	}
	if row.OutputTokens, err = o.count("output_length", 0); err != nil {
		return row, err
	}
	row.LeftOut = emptyRequest(row.InputTokens, row.OutputTokens)
	if !o.has("hash_ids") {
		return row, nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(o["hash_ids"], &raw); err != nil {
		return row, atField("hash_ids", "is not a list of block ids")
	}
	if want := (row.InputTokens + BlockTokens - 1) / BlockTokens; len(raw) < want {
		return row, atField("hash_ids", "%d blocks of %d tokens cannot hold input_length %d", len(raw), BlockTokens, row.InputTokens)
	}
	for i, text := range raw {
		id, err := parseInteger("hash_ids", i, text)
		if err != nil {
			return row, err
		}
		row.Blocks = append(row.Blocks, id)
	}
	return row, nil
}

// noOutput marks requests of a trace that failed or were cut off.
const noOutput = "no output tokens"

// emptyRequest is why a row of a trace is no request, empty if it is one.
func emptyRequest(input, output int) string {
	switch {
	case input == 0:
		return "no input tokens"
	case output == 0:
		return noOutput
	}
	return ""
}
