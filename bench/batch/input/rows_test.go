package input

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/batch"
	"stepbench/engine"
	"stepbench/internal/golden"
)

// write puts content in a file of that name and gives its path.
func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readAll gives all rows, their folder left out of their places.
func readAll(t testing.TB, o Options, paths ...string) []batch.Row {
	t.Helper()
	s, err := Open(paths, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var rows []batch.Row
	for {
		row, err := s.Next()
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		row.Place.File = filepath.Base(row.Place.File)
		if row.Err != nil {
			row.Err.File = filepath.Base(row.Err.File)
		}
		rows = append(rows, *row)
	}
}

// TestRowErrors: everything that can be wrong with a row, in words that say
// where and what, between rows that are good.
func TestRowErrors(t *testing.T) {
	chat := func(fields string) string {
		return `{"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"hi"}]` + fields + `}}`
	}
	completion := func(body string) string {
		return `{"custom_id":"c","method":"POST","url":"/v1/completions","body":{` + body + `}}`
	}
	messages := func(list string) string {
		return `{"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":{"messages":` + list + `}}`
	}
	files := []struct {
		name  string
		o     Options
		lines []string
	}{
		{name: "openai", lines: []string{
			chat(``), `{"custom_id":"c","method"`, `{"custom_id":"c"}trailing`, `[1]`, `null`, `"text"`, "{\"custom_id\":\"\xff\"}", `{"custom_id":"\ud800"}`,
			`{"url":"/v1/completions","body":{}}`, `{"custom_id":7}`, `{"custom_id":""}`, `{"custom_id":"c"}`,
			`{"custom_id":"c","url":"/v1/embeddings","body":{}}`, `{"custom_id":"c","method":"GET","url":"/v1/completions","body":{}}`,
			`{"custom_id":"c","url":"/v1/completions"}`, `{"custom_id":"c","url":"/v1/completions","body":[]}`,
			chat(`,"temperature":NaN`), chat(`,"temperature":-Infinity`), chat(`,"temperature":-0.5`), chat(`,"temperature":2.5`), chat(`,"temperature":1e999`), chat(`,"temperature":"1"`),
			chat(`,"top_p":0`), chat(`,"top_p":1.5`), chat(`,"top_k":-2`), chat(`,"top_k":1.5`), chat(`,"n":0`), chat(`,"n":100000`), chat(`,"max_tokens":0`), chat(`,"max_tokens":4e9`),
			chat(`,"max_completion_tokens":-1`), chat(`,"seed":1.5`), chat(`,"seed":99999999999999999999`), chat(`,"stop":[""]`), chat(`,"stop":[1]`), chat(`,"stop":5`),
			chat(`,"frequency_penalty":3`), chat(`,"presence_penalty":-3`), chat(`,"repetition_penalty":0`), chat(`,"min_p":2`), chat(`,"ignore_eos":1`),
			chat(`,"min_tokens":9,"max_tokens":8`), chat(`,"stop_token_ids":[-1]`),
			chat(`,"logprobs":3`), chat(`,"top_logprobs":3`), chat(`,"logprobs":true,"top_logprobs":-1`),
			chat(`,"stream":true`), chat(`,"tools":[{"type":"function"}]`), chat(`,"response_format":{"type":"json_object"}`), chat(`,"logit_bias":{"5":1}`), chat(`,"no_such_field":1`),
			chat(`,"prompt":"x"`), messages(`[]`), messages(`"hi"`), messages(`[null]`), messages(`[{"content":"x"}]`), messages(`[{"role":5,"content":"x"}]`),
			messages(`[{"role":"user","content":"x"},{"role":"robot","content":"x"}]`), messages(`[{"role":"user"}]`), messages(`[{"role":"user","content":null}]`),
			messages(`[{"role":"user","content":5}]`), messages(`[{"role":"user","content":[]}]`), messages(`[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]`),
			messages(`[{"role":"user","content":[{"type":"text"}]}]`), messages(`[{"role":"assistant","content":"x","tool_calls":[{"id":"1"}]}]`),
			completion(``), completion(`"prompt":""`), completion(`"prompt":["a","b"]`), completion(`"prompt":[[1],[2]]`), completion(`"prompt":[]`), completion(`"prompt":[1,-2]`),
			completion(`"prompt":[1,2.5]`), completion(`"prompt":[1,null]`), completion(`"prompt":5`), completion(`"prompt":"x","messages":[]`),
			completion(`"prompt":"x","logprobs":true`), completion(`"prompt":"x","top_logprobs":2`), completion(`"prompt":"x","echo":true`), completion(`"prompt":"x","best_of":2`),
			strings.ReplaceAll(chat(``), `"c"`, `"other"`), chat(``),
		}},
		{name: "columns", o: Options{IDColumn: "key", ReferenceColumn: "gold", OptionsColumn: "choices", AnswerColumn: "answer", GroupColumn: "subject"}, lines: []string{
			`{"key":"a","prompt":"x","gold":"g","choices":["p","q"],"answer":1,"subject":"s"}`,
			`{"key":"b"}`, `{"key":"c","prompt":null}`, `{"key":"d","prompt":5}`, `{"key":"e","prompt":""}`, `{"key":[1],"prompt":"x"}`, `{"key":"a","prompt":"x","gold":"g","choices":["p","q"]}`,
			`{"key":"f","prompt":"x"}`, `{"key":"g","prompt":"x","gold":1}`, `{"key":"h","prompt":"x","gold":1,"choices":["p"]}`, `{"key":"i","prompt":"x","gold":1,"choices":"pq"}`,
			`{"key":"j","prompt":"x","gold":1,"choices":["p",""]}`, `{"key":"k","prompt":"x","gold":1,"choices":["p",null]}`, `{"key":"l","prompt":"x","gold":1,"choices":["p","q"],"answer":2}`,
			`{"key":"m","prompt":"x","gold":1,"choices":["p","q"],"answer":"2"}`, `{"key":"n","prompt":"x","gold":1,"choices":["p","q"],"answer":"C"}`, `{"key":"o","prompt":"x","gold":1,"choices":["p","q"],"subject":{}}`,
		}},
		{name: "tokens", lines: []string{`{"tokens":[1]}`, `{"tokens":[]}`, `{"tokens":"1 2"}`, `{"tokens":[2147483648]}`, `{"tokens":[[1]]}`}},
		{name: "messages", lines: []string{`{"messages":[{"role":"user","content":"x"}]}`, `{"messages":"no JSON"}`, `{"messages":"[]"}`, `{"messages":"[{\"role\":\"user\",\"content\":\"\\ud800\"}]"}`, `{"prompt":"x"}`}},
	}
	var out bytes.Buffer
	for _, f := range files {
		rows := readAll(t, f.o, write(t, f.name+".jsonl", strings.Join(f.lines, "\n")))
		if len(rows) != len(f.lines) || rows[0].Err != nil {
			t.Errorf("%s: %d rows of %d, the first: %v", f.name, len(rows), len(f.lines), rows[0].Err)
		}
		for i, row := range rows {
			if row.Index != int64(i) || row.Place.Line != int64(i+1) || row.ID == "" {
				t.Errorf("%s: row %+v", f.name, row)
			}
			if row.Err != nil {
				fmt.Fprintln(&out, strings.ToValidUTF8(f.lines[i], "?"))
				fmt.Fprintln(&out, "    ", row.Err)
			} else {
				fmt.Fprintln(&out, f.lines[i])
				fmt.Fprintln(&out, "     is good")
			}
		}
	}
	golden.Check(t, filepath.Join("testdata", "rowerrors.txt"), out.Bytes())
}

func ptr[T any](v T) *T { return &v }

func TestOpenAIRow(t *testing.T) {
	o := Options{N: 2, Sampling: engine.Sampling{MaxTokens: 100, Temperature: 0.5, Stop: []string{"END"}}}
	path := write(t, "b.jsonl", strings.Join([]string{
		`{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":"<two>"}]}]}}`,
		``,
		`{"custom_id":"b","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"hi"}],"max_tokens":5,"max_completion_tokens":7,"temperature":0,"top_p":0.9,"top_k":4,"n":1,"seed":-9007199254740993,"stop":"x","logprobs":true,"top_logprobs":3,"frequency_penalty":-1,"presence_penalty":1,"ignore_eos":true,"min_p":0.1,"min_tokens":2,"stop_token_ids":[3],"repetition_penalty":1.1,"prompt_logprobs":0,"stream":false,"user":"u","metadata":{"a":1},"tools":[],"response_format":{"type":"text"}}}`,
		`{"custom_id":"c","method":"POST","url":"/v1/completions","body":{"prompt":"x","logprobs":0,"stop":null,"temperature":null}}`,
		`{"custom_id":"d","method":"POST","url":"/v1/completions","body":{"prompt":[5,6],"top_k":-1,"stop":["a","b"]}}`,
		`{"custom_id":"e","url":"/v1/completions","body":{"prompt":["x"]}}`,
	}, "\n"))
	base := o.Sampling
	with := func(change func(*engine.Sampling)) engine.Sampling {
		s := base
		change(&s)
		return s
	}
	const chat, completion = "/v1/chat/completions", "/v1/completions"
	want := []batch.Row{
		{Index: 0, Place: batch.Place{File: "b.jsonl", Line: 1}, ID: "a", Endpoint: chat, N: 2, Answer: -1, Sampling: base,
			Messages: []byte(`[{"content":"s","role":"system"},{"content":"one\n\u003ctwo\u003e","role":"user"}]`)},
		{Index: 1, Place: batch.Place{File: "b.jsonl", Line: 3}, ID: "b", Endpoint: chat, N: 1, Answer: -1, Messages: []byte(`[{"role":"user","content":"hi"}]`),
			Sampling: engine.Sampling{MaxTokens: 7, TopP: 0.9, TopK: 4, Seed: ptr(int64(-9007199254740993)), Stop: []string{"x"}, Logprobs: ptr(3), PromptLogprobs: ptr(0),
				FrequencyPenalty: -1, PresencePenalty: 1, IgnoreEOS: true, MinP: 0.1, MinTokens: 2, StopTokenIDs: []int32{3}, RepetitionPenalty: 1.1}},
		{Index: 2, Place: batch.Place{File: "b.jsonl", Line: 4}, ID: "c", Endpoint: completion, N: 2, Answer: -1, Text: "x", Sampling: with(func(s *engine.Sampling) { s.Logprobs = ptr(0) })},
		{Index: 3, Place: batch.Place{File: "b.jsonl", Line: 5}, ID: "d", Endpoint: completion, N: 2, Answer: -1, Tokens: []int32{5, 6}, Sampling: with(func(s *engine.Sampling) { s.Stop = []string{"a", "b"} })},
		{Index: 4, Place: batch.Place{File: "b.jsonl", Line: 6}, ID: "e", Endpoint: completion, N: 2, Answer: -1, Text: "x", Sampling: base},
	}
	if diff := cmp.Diff(want, readAll(t, o, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPlainRow reads every part of a row, and what is named in place of what
// would be found.
func TestPlainRow(t *testing.T) {
	o := Options{ReferenceColumn: "gold", OptionsColumn: "choices", AnswerColumn: "answer", GroupColumn: "subject"}
	path := write(t, "p.jsonl", "\ufeff"+strings.Join([]string{
		`{"id":7,"text":"a","prompt":"b","gold":"g","choices":["p","q"],"answer":1,"subject":"s"}`,
		`{"id":"i","prompt":"b","gold":null,"choices":["p","q"],"answer":"p","subject":3}`,
		`{"prompt":"b","gold":{"type": "object"},"choices":["p","q"],"answer":"B"}`,
		`{"id":null,"prompt":"\ud83d\ude00 \\ud800","gold":4.50,"choices":["p","1"],"answer":"1"}`,
	}, "\r\n"))
	want := []batch.Row{
		{Place: batch.Place{Line: 1}, ID: "7", Text: "b", Reference: "g", HasReference: true, Options: []string{"p", "q"}, Answer: 1, Group: "s"},
		{Index: 1, Place: batch.Place{Line: 2}, ID: "i", Text: "b", Options: []string{"p", "q"}, Group: "3"},
		{Index: 2, Place: batch.Place{Line: 3}, ID: "row-2", Text: "b", Reference: `{"type": "object"}`, HasReference: true, Options: []string{"p", "q"}, Answer: 1},
		{Index: 3, Place: batch.Place{Line: 4}, ID: "row-3", Text: "😀 \\ud800", Reference: "4.50", HasReference: true, Options: []string{"p", "1"}, Answer: 1},
	}
	for i := range want {
		want[i].Place.File = "p.jsonl"
	}
	if diff := cmp.Diff(want, readAll(t, o, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	rows := readAll(t, Options{PromptColumn: "text"}, path)
	if rows[0].Text != "a" || rows[1].Err == nil || rows[1].Err.Error() != "p.jsonl:2: text: is missing; the row has answer, choices, gold, id, prompt, subject" {
		t.Errorf("rows %+v, %v", rows[0], rows[1].Err)
	}
}

// TestLongLine: a line that is too long is an error of its own, and the ones
// after it are read.
func TestLongLine(t *testing.T) {
	long := `{"prompt":"` + strings.Repeat("x", maxRecordBytes) + `"}`
	fits := `{"prompt":"` + strings.Repeat("x", maxRecordBytes-20) + `"}`
	for _, end := range []string{"", "\n"} {
		rows := readAll(t, Options{}, write(t, "l.jsonl", strings.Join([]string{fits, long, `{"prompt":"y"}`, long}, "\n")+end))
		if len(rows) != 4 || len(rows[0].Text) != maxRecordBytes-20 || rows[2].Text != "y" || rows[2].Place.Line != 3 {
			t.Fatalf("%d rows", len(rows))
		}
		for _, i := range []int{1, 3} {
			if err := rows[i].Err; err == nil || err.Error() != fmt.Sprintf("l.jsonl:%d: the line is longer than 16 MiB", i+1) {
				t.Errorf("row %d: %v", i, err)
			}
		}
	}
}

func TestIDSet(t *testing.T) {
	const n = 1_000_000
	var s idSet
	slots := 0
	for round := range 2 {
		for i := range n {
			if got := s.add(fmt.Sprintf("request-%d", i)); got != (round == 0) {
				t.Fatalf("round %d, id %d: new is %t", round, i, got)
			}
		}
	}
	for i := range s.tables {
		slots += len(s.tables[i].slots)
	}
	if bytes := 8 * slots; bytes > 16*n {
		t.Errorf("%d bytes for %d ids", bytes, n)
	}
	t.Logf("%.1f bytes an id", 8*float64(slots)/n)
}
