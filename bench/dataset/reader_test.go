package dataset

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

// file writes content under name and gives its path.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		content = b.String()
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parquetOf[T any](t testing.TB, rows []T) string {
	t.Helper()
	var b bytes.Buffer
	if err := parquet.Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func readAll(s Source) (rows []Row, err error) {
	r, err := Open(s)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		row, err := r.Next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
}

type document struct {
	Text string `parquet:"text"`
	URL  string `parquet:"url"`
}

type optionalDocument struct {
	Timestamp *string `parquet:"timestamp,optional"`
	Text      *string `parquet:"text,optional"`
}

type promptTokens struct {
	TokenIDs []int32 `parquet:"token_ids,list"`
	Output   int64   `parquet:"output_tokens"`
}

type plainTokens struct {
	TokenIDs []int64 `parquet:"token_ids"`
}

type prompt struct {
	Prompt string `parquet:"prompt"`
	Output *int32 `parquet:"output_tokens,optional"`
}

const (
	azureHead = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
	burstHead = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
)

func TestRead(t *testing.T) {
	text, three := "a text", int32(3)
	tests := []struct {
		name, file, content string
		kind                Kind
		want                []Row
	}{
		{"c4", "c4.jsonl", `{"text":"One.","timestamp":"2019-04-25T12:57:54Z","url":"https://a.example"}` + "\n\n" + `{"text":"Zwei ü","url":"u","timestamp":"t"}` + "\n", KindC4,
			[]Row{{Line: 1, Text: "One."}, {Line: 3, Text: "Zwei ü"}}},
		{"c4 compressed, empty text", "c4.json.gz", `{"text":""}`, KindC4, []Row{{Line: 1, LeftOut: "empty text"}}},
		{"c4 in parquet", "c4.parquet", parquetOf(t, []document{{"One.", "u"}, {"", "u"}}), KindC4,
			[]Row{{Line: 1, Text: "One."}, {Line: 2, LeftOut: "empty text"}}},
		{"c4 in parquet with nulls", "c4.parquet", parquetOf(t, []optionalDocument{{Text: &text}, {}}), KindC4,
			[]Row{{Line: 1, Text: text}, {Line: 2, LeftOut: "no text"}}},
		{"own prompts", "own.jsonl", "\ufeff" + `{"prompt":"hi","output_tokens":7}` + "\r\n" + `{"prompt":"ho","note":1}`, KindJSONL,
			[]Row{{Line: 1, Text: "hi", OutputTokens: 7}, {Line: 2, Text: "ho"}}},
		{"own token ids", "own.jsonl", `{"token_ids":[0,5,2147483647],"prompt":null}`, KindJSONL,
			[]Row{{Line: 1, Tokens: []int32{0, 5, 2147483647}}}},
		{"own prompts in parquet", "own.parquet", parquetOf(t, []prompt{{"hi", &three}, {"ho", nil}}), KindParquet,
			[]Row{{Line: 1, Text: "hi", OutputTokens: 3}, {Line: 2, Text: "ho"}}},
		{"own token ids in parquet", "own.parquet", parquetOf(t, []promptTokens{{[]int32{1, 2}, 9}, {[]int32{3}, 1}}), KindParquet,
			[]Row{{Line: 1, Tokens: []int32{1, 2}, OutputTokens: 9}, {Line: 2, Tokens: []int32{3}, OutputTokens: 1}}},
		{"repeated token ids in parquet", "own.parquet", parquetOf(t, []plainTokens{{[]int64{1, 2}}}), KindParquet,
			[]Row{{Line: 1, Tokens: []int32{1, 2}}}},
		{"sharegpt", "s.json", "[\n" + `{"id":"a","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"an answer"},{"from":"human","value":"more"}]},` + "\n" +
			`{"id":"b","conversations":[{"from":"human","value":"alone"}]},` + "\n" + "{\n" + `"conversations":[{"value":""},{"value":"x"}]}` + "\n]\n", KindShareGPT,
			[]Row{{Line: 2, Text: "q", Completion: "an answer"}, {Line: 3, LeftOut: "fewer than two turns"}, {Line: 4, Completion: "x", LeftOut: "empty text"}}},
		{"sharegpt, no conversations", "s.json", " [ ]", KindShareGPT, nil},
		{"azure 2023", "a.csv", azureHead + "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n2023-11-16 18:16:46.6805900,0,5\n", KindAzure,
			[]Row{{Line: 2, InputTokens: 374, OutputTokens: 44}, {Line: 3, InputTokens: 396, OutputTokens: 109, AtNs: 4_314_579_000},
				{Line: 4, OutputTokens: 5, AtNs: 60e9, LeftOut: "no input tokens"}}},
		{"azure 2024", "a.csv", azureHead + "2024-05-10 23:59:59.5+00:00,374,44\n2024-05-11 00:00:00.009930+00:00,396,109", KindAzure,
			[]Row{{Line: 2, InputTokens: 374, OutputTokens: 44}, {Line: 3, InputTokens: 396, OutputTokens: 109, AtNs: 509_930_000}}},
		{"burstgpt", "b.csv", burstHead + "5,ChatGPT,472,18,490,Conversation log\n45.5,ChatGPT,1087,0,1087,API log\n", KindBurstGPT,
			[]Row{{Line: 2, InputTokens: 472, OutputTokens: 18, AtNs: 5e9}, {Line: 3, InputTokens: 1087, AtNs: 45.5e9, LeftOut: "no output tokens"}}},
		{"mooncake", "m.jsonl", `{"timestamp":0,"input_length":6755,"output_length":500,"hash_ids":[0,1,2,3,4,5,6,7,8,9,10,11,12,13]}` + "\n" + `{"timestamp":3052,"input_length":7,"output_length":26}` + "\n" + `{"timestamp":3053,"input_length":0,"output_length":26}`, KindMooncake,
			[]Row{{Line: 1, InputTokens: 6755, OutputTokens: 500, Blocks: []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}},
				{Line: 2, InputTokens: 7, OutputTokens: 26, AtNs: 3.052e9}, {Line: 3, OutputTokens: 26, AtNs: 3.053e9, LeftOut: "no input tokens"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, tt.file, tt.content)
			got, err := readAll(Source{Kind: tt.kind, Path: path})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if kind, err := Detect(path); err != nil || kind != tt.kind {
				t.Errorf("Detect = %q, %v, want %q", kind, err, tt.kind)
			}
		})
	}
}

// TestRead_Errors: each is refused with its file, its line or row, and its
// field where it is in one.
func TestRead_Errors(t *testing.T) {
	conversation := func(turns string) string { return `[{"conversations":` + turns + `}]` }
	tests := []struct {
		name, file, content string
		kind                Kind
		want                string // after the path
	}{
		{"wrong column", "x.jsonl", `{"text":"a"}` + "\n" + `{"txt":"b","url":"u"}`, KindC4, ": line 2, field text: is missing; the object has txt, url"},
		{"other case", "x.jsonl", `{"Text":"b"}`, KindC4, ": line 1, field text: is missing; the object has Text"},
		{"bad UTF-8", "x.jsonl", "{\"text\":\"ab\xff\"}", KindC4, ": line 1, field text: byte 4 of it is not UTF-8"},
		{"not text", "x.jsonl", `{"text":["a"]}`, KindC4, ": line 1, field text: is not text"},
		{"url not text", "x.jsonl", `{"text":"a","url":7}`, KindC4, ": line 1, field url: is not text"},
		{"not JSON", "x.jsonl", "{\"text\":\"a\"}\n{\"text\":", KindC4, ": line 2: not a JSON object: unexpected end of JSON input"},
		{"null", "x.jsonl", "null", KindC4, ": line 1: not a JSON object: null"},
		{"prompt missing", "x.jsonl", `{"question":"a"}`, KindJSONL, ": line 1, field prompt: is missing; the object has question"},
		{"both", "x.jsonl", `{"prompt":"a","token_ids":[1]}`, KindJSONL, ": line 1, field token_ids: prompt is given too: leave one out"},
		{"no ids", "x.jsonl", `{"token_ids":[]}`, KindJSONL, ": line 1, field token_ids: is empty"},
		{"negative id", "x.jsonl", `{"token_ids":[1,-2]}`, KindJSONL, ": line 1, field token_ids: id -2 at position 2 is not a token id"},
		{"fractional id", "x.jsonl", `{"token_ids":[1.5]}`, KindJSONL, `: line 1, field token_ids: "1.5" at position 1 is not a whole number`},
		{"ids in text", "x.jsonl", `{"token_ids":"1 2"}`, KindJSONL, ": line 1, field token_ids: is not a list of token ids"},
		{"negative length", "x.jsonl", `{"prompt":"a","output_tokens":-1}`, KindJSONL, ": line 1, field output_tokens: -1 is negative"},
		{"no output", "x.jsonl", `{"prompt":"a","output_tokens":0}`, KindJSONL, ": line 1, field output_tokens: 0: at least 1 token is needed"},
		{"length in text", "x.jsonl", `{"prompt":"a","output_tokens":"7"}`, KindJSONL, `: line 1, field output_tokens: "\"7\"" is not a whole number of tokens`},
		{"absurd length", "x.jsonl", `{"prompt":"a","output_tokens":99999999999}`, KindJSONL, ": line 1, field output_tokens: 99999999999 tokens: the most is 16777216"},
		{"parquet without the column", "x.parquet", parquetOf(t, []document{{"a", "u"}}), KindParquet, ": field prompt: no such column; the file has text, url"},
		{"parquet of another type", "x.parquet", parquetOf(t, []struct {
			Prompt int64 `parquet:"prompt"`
		}{{1}}), KindParquet, ": field prompt: the column is not of text"},
		{"parquet with bad UTF-8", "x.parquet", parquetOf(t, []prompt{{"ok", nil}, {"a\xff", nil}}), KindParquet, ": row 2, field prompt: byte 2 of it is not UTF-8"},
		{"parquet with a negative length", "x.parquet", parquetOf(t, []promptTokens{{[]int32{1}, -4}}), KindParquet, ": row 1, field output_tokens: -4 is negative"},
		{"parquet with a negative id", "x.parquet", parquetOf(t, []promptTokens{{[]int32{1, -1}, 4}}), KindParquet, ": row 1, field token_ids: id -1 at position 2 is not a token id"},
		{"parquet without ids", "x.parquet", parquetOf(t, []promptTokens{{nil, 4}}), KindParquet, ": row 1, field token_ids: is empty"},
		{"not parquet", "x.parquet", "text, and more text", KindParquet, ": not Parquet: it does not end in PAR1"},
		{"parquet of nothing", "x.parquet", "PAR1", KindParquet, ": not Parquet: it is too short"},
		{"parquet with an endless footer", "x.parquet", "PAR1\xff\xff\xff\x7fPAR1", KindParquet, ": not Parquet: its footer of 2147483647 bytes is longer than the file"},
		{"parquet cut off", "x.parquet", "PAR1ab\x02\x00\x00\x00PAR1", KindParquet, ": not Parquet: "},
		{"parquet trace", "x.parquet", "", KindAzure, ": a Parquet file cannot be of kind azure"},
		{"not an array", "x.json", `{"conversations":[]}`, KindShareGPT, ": line 1: not a JSON array of conversations"},
		{"array not closed", "x.json", "[\n{\"conversations\":[]}\n", KindShareGPT, ": line 3: the array is not closed: unexpected EOF"},
		{"cut off", "x.json", "[\n{\"conversations\":[]},\n{\"conv", KindShareGPT, ": line 3: not a conversation: unexpected EOF"},
		{"comma missing", "x.json", "[\n{\"conversations\":[]},\n{\"conversations\":[]}\n\n{\"conversations\":[]}]", KindShareGPT, ": line 5: not a conversation: expected comma after array element"},
		{"broken inside", "x.json", "[\n{\"conversations\":[]},\n{\"a\":1,\n\"conversations\"=[]}]", KindShareGPT, ": line 4: not a conversation: invalid character '=' after object key"},
		{"something follows", "x.json", "[]\n[]", KindShareGPT, ": line 2: something follows the array"},
		{"no conversations", "x.json", "[\n{\"items\":[]}]", KindShareGPT, ": line 2, field conversations: is missing; the object has items"},
		{"turns not a list", "x.json", conversation(`"q"`), KindShareGPT, ": line 1, field conversations: is not a list of turns"},
		{"turn without value", "x.json", conversation(`[{"value":"q"},{"from":"gpt"}]`), KindShareGPT, ": line 1, field conversations[1].value: is missing; the object has from"},
		{"turn with bad UTF-8", "x.json", conversation("[{\"value\":\"\xc3\x28\"},{\"value\":\"a\"}]"), KindShareGPT, ": line 1, field conversations[0].value: byte 2 of it is not UTF-8"},
		{"empty csv", "x.csv", "\n \n", KindAzure, ": line 1: is empty: a header with TIMESTAMP, ContextTokens and GeneratedTokens is needed"},
		{"csv without the column", "x.csv", "TIMESTAMP,Context,GeneratedTokens\n", KindAzure, ": line 1, field ContextTokens: no such column; the header has TIMESTAMP, Context, GeneratedTokens"},
		{"csv with a short line", "x.csv", azureHead + "2023-11-16 18:15:46,374\n", KindAzure, ": line 2: 2 fields, the header has 3"},
		{"csv with an open quote", "x.csv", azureHead + "\"2023,1,1\n", KindAzure, ": line 2: not CSV: extraneous or missing \" in quoted-field"},
		{"time of day", "x.csv", azureHead + "18:15:46,1,1\n", KindAzure, `: line 2, field TIMESTAMP: "18:15:46" is not a time as 2023-11-16 18:15:46.6805900`},
		{"ancient time", "x.csv", azureHead + "0001-01-01 00:00:00,1,1\n", KindAzure, `: line 2, field TIMESTAMP: "0001-01-01 00:00:00" is not in this age`},
		{"time goes back", "x.csv", azureHead + "2023-11-16 18:15:46,1,1\n2023-11-16 18:15:47,1,1\n2023-11-16 18:15:46.5,1,1\n", KindAzure,
			": line 4, field TIMESTAMP: 0.500 s is earlier than 1.000 s in the line before: sort the file by time"},
		{"negative tokens in a trace", "x.csv", burstHead + "1,m,-5,1,1,l\n", KindBurstGPT, ": line 2, field Request tokens: -5 is negative"},
		{"fractional tokens in a trace", "x.csv", burstHead + "1,m,5,1.5,1,l\n", KindBurstGPT, `: line 2, field Response tokens: "1.5" is not a whole number of tokens`},
		{"bad UTF-8 in a trace", "x.csv", burstHead + "1,m,5\xff,1,1,l\n", KindBurstGPT, ": line 2, field Request tokens: byte 2 of it is not UTF-8"},
		{"negative time", "x.csv", burstHead + "-1,m,5,1,1,l\n", KindBurstGPT, `: line 2, field Timestamp: "-1" is negative`},
		{"time not a number", "x.csv", burstHead + "NaN,m,5,1,1,l\n", KindBurstGPT, `: line 2, field Timestamp: "NaN" is not a time`},
		{"endless time", "x.csv", burstHead + "1e300,m,5,1,1,l\n", KindBurstGPT, `: line 2, field Timestamp: "1e300" is more than ten years`},
		{"mooncake without length", "x.jsonl", `{"timestamp":1,"output_length":3}`, KindMooncake, ": line 1, field input_length: is missing; the object has output_length, timestamp"},
		{"mooncake with negative length", "x.jsonl", `{"timestamp":1,"input_length":-3,"output_length":3}`, KindMooncake, ": line 1, field input_length: -3 is negative"},
		{"mooncake with few blocks", "x.jsonl", `{"timestamp":1,"input_length":513,"output_length":3,"hash_ids":[1]}`, KindMooncake, ": line 1, field hash_ids: 1 blocks of 512 tokens cannot hold input_length 513"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, tt.file, tt.content)
			_, err := readAll(Source{Kind: tt.kind, Path: path})
			if err == nil || !strings.HasPrefix(err.Error(), path+tt.want) {
				t.Errorf("error %v\nwant %s%s", err, path, tt.want)
			}
			var m *Malformed
			if !errors.As(err, &m) || m.File != path {
				t.Errorf("error %#v is not Malformed with the path", err)
			}
		})
	}
}

func TestReadSeveral(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.jsonl": "2", "a.jsonl": "1", "c.txt": "no"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"text":"`+text+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := readAll(Source{Kind: KindC4, Path: filepath.Join(dir, "*.jsonl")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Row{{Line: 1, Text: "1"}, {Line: 1, Text: "2"}}, rows); diff != "" {
		t.Error(diff)
	}
	for _, s := range []Source{{KindC4, filepath.Join(dir, "*.gz")}, {KindC4, filepath.Join(dir, "none")}, {KindAzure, filepath.Join(dir, "*")}, {KindRandom, dir}, {KindC4, dir}} {
		if _, err := readAll(s); err == nil {
			t.Errorf("%s: no error", s)
		}
	}
}

// endless is a file that never ends nor breaks its line.
type endless struct {
	head string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.head)
	e.head = e.head[n:]
	for i := n; i < len(p); i++ {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

// TestUnboundedLine: a line of any length is refused after 16 MiB of it.
func TestUnboundedLine(t *testing.T) {
	tests := []struct {
		kind Kind
		head string
		want string
	}{
		{KindC4, `{"text":"`, "is longer than 16 MiB"},
		{KindJSONL, `{"prompt":"`, "is longer than 16 MiB"},
		{KindMooncake, `{"timestamp":1,"x":"`, "is longer than 16 MiB"},
		{KindShareGPT, `[{"conversations":[{"value":"`, "a conversation is longer than 16 MiB"},
		{KindAzure, azureHead + `"`, "is longer than 16 MiB"},
		{KindBurstGPT, "", "is longer than 16 MiB"},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind), func(t *testing.T) {
			in := &endless{head: tt.head}
			p, err := newTextParser(tt.kind, in)
			if err == nil {
				_, err = p.next()
			}
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if in.read > 2*maxRecordBytes {
				t.Errorf("%d bytes were read before it was refused", in.read)
			}
		})
	}
}

func TestParseSource(t *testing.T) {
	path := file(t, "own.jsonl", `{"prompt":"hi"}`)
	tests := []struct {
		name, text string
		want       Source
	}{
		{"default", "", Source{Kind: KindRandom}},
		{"built in", "random-medium", Source{Kind: KindRandomMedium}},
		{"stand-in", "c4", Source{Kind: KindC4}},
		{"kind and path", "c4:/data/*.json.gz", Source{KindC4, "/data/*.json.gz"}},
		{"path", path, Source{KindJSONL, path}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSource(tt.text)
			if err != nil || got != tt.want {
				t.Errorf("ParseSource(%q) = %v, %v", tt.text, got, err)
			}
		})
	}
	for _, text := range []string{"rand", "c4:", "random:x", "/no/such/file", t.TempDir(), file(t, "x.csv", "a,b\n1,2"), file(t, "x.jsonl", `{"a":1}`), file(t, "x", "")} {
		if got, err := ParseSource(text); err == nil {
			t.Errorf("ParseSource(%q) = %v, want an error", text, got)
		}
	}
}
