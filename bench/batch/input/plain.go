package input

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"

	"stepbench/bench/batch"
)

// promptKind is what a row's prompt is written as.
type promptKind int

const (
	promptText promptKind = iota
	promptMessages
	promptTokens
)

// columns are the names of a row's parts; empty ones are not there.
type columns struct {
	prompt                                string
	kind                                  promptKind
	id, reference, options, answer, group string
}

// automatic are the columns looked for if none is named.
var automatic = []struct {
	name string
	kind promptKind
}{{"messages", promptMessages}, {"prompt", promptText}, {"text", promptText}, {"tokens", promptTokens}}

// chooseColumns finds the columns. has is nil if nothing tells what a file
// has; names are for the message.
func chooseColumns(o *Options, has func(string) bool, names []string) (columns, error) {
	c := columns{id: o.IDColumn, reference: o.ReferenceColumn, options: o.OptionsColumn, answer: o.AnswerColumn, group: o.GroupColumn}
	switch {
	case o.PromptColumn != "":
		c.prompt, c.kind = o.PromptColumn, promptText
	case o.MessagesColumn != "":
		c.prompt, c.kind = o.MessagesColumn, promptMessages
	case o.TokensColumn != "":
		c.prompt, c.kind = o.TokensColumn, promptTokens
	}
	if has == nil {
		if c.prompt == "" {
			c.prompt = "prompt"
		}
		if c.id == "" {
			c.id = "id"
		}
		return c, nil
	}
	for _, a := range automatic {
		if c.prompt == "" && has(a.name) {
			c.prompt, c.kind = a.name, a.kind
		}
	}
	if c.prompt == "" {
		return c, atField("", "none of the columns messages, prompt, text, tokens is there; it has %s: name the one to use", listed(names))
	}
	for _, name := range []string{c.prompt, c.id, c.reference, c.options, c.answer, c.group} {
		if name != "" && !has(name) {
			return c, atField("", "no column %s; it has %s", name, listed(names))
		}
	}
	if c.id == "" && has("id") {
		c.id = "id"
	}
	return c, nil
}

// usePlain makes rows of a file's columns.
func (f *file) usePlain(o *Options, has func(string) bool, names []string) (columns, error) {
	c, err := chooseColumns(o, has, names)
	f.idField = c.id
	f.build = c.row
	return c, err
}

func (c *columns) row(o object, row *batch.Row) (err error) {
	if c.id != "" && o.has(c.id) {
		if row.ID, err = o.word(c.id); err != nil {
			return err
		}
	}
	if !o.has(c.prompt) {
		return o.missing(c.prompt)
	}
	switch raw := o[c.prompt]; c.kind {
	case promptMessages:
		row.Messages, err = messagesOf(c.prompt, raw)
	case promptTokens:
		row.Tokens, err = tokensOf(c.prompt, raw)
	default:
		row.Text, err = promptOf(c.prompt, raw)
	}
	if err != nil {
		return err
	}
	return c.expected(o, row)
}

func promptOf(field string, raw json.RawMessage) (string, error) {
	s, err := textOf(field, raw)
	if err == nil && s == "" {
		err = atField(field, "is empty")
	}
	return s, err
}

const maxTokens = 1 << 24 // of one prompt

func tokensOf(field string, raw json.RawMessage) ([]int32, error) {
	var ids []int64
	if raw[0] != '[' || json.Unmarshal(raw, &ids) != nil || bytes.Contains(raw, []byte("null")) {
		return nil, atField(field, "%s is not a list of token ids", shown(raw))
	}
	switch {
	case len(ids) == 0:
		return nil, atField(field, "is empty")
	case len(ids) > maxTokens:
		return nil, atField(field, "%d token ids: the most is %d", len(ids), maxTokens)
	}
	out := make([]int32, len(ids))
	for i, id := range ids {
		if id < 0 || id > math.MaxInt32 {
			return nil, atField(field, "%d at position %d is no token id", id, i+1)
		}
		out[i] = int32(id)
	}
	return out, nil
}

// expected reads what the answer is compared with.
func (c *columns) expected(o object, row *batch.Row) (err error) {
	if c.group != "" && o.has(c.group) {
		if row.Group, err = o.word(c.group); err != nil {
			return err
		}
	}
	if c.reference != "" {
		if err := c.compareWith(o, row); err != nil {
			return err
		}
	}
	if c.options == "" {
		return nil
	}
	if row.Options, err = optionsOf(o, c.options); err != nil {
		return err
	}
	if c.answer != "" && o.has(c.answer) {
		row.Answer, err = answerOf(c.answer, o[c.answer], row.Options)
	}
	return err
}

// compareWith reads the reference. A null means that there is none; a list or
// an object, such as a JSON schema, is kept as it is written.
func (c *columns) compareWith(o object, row *batch.Row) (err error) {
	raw, ok := o[c.reference]
	switch {
	case !ok:
		return o.missing(c.reference)
	case isNull(raw):
		return nil
	case raw[0] == '[' || raw[0] == '{':
		row.Reference = string(raw)
	default:
		row.Reference, err = o.word(c.reference)
	}
	row.HasReference = err == nil
	return err
}

func optionsOf(o object, field string) ([]string, error) {
	if !o.has(field) {
		return nil, o.missing(field)
	}
	var raw []json.RawMessage
	if json.Unmarshal(o[field], &raw) != nil {
		return nil, atField(field, "%s is not a list of texts", shown(o[field]))
	}
	if len(raw) < 2 {
		return nil, atField(field, "%d options: a choice needs at least 2", len(raw))
	}
	out := make([]string, len(raw))
	for i, r := range raw {
		if isNull(r) || json.Unmarshal(r, &out[i]) != nil || out[i] == "" {
			return nil, atField(field, "option %d is not a text with at least one character", i+1)
		}
	}
	return out, nil
}

// answerOf reads which option is right: a number from 0, an option's text, or
// its letter from A. A number as text is none of these: data sets disagree
// whether "1" is the first or the second.
func answerOf(field string, raw json.RawMessage, options []string) (int, error) {
	var n int
	if json.Unmarshal(raw, &n) == nil {
		if n < 0 || n >= len(options) {
			return -1, atField(field, "%d is not from 0 to %d, the numbers of the options", n, len(options)-1)
		}
		return n, nil
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if at := slices.Index(options, s); at >= 0 {
			return at, nil
		}
		if len(s) == 1 && s[0] >= 'A' && int(s[0]-'A') < len(options) {
			return int(s[0] - 'A'), nil
		}
	}
	return -1, atField(field, "%s is neither the number of an option from 0, nor its text, nor its letter", shown(raw))
}
