package build

import "strings"

// token is a piece of C++ text. Comments are left out.
type token struct {
	kind tokenKind
	text string // of a string literal: its value; of a directive: all its lines
	line int
}

type tokenKind int

const (
	word      tokenKind = iota // identifier or number
	literal                    // string literal
	mark                       // one character of punctuation; "::" is one mark
	directive                  // "#if ..." with its continuation lines
)

// lex splits C++ text as far as registrations need it. It never fails: text that
// is no C++ gives tokens that no one asks for.
func lex(text string) []token {
	var tokens []token
	line, lineStart := 1, true
	for i := 0; i < len(text); {
		c := text[i]
		rest := text[i:]
		switch {
		case c == '\n':
			line++
			lineStart = true
			i++
			continue
		case c == ' ' || c == '\t' || c == '\r':
			i++
			continue
		case strings.HasPrefix(rest, "//"):
			i += lengthUntil(rest, "\n")
			continue
		case strings.HasPrefix(rest, "/*"):
			n := lengthThrough(rest, "*/")
			line += strings.Count(rest[:n], "\n")
			i += n
			continue
		case c == '#' && lineStart:
			n := directiveLength(rest)
			tokens = append(tokens, token{directive, strings.TrimRight(rest[:n], " \t\r\n"), line})
			line += strings.Count(rest[:n], "\n")
			i += n
			continue
		case c == '"':
			n := literalLength(rest, '"')
			tokens = append(tokens, token{literal, unquote(rest[:n]), line})
			line += strings.Count(rest[:n], "\n")
			i += n
		case c == '\'':
			i += literalLength(rest, '\'')
		case isWord(c):
			n := 1
			for n < len(rest) && isWord(rest[n]) {
				n++
			}
			tokens = append(tokens, token{word, rest[:n], line})
			i += n
		case strings.HasPrefix(rest, "::"):
			tokens = append(tokens, token{mark, "::", line})
			i += 2
		default:
			tokens = append(tokens, token{mark, string(c), line})
			i++
		}
		lineStart = false
	}
	return tokens
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func lengthUntil(text, end string) int {
	if n := strings.Index(text, end); n >= 0 {
		return n
	}
	return len(text)
}

func lengthThrough(text, end string) int {
	return min(lengthUntil(text, end)+len(end), len(text))
}

// directiveLength counts the lines that a backslash at the end joins.
func directiveLength(text string) int {
	n := 0
	for {
		line := lengthUntil(text[n:], "\n")
		end := n + line
		joined := strings.HasSuffix(strings.TrimRight(text[n:end], " \t\r"), `\`)
		n = min(end+1, len(text))
		if !joined || n == len(text) {
			return n
		}
	}
}

// literalLength ends at the closing quote, or at the line's end without one.
func literalLength(text string, quote byte) int {
	for n := 1; n < len(text); n++ {
		switch text[n] {
		case '\\':
			n++
		case '\n':
			return n
		case quote:
			return n + 1
		}
	}
	return len(text)
}

func unquote(text string) string {
	text = strings.TrimPrefix(text, `"`)
	text = strings.TrimSuffix(text, `"`)
	return strings.ReplaceAll(text, `\"`, `"`)
}
