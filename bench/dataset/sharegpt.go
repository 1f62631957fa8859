package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// shareGPT reads a JSON array of conversations, each an object whose field
// conversations lists turns with from and value. The first turn is the prompt,
// and the length of the second that of the output, as in vLLM's own benchmark.
type shareGPT struct {
	in      *budget
	decoder *json.Decoder
	line    int64 // where the last conversation started
	started bool
}

func newShareGPT(r io.Reader) *shareGPT {
	in := &budget{r: r, left: maxRecordBytes}
	return &shareGPT{in: in, decoder: json.NewDecoder(in), line: 1}
}

func (s *shareGPT) place() (string, int64) { return "line", s.line }

func (s *shareGPT) next() (Row, error) {
	if !s.started {
		token, err := s.decoder.Token()
		if err != nil || token != json.Delim('[') {
			return Row{}, s.broken(err, "not a JSON array of conversations")
		}
		s.started = true
	}
	s.in.left = maxRecordBytes
	if !s.decoder.More() {
		return Row{}, s.end()
	}
	var raw json.RawMessage
	if err := s.decoder.Decode(&raw); err != nil {
		return Row{}, s.broken(err, "not a conversation")
	}
	s.line = s.here() - int64(bytes.Count(raw, []byte("\n")))
	return conversation(raw)
}

// end checks that the array is closed and nothing follows.
func (s *shareGPT) end() error {
	if _, err := s.decoder.Token(); err != nil {
		return s.broken(err, "the array is not closed")
	}
	if _, err := s.decoder.Token(); err != io.EOF {
		return s.broken(nil, "something follows the array")
	}
	return io.EOF
}

// here is the line up to which the decoder has consumed its input.
func (s *shareGPT) here() int64 {
	rest, _ := io.ReadAll(s.decoder.Buffered()) // in memory: it cannot fail
	return 1 + s.in.newlines - int64(bytes.Count(rest, []byte("\n")))
}

// newlinesUntil counts what lies between here and an offset of the input.
func (s *shareGPT) newlinesUntil(offset int64) int64 {
	rest, _ := io.ReadAll(s.decoder.Buffered())
	n := min(max(0, offset-s.decoder.InputOffset()), int64(len(rest)))
	return int64(bytes.Count(rest[:n], []byte("\n")))
}

func (s *shareGPT) broken(err error, what string) error {
	s.line = s.here()
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		s.line += s.newlinesUntil(syntax.Offset)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		s.line = 1 + s.in.newlines
	}
	switch {
	case errors.Is(err, errTooLong):
		return fmt.Errorf("a conversation %w", err)
	case err == nil:
		return errors.New(what)
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF // io.EOF would read as a good end
	}
	return fmt.Errorf("%s: %w", what, err)
}

func conversation(raw []byte) (Row, error) {
	o, err := parseObject(raw)
	if err != nil {
		return Row{}, err
	}
	const field = "conversations"
	if !o.has(field) {
		return Row{}, o.missing(field)
	}
	var turns []object
	if err := json.Unmarshal(o[field], &turns); err != nil {
		return Row{}, atField(field, "is not a list of turns")
	}
	if len(turns) < 2 {
		return Row{LeftOut: "fewer than two turns"}, nil
	}
	var texts [2]string
	for i := range texts {
		if texts[i], err = turns[i].text("value"); err != nil {
			m := err.(*Malformed) // text gives no other
			m.Field = fmt.Sprintf("%s[%d].%s", field, i, m.Field)
			return Row{}, m
		}
	}
	row := Row{Text: texts[0], Completion: texts[1], LeftOut: emptyText(texts[0])}
	if texts[1] == "" {
		row.LeftOut = "empty answer"
	}
	return row, nil
}

// budget reads at most left more bytes, so that a JSON value of any length
// cannot fill memory, and counts lines.
type budget struct {
	r        io.Reader
	left     int
	newlines int64
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	b.newlines += int64(bytes.Count(p[:n], []byte("\n")))
	return n, err
}
