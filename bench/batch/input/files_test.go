package input

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"stepbench/bench/batch"
)

func gz(t testing.TB, text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zst(t testing.TB, text string) string {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(z.EncodeAll([]byte(text), nil))
}

func parquetOf[T any](t testing.TB, rows ...T) string {
	t.Helper()
	var b bytes.Buffer
	if err := parquet.Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// messageRow is a chat as data sets on the Hugging Face hub keep it.
type messageRow struct {
	ID       int64     `parquet:"id"`
	Messages []message `parquet:"messages,list"`
}

type message struct {
	Role    string   `parquet:"role"`
	Content *string  `parquet:"content"`
	Tools   []string `parquet:"tool_calls,list"`
}

type choiceParquet struct {
	Key      string   `parquet:"key"`
	Prompt   *string  `parquet:"prompt"`
	Gold     *float64 `parquet:"gold"`
	Choices  []string `parquet:"choices,list"`
	Answer   *int32   `parquet:"answer"`
	Subject  string   `parquet:"subject,dict"`
	Unused   []byte   `parquet:"unused"`
	Repeated []int64  `parquet:"repeated"`
}

func TestParquet(t *testing.T) {
	chats := parquetOf(t,
		messageRow{1, []message{{Role: "system", Content: ptr("s")}, {Role: "user", Content: ptr("ü \"<")}}},
		messageRow{2, []message{{Role: "user"}}},
		messageRow{3, nil},
		messageRow{4, []message{{Role: "user", Content: ptr("x"), Tools: []string{"t"}}}},
		messageRow{1, []message{{Role: "robot", Content: ptr("x")}}})
	choices := parquetOf(t,
		choiceParquet{Key: "a", Prompt: ptr("x"), Gold: ptr(2.5), Choices: []string{"p", "q"}, Answer: ptr(int32(1)), Subject: "s", Unused: []byte{255}, Repeated: []int64{1, 2}},
		choiceParquet{Key: "b", Gold: ptr(1.0)},
		choiceParquet{Key: "c", Prompt: ptr("\xff")},
		choiceParquet{Key: "d", Prompt: ptr("x"), Gold: ptr(math.NaN()), Choices: []string{"p", "q"}},
		choiceParquet{Key: "e", Prompt: ptr("x"), Choices: []string{"p", "q"}})
	all := Options{IDColumn: "key", ReferenceColumn: "gold", OptionsColumn: "choices", AnswerColumn: "answer", GroupColumn: "subject"}
	tests := []struct {
		name, content string
		o             Options
		want          []string
	}{
		{"messages", chats, Options{}, []string{
			`1 [{"content":"s","role":"system"},{"content":"ü \"\u003c","role":"user"}]`,
			"2 ERROR f:2: messages[0].content: is missing",
			"3 ERROR f:3: messages: is empty",
			"4 ERROR f:4: messages: its field list.element.tool_calls.list.element is a list in a list, which is not supported",
			"1 ERROR f:5: messages[0].role: unknown role \"robot\": one of system, developer, user, assistant, tool is known"}},
		{"choices", choices, all, []string{
			"a x gold 2.5 [p q] 1 s", "b ERROR f:2: prompt: is null", "c ERROR f:3: prompt: byte 1 of it is not UTF-8",
			"d ERROR f:4: gold: NaN is no number of JSON", "e x [p q] -1"}},
		{"list of numbers", choices, Options{TokensColumn: "repeated"}, []string{"row-0 [1 2]", "row-1 ERROR f:2: repeated: is empty",
			"row-2 ERROR f:3: repeated: is empty", "row-3 ERROR f:4: repeated: is empty", "row-4 ERROR f:5: repeated: is empty"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, row := range readAll(t, tt.o, write(t, "f", tt.content)) {
				got = append(got, describe(&row))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func describe(row *batch.Row) string {
	if row.Err != nil {
		return row.ID + " ERROR " + row.Err.Error()
	}
	words := []string{row.ID}
	switch {
	case row.Messages != nil:
		words = append(words, string(row.Messages))
	case row.Tokens != nil:
		words = append(words, fmt.Sprint(row.Tokens))
	default:
		words = append(words, row.Text)
	}
	if row.HasReference {
		words = append(words, "gold", row.Reference)
	}
	if row.Options != nil {
		words = append(words, fmt.Sprint(row.Options, " ", row.Answer))
	}
	return strings.TrimSpace(strings.Join(append(words, row.Group), " "))
}

// TestManyFiles reads all formats and compressions after each other, named and
// by a pattern, and standard input last.
func TestManyFiles(t *testing.T) {
	dir := t.TempDir()
	type tokens struct {
		Tokens []int32 `parquet:"tokens,list"`
	}
	for name, content := range map[string]string{
		"1.jsonl":   `{"prompt":"one"}` + "\n\n" + `{"prompt":"two"}`,
		"2.data":    gz(t, `{"text":"three"}`+"\n"), // by content, not by name
		"3.gz":      zst(t, `{"custom_id":"c","url":"/v1/completions","body":{"prompt":"four"}}`),
		"4.jsonl":   "",
		"5.parquet": parquetOf(t, tokens{[]int32{5}}, tokens{[]int32{6}}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Stdin: strings.NewReader(gz(t, `{"prompt":"seven"}`))}
	s, err := Open([]string{filepath.Join(dir, "*"), Stdin}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got []string
	for {
		row, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s:%d %d %s", filepath.Base(row.Place.File), row.Place.Line, row.Index, describe(row)))
	}
	want := []string{"1.jsonl:1 0 row-0 one", "1.jsonl:3 1 row-1 two", "2.data:1 2 row-2 three", "3.gz:1 3 c four", "5.parquet:1 4 row-4 [5]", "5.parquet:2 5 row-5 [6]", "stdin:1 6 row-6 seven"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, total := s.Progress(); total != 0 {
		t.Errorf("%d bytes in all, though there is standard input", total)
	}
}

// TestProgress ends at all bytes and never goes back.
func TestProgress(t *testing.T) {
	line := `{"text":"` + strings.Repeat("x", 500) + "\"}\n"
	type row struct {
		Text string `parquet:"text"`
	}
	paths := []string{write(t, "a", strings.Repeat(line, 2000)), write(t, "b", gz(t, strings.Repeat(line, 2000))), write(t, "c", parquetOf(t, make([]row, 2000)...))}
	s, err := Open(paths, Options{})
	if err != nil {
		t.Fatal(err)
	}
	last, middle := int64(0), false
	for err == nil {
		_, err = s.Next()
		read, total := s.Progress()
		if read < last || read > total || total == 0 {
			t.Fatalf("%d of %d bytes after %d", read, total, last)
		}
		last, middle = read, middle || read > total/4 && read < total/2
	}
	if read, total := s.Progress(); err != io.EOF || read != total || !middle {
		t.Errorf("at the end %d of %d bytes, %v", read, total, err)
	}
}

func TestOpen_Errors(t *testing.T) {
	dir := t.TempDir()
	plain := write(t, "p", `{"question":"x","id":1}`)
	openai := write(t, "o", `{"custom_id":"a","url":"/v1/completions","body":{"prompt":"x"}}`)
	type other struct {
		Question string          `parquet:"question"`
		Prompt   struct{ A int } `parquet:"prompt"`
	}
	table := write(t, "t", parquetOf(t, other{}))
	tests := []struct {
		name  string
		paths []string
		o     Options
		want  string
	}{
		{"none", nil, Options{}, "no input: give files, patterns or -"},
		{"missing", []string{"no-such.jsonl"}, Options{}, "no-such.jsonl: no such file"},
		{"no match", []string{dir + "/*.jsonl"}, Options{}, "no file matches"},
		{"bad pattern", []string{dir + "/[a.jsonl"}, Options{}, "syntax error in pattern"},
		{"folder", []string{dir}, Options{}, "is a folder: give " + dir + "/*.jsonl"},
		{"twice", []string{plain, plain}, Options{}, "is given twice"},
		{"no column found", []string{plain}, Options{}, plain + ": none of the columns messages, prompt, text, tokens is there; it has id, question: name the one to use"},
		{"no such column", []string{plain}, Options{PromptColumn: "prompt"}, "no column prompt; it has id, question"},
		{"no such id", []string{plain}, Options{PromptColumn: "question", IDColumn: "key"}, "no column key; it has id, question"},
		{"no such reference", []string{plain}, Options{PromptColumn: "question", ReferenceColumn: "gold"}, "no column gold"},
		{"in Parquet", []string{table}, Options{MessagesColumn: "messages"}, "no column messages; it has prompt, question"},
		{"a structure", []string{table}, Options{}, "column prompt is a structure with A"},
		{"in OpenAI", []string{openai}, Options{ReferenceColumn: "gold"}, "no field gold beside custom_id; its rows have body, custom_id, url"},
		{"prompt of OpenAI", []string{openai}, Options{PromptColumn: "p"}, "it is an OpenAI Batch file, whose prompts are in body"},
		{"two prompts", []string{plain}, Options{PromptColumn: "p", TokensColumn: "t"}, "a row has one prompt"},
		{"answer alone", []string{plain}, Options{AnswerColumn: "a"}, "an answer column needs an options column"},
		{"n", []string{plain}, Options{N: -1}, "-1 completions a row"},
		{"format", []string{plain}, Options{Format: "csv"}, `input format "csv" is none of openai, jsonl, parquet`},
		{"not Parquet", []string{plain}, Options{Format: Parquet}, "not Parquet: it does not begin with PAR1"},
		{"Parquet", []string{table}, Options{Format: JSONL}, "it is Parquet, not jsonl"},
		{"array", []string{write(t, "a", "[\n{\"prompt\":\"x\"},\n]")}, Options{}, "it is a JSON array: one object a line is read, as jq -c '.[]' writes it"},
		{"array on a line", []string{write(t, "a", `[{"prompt":"x"}]`)}, Options{PromptColumn: "x"}, "it is a JSON array"},
		{"cut Parquet", []string{write(t, "c", "PAR1 and nothing else")}, Options{}, "not Parquet: it does not end in PAR1: it was cut off"},
		{"long footer", []string{write(t, "c", "PAR1\xff\xff\xff\x7fPAR1")}, Options{}, "its footer of 2147483647 bytes is longer than the file"},
		{"compressed Parquet", []string{write(t, "z", gz(t, parquetOf(t, other{})))}, Options{}, "give it as a file that is not compressed itself"},
		{"Parquet on stdin", []string{Stdin}, Options{Stdin: strings.NewReader(parquetOf(t, other{}))}, "parquet is read from its end"},
		{"cut gzip", []string{write(t, "z", gz(t, `{"prompt":"x"}`)[:20])}, Options{}, "unexpected EOF"},
		{"several", []string{plain, write(t, "c", "PAR1 and nothing else")}, Options{}, "it was cut off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(tt.paths, tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestBrokenStream: what was read before the break stays, and then it is final.
func TestBrokenStream(t *testing.T) {
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, `{"prompt":"%d %d"}`+"\n", i, i*7919)
	}
	for name, whole := range map[string]string{"gzip": gz(t, text.String()), "zstd": zst(t, text.String())} {
		path := write(t, name, whole[:len(whole)*3/4])
		s, err := Open([]string{path}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for {
			row, err := s.Next()
			if err != nil {
				if err == io.EOF || !strings.Contains(err.Error(), path+": line ") || !strings.Contains(err.Error(), "unexpected EOF") {
					t.Errorf("%s: after %d rows: %v", name, rows, err)
				}
				break
			}
			if row.Err != nil {
				t.Fatal(row.Err)
			}
			rows++
		}
		if rows < 5000 || rows >= 20_000 {
			t.Errorf("%s: %d rows", name, rows)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStrict(t *testing.T) {
	path := write(t, "s.jsonl", strings.Repeat(`{"prompt":"x"}`+"\n"+`{"prompt":5}`+"\n", 10))
	rows, wrong, err := Strict([]string{path}, Options{}, 3, nil)
	if err != nil || rows != 20 || len(wrong) != 3 || wrong[2].Error() != path+":6: prompt: 5 is not a text" {
		t.Errorf("%d rows, %v, %v", rows, wrong, err)
	}
	if _, _, err := Strict([]string{Stdin}, Options{}, 3, nil); err == nil || !strings.Contains(err.Error(), "save it to a file") {
		t.Errorf("standard input: %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	content := strings.Repeat("0123456789", 20_000)
	a, b := write(t, "a", content), write(t, "b", "short")
	at := time.Date(2025, 1, 2, 3, 4, 5, 6, time.UTC)
	take := func() Fingerprint {
		t.Helper()
		f, err := TakeFingerprint([]string{a, b, Stdin})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	put := func(path, content string, at time.Time) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	put(a, content, at)
	put(b, "short", at)
	was := take()
	if diff := was.Differences(take()); diff != nil {
		t.Errorf("the same: %v", diff)
	}
	put(b, "shorter", at)
	put(a, "x"+content[1:], at.Add(time.Second))
	want := []string{a + ": its first 64 KiB are others", a + ": was modified 2025-01-02T03:04:05.000000006Z, now 2025-01-02T03:04:06.000000006Z",
		b + ": had 5 bytes, has 7", b + ": its first 64 KiB are others", b + ": its last 64 KiB are others"}
	if diff := cmp.Diff(want, was.Differences(take())); diff != "" {
		t.Error(diff)
	}
	put(a, content, at.Add(time.Hour))
	put(b, "short", at)
	if now := take(); !was.SameContent(now) || len(was.Differences(now)) != 1 || was.SameContent(now[:1]) {
		t.Errorf("only its time is another: %v", was.Differences(now))
	}
	if diff := cmp.Diff([]string{b + " is no longer given", "- is no longer given"}, was.Differences(was[:1])); diff != "" {
		t.Error(diff)
	}
}
