package input

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"stepbench/bench/batch"
)

// Endpoints of OpenAI Batch that a row may ask for.
const (
	chatEndpoint       = "/v1/chat/completions"
	completionEndpoint = "/v1/completions"
)

// useOpenAI makes rows of OpenAI Batch lines. Columns for scores stand beside
// custom_id.
func (f *file) useOpenAI(o *Options, has func(string) bool, names []string) error {
	if o.PromptColumn+o.MessagesColumn+o.TokensColumn != "" {
		return errors.New("it is an OpenAI Batch file, whose prompts are in body: leave the prompt's column out, or give its format as jsonl")
	}
	c := columns{reference: o.ReferenceColumn, options: o.OptionsColumn, answer: o.AnswerColumn, group: o.GroupColumn}
	for _, name := range []string{c.reference, c.options, c.answer, c.group} {
		if name != "" && has != nil && !has(name) {
			return atField("", "no field %s beside custom_id; its rows have %s", name, listed(names))
		}
	}
	f.idField = "custom_id"
	f.build = func(o object, row *batch.Row) error { return openAIRow(o, row, &c) }
	return nil
}

func openAIRow(o object, row *batch.Row, c *columns) (err error) {
	if row.ID, err = o.text("custom_id"); err != nil {
		return err
	}
	if row.ID == "" {
		return atField("custom_id", "is empty")
	}
	if row.Endpoint, err = o.text("url"); err != nil {
		return err
	}
	if row.Endpoint != chatEndpoint && row.Endpoint != completionEndpoint {
		url := row.Endpoint
		row.Endpoint = ""
		return atField("url", "%s is not supported: %s and %s are", clip(url), chatEndpoint, completionEndpoint)
	}
	if o.has("method") && !strings.EqualFold(string(o["method"]), `"POST"`) {
		return atField("method", "%s is not POST", shown(o["method"]))
	}
	if !o.has("body") {
		return o.missing("body")
	}
	var b object
	if json.Unmarshal(o["body"], &b) != nil {
		return atField("body", "is not an object")
	}
	if err := promptInBody(b, row); err != nil {
		return err
	}
	if err := applyBody(b, row); err != nil {
		return err
	}
	return c.expected(o, row)
}

// promptInBody reads messages or prompt, by the endpoint.
func promptInBody(b object, row *batch.Row) (err error) {
	name, other := "messages", "prompt"
	if row.Endpoint == completionEndpoint {
		name, other = other, name
	}
	if !b.has(name) {
		return atField("body."+name, "is missing; body has %s", listed(slices.Collect(maps.Keys(b))))
	}
	if b.has(other) {
		return atField("body."+other, "is not a field of %s", row.Endpoint)
	}
	raw, field := b[name], "body."+name
	switch {
	case name == "messages" && raw[0] == '"':
		return atField(field, "%s is not a list of messages", shown(raw))
	case name == "messages":
		row.Messages, err = messagesOf(field, raw)
	case raw[0] == '[':
		row.Text, row.Tokens, err = promptList(field, raw)
	default:
		row.Text, err = promptOf(field, raw)
	}
	return err
}

// promptList reads token ids, or a list of a single text.
func promptList(field string, raw json.RawMessage) (string, []int32, error) {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || len(items) == 0 {
		return "", nil, atField(field, "is an empty list")
	}
	switch first := items[0][0]; {
	case (first == '"' || first == '[') && len(items) > 1:
		return "", nil, atField(field, "%d prompts: give one prompt a row", len(items))
	case first == '"':
		text, err := promptOf(field, items[0])
		return text, nil, err
	case first == '[':
		raw = items[0]
	}
	ids, err := tokensOf(field, raw)
	return "", ids, err
}
