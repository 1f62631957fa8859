package input

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"stepbench/bench/batch"
	"stepbench/engine"
)

// drain reads s to its end and checks what every row promises, whatever the
// bytes were.
func drain(t *testing.T, s *Source, most int) {
	last := batch.Place{}
	for index := range most {
		row, err := s.Next()
		if err != nil {
			if err != io.EOF && !utf8.ValidString(err.Error()) {
				t.Fatalf("error %q", err)
			}
			return
		}
		if row.Index != int64(index) || row.ID == "" || row.Place.Line <= last.Line {
			t.Fatalf("row %+v after %+v", row, last)
		}
		last = row.Place
		if row.Err != nil {
			if row.Err.Message == "" || row.Err.Place != row.Place || !utf8.ValidString(row.Err.Error()) {
				t.Fatalf("error %+v", row.Err)
			}
			continue
		}
		prompts := 0
		if row.Text != "" {
			prompts++
		}
		if len(row.Tokens) > 0 {
			prompts++
		}
		if len(row.Messages) > 0 {
			prompts++
			var list []struct{ Role, Content string }
			if err := json.Unmarshal(row.Messages, &list); err != nil || len(list) == 0 || list[0].Role == "" {
				t.Fatalf("messages %s: %v", row.Messages, err)
			}
		}
		sampling := row.Sampling
		if prompts != 1 || !utf8.ValidString(row.Text) || row.N < 0 || sampling.MaxTokens < 1 || !(sampling.Temperature >= 0) || !(sampling.TopP >= 0 && sampling.TopP <= 1) ||
			row.Answer < -1 || row.Answer >= max(1, len(row.Options)) {
			t.Fatalf("row %+v", row)
		}
	}
}

// FuzzLines reads any bytes as lines, compressed or not.
func FuzzLines(f *testing.F) {
	text, err := os.ReadFile("testdata/rowerrors.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f.Add([]byte(line), false)
	}
	f.Add([]byte(gz(f, `{"prompt":"x"}`)), false)
	f.Add([]byte(zst(f, `{"prompt":"x"}`)), false)
	f.Add([]byte(`{"id":"a","tokens":[1],"gold":1,"choices":["a","b"],"answer":"B"}`+"\n{}\n\n5"), true)
	f.Fuzz(func(t *testing.T, text []byte, columns bool) {
		o := Options{Stdin: bytes.NewReader(text), Sampling: engine.Sampling{MaxTokens: 1}}
		if columns {
			o.ReferenceColumn, o.OptionsColumn, o.AnswerColumn, o.GroupColumn = "gold", "choices", "answer", "subject"
		}
		s, err := Open([]string{Stdin}, o)
		if err != nil {
			return
		}
		drain(t, s, len(text)+1)
	})
}

// FuzzParquet: parquet-go panics on some damaged files; the reader reports it.
func FuzzParquet(f *testing.F) {
	type prompt struct {
		Prompt string `parquet:"prompt"`
	}
	type tokens struct {
		ID     *int64  `parquet:"id"`
		Tokens []int32 `parquet:"tokens,list"`
	}
	for _, s := range []string{
		parquetOf(f, prompt{"hi"}, prompt{""}), parquetOf(f, tokens{nil, []int32{1, 2}}, tokens{}),
		parquetOf(f, messageRow{1, []message{{Role: "user", Content: ptr("x")}}}, messageRow{}), "PAR1PAR1",
	} {
		f.Add([]byte(s))
		f.Add([]byte(s[:len(s)/2] + s[len(s)*3/4:]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, names, err := newParquetRows(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		defer p.close()
		file := &file{name: "f", records: p, blank: batch.Row{Answer: -1, Sampling: engine.Sampling{MaxTokens: 1}}, bytes: &counter{}}
		o := Options{}
		c, err := file.usePlain(&o, func(name string) bool { return strings.Contains(strings.Join(names, "\n"), name) }, names)
		if err != nil || p.use(&c) != nil {
			return
		}
		// A damaged footer can promise any number of rows.
		drain(t, &Source{file: file}, 10_000)
	})
}
