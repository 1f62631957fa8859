package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// problem is what is wrong with a row: it becomes the row's error, where any
// other error ends reading.
type problem struct {
	field, message string
}

// Error names the field.
func (p *problem) Error() string {
	if p.field == "" {
		return p.message
	}
	return p.field + ": " + p.message
}

func atField(field, format string, args ...any) error {
	return &problem{field, fmt.Sprintf(format, args...)}
}

// object is a JSON object whose values are still text. Keys count exactly,
// where encoding/json would accept another case. A null counts as missing.
type object map[string]json.RawMessage

// parseObject reads one line. What encoding/json would replace silently (bytes
// that are not UTF-8, halves of surrogate pairs) is refused: a model would be
// asked something else than the file says.
func parseObject(text []byte) (object, error) {
	if at, bad := badUTF8(text); bad {
		return nil, atField("", "byte %d of the line is not UTF-8", at+1)
	}
	var o object
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, notJSON(text, err)
	}
	if o == nil {
		return nil, atField("", "not a JSON object: null")
	}
	if at, bad := loneSurrogate(text); bad {
		return nil, atField("", "byte %d of the line: %s is half of a surrogate pair, no character", at+1, text[at:at+6])
	}
	return o, nil
}

func badUTF8(text []byte) (int, bool) {
	if utf8.Valid(text) {
		return 0, false
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size <= 1 {
			return at, true
		}
		at += size
	}
}

var keyBefore = regexp.MustCompile(`"([^"\\]*)"\s*:\s*-?$`)

// notJSON explains what encoding/json says. NaN and Infinity, which Python
// writes and JSON has not, are named with their field.
func notJSON(text []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset < 1 {
		return atField("", "not a JSON object")
	}
	at := int(min(syntax.Offset, int64(len(text)))) - 1
	for _, word := range []string{"NaN", "Infinity"} {
		if bytes.HasPrefix(text[at:], []byte(word)) {
			field := ""
			if m := keyBefore.FindSubmatch(text[max(0, at-200):at]); m != nil {
				field = string(m[1])
			}
			return atField(field, "%s is no number of JSON", word)
		}
	}
	return atField("", "not JSON: %v at byte %d", err, syntax.Offset)
}

// loneSurrogate finds an escape \uD800 to \uDFFF without its other half.
func loneSurrogate(text []byte) (int, bool) {
	if !bytes.Contains(text, []byte(`\uD`)) && !bytes.Contains(text, []byte(`\ud`)) {
		return 0, false
	}
	for at := 0; at < len(text); at++ {
		if text[at] != '\\' {
			continue
		}
		first := escapedUnit(text[at:])
		switch {
		case first < 0:
			at++ // the character escaped, which may be a backslash
		case first < 0xD800 || first > 0xDFFF:
			at += 5
		case first < 0xDC00 && escapedUnit(text[at+6:]) >= 0xDC00 && escapedUnit(text[at+6:]) <= 0xDFFF:
			at += 11
		default:
			return at, true
		}
	}
	return 0, false
}

// escapedUnit is the number of an escape \uXXXX at the beginning of text, -1
// if there is none.
func escapedUnit(text []byte) int {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(n)
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func (o object) has(field string) bool { return !isNull(o[field]) }

// missing is the error for a field that must be there.
func (o object) missing(field string) error {
	if _, ok := o[field]; ok {
		return atField(field, "is null")
	}
	return atField(field, "is missing; the row has %s", listed(slices.Collect(maps.Keys(o))))
}

// listed joins names, the first of many.
func listed(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	slices.Sort(names)
	if len(names) > 12 {
		names = append(names[:12:12], "…")
	}
	return strings.ToValidUTF8(strings.Join(names, ", "), "?")
}

// text reads a string.
func (o object) text(field string) (string, error) {
	if !o.has(field) {
		return "", o.missing(field)
	}
	return textOf(field, o[field])
}

func textOf(field string, raw json.RawMessage) (string, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", atField(field, "%s is not a text", shown(raw))
	}
	return s, nil
}

// word reads a string, or a number or boolean as it is written, such as an id.
func (o object) word(field string) (string, error) {
	if !o.has(field) {
		return "", o.missing(field)
	}
	switch raw := o[field]; raw[0] {
	case '{', '[':
		return "", atField(field, "%s is not a text or number", shown(raw))
	case '"':
		return textOf(field, raw)
	default:
		return string(raw), nil
	}
}

const mostShown = 40 // bytes of a value in a message

// clip quotes text for a message, its beginning if it is long.
func clip(text string) string {
	if len(text) > mostShown {
		return strconv.Quote(strings.ToValidUTF8(text[:mostShown], "")) + "…"
	}
	return strconv.Quote(text)
}

// shown is JSON for a message, its beginning if it is long.
func shown(raw json.RawMessage) string {
	if len(raw) > mostShown {
		return strings.ToValidUTF8(string(raw[:mostShown]), "") + "…"
	}
	return string(raw)
}
