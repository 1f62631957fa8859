package input

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// roles are those that chat templates know.
var roles = []string{"system", "developer", "user", "assistant", "tool"}

// messagesOf checks a chat. A text may hold it as JSON, as columns of Parquet
// files do. Text parts of a content become one text with line breaks between
// them, as vLLM renders them for templates that take texts.
func messagesOf(field string, raw json.RawMessage) (json.RawMessage, error) {
	if raw[0] == '"' {
		s, err := textOf(field, raw)
		if err != nil {
			return nil, err
		}
		raw = json.RawMessage(strings.TrimSpace(s))
		if _, bad := loneSurrogate(raw); bad {
			return nil, atField(field, "half of a surrogate pair, no character")
		}
	}
	var list []object
	if json.Unmarshal(raw, &list) != nil || len(raw) == 0 || raw[0] != '[' {
		return nil, atField(field, "%s is not a list of messages", shown(raw))
	}
	if len(list) == 0 {
		return nil, atField(field, "is empty")
	}
	rewritten := false
	for i, m := range list {
		changed, err := checkMessage(fmt.Sprintf("%s[%d]", field, i), m)
		if err != nil {
			return nil, err
		}
		rewritten = rewritten || changed
	}
	if !rewritten {
		return raw, nil
	}
	return json.Marshal(list)
}

// checkMessage says whether it changed m.
func checkMessage(field string, m object) (changed bool, err error) {
	if m == nil {
		return false, atField(field, "is not a message")
	}
	if !m.has("role") {
		return false, atField(field+".role", "is missing")
	}
	role, err := textOf(field+".role", m["role"])
	if err != nil {
		return false, err
	}
	if !slices.Contains(roles, role) {
		return false, atField(field+".role", "unknown role %s: one of %s is known", clip(role), strings.Join(roles, ", "))
	}
	for _, unable := range []string{"tool_calls", "function_call", "audio"} {
		if !neutral(m[unable]) {
			return false, atField(field+"."+unable, "is not supported: only text is")
		}
	}
	if !m.has("content") {
		return false, atField(field+".content", "is missing")
	}
	if m["content"][0] != '[' {
		_, err := textOf(field+".content", m["content"])
		return false, err
	}
	text, err := joinParts(field+".content", m["content"])
	if err != nil {
		return false, err
	}
	m["content"], err = json.Marshal(text)
	return true, err
}

func joinParts(field string, raw json.RawMessage) (string, error) {
	var parts []object
	if json.Unmarshal(raw, &parts) != nil || len(parts) == 0 {
		return "", atField(field, "%s is not a list of text parts", shown(raw))
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		at := fmt.Sprintf("%s[%d]", field, i)
		if p.has("type") && string(p["type"]) != `"text"` {
			return "", atField(at+".type", "%s is not supported: only text is", shown(p["type"]))
		}
		if !p.has("text") {
			return "", atField(at+".text", "is missing")
		}
		var err error
		if texts[i], err = textOf(at+".text", p["text"]); err != nil {
			return "", err
		}
	}
	return strings.Join(texts, "\n"), nil
}

// neutral says that a value asks for nothing.
func neutral(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "false", `""`, "[]", "{}":
		return true
	}
	return false
}
