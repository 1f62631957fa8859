package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

// Bounds of what a file may hold. The longest document of C4 has some 1 MB; a
// longer line is not one of these formats, and reading on would fill memory.
const (
	maxRecordBytes = 16 << 20
	maxTokens      = 1 << 24                // of one prompt or output
	maxTraceNs     = 10 * 366 * 24 * 3600e9 // ten years
)

var errTooLong = fmt.Errorf("is longer than %d MiB", maxRecordBytes>>20)

// lines gives the lines of a text that are not blank, each of bounded length.
type lines struct {
	scanner *bufio.Scanner
	number  int64 // of the last line given, from 1
}

func newLines(r io.Reader) *lines {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxRecordBytes)
	return &lines{scanner: s}
}

// next gives a line, valid until the next call.
func (l *lines) next() ([]byte, error) {
	for l.scanner.Scan() {
		l.number++
		line := l.scanner.Bytes()
		if l.number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(bytes.TrimSpace(line)) > 0 {
			return line, nil
		}
	}
	err := l.scanner.Err()
	if err == nil {
		return nil, io.EOF
	}
	l.number++
	if errors.Is(err, bufio.ErrTooLong) {
		return nil, errTooLong
	}
	return nil, err
}

func (l *lines) place() (string, int64) { return "line", l.number }

// validText refuses what is not UTF-8: encoding/json would replace it silently.
func validText(field string, text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return atField(field, "byte %d of it is not UTF-8", at+1)
}

// parseCount reads a number of tokens.
func parseCount(field, text string, least int) (int, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return 0, atField(field, "%s is not a whole number of tokens", clip(text))
	case n < 0:
		return 0, atField(field, "%d is negative", n)
	case n < int64(least):
		return 0, atField(field, "%d: at least %d token is needed", n, least)
	case n > maxTokens:
		return 0, atField(field, "%d tokens: the most is %d", n, maxTokens)
	}
	return int(n), nil
}

// parseTime reads a time in units of unitNs.
func parseTime(field, text string, unitNs float64) (int64, error) {
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsNaN(v):
		return 0, atField(field, "%s is not a time", clip(text))
	case v < 0:
		return 0, atField(field, "%s is negative", clip(text))
	case v*unitNs > maxTraceNs:
		return 0, atField(field, "%s is more than ten years", clip(text))
	}
	return int64(math.Round(v * unitNs)), nil
}

// clip quotes text for a message, its beginning if it is long.
func clip(text string) string {
	const most = 40
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}
