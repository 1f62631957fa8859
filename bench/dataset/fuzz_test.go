package dataset

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// drain reads p to its end and checks what every row promises, whatever the
// bytes were.
func drain(t *testing.T, kind Kind, p parser, err error) {
	last, lastLine := int64(0), int64(0)
	for err == nil {
		var row Row
		if row, err = p.next(); err != nil {
			break
		}
		unit, line := p.place()
		if unit == "" || line <= lastLine && kind != KindShareGPT || line < lastLine {
			t.Fatalf("%s %d after %d", unit, line, lastLine)
		}
		lastLine = line
		switch {
		case !utf8.ValidString(row.Text) || !utf8.ValidString(row.Completion):
			t.Fatalf("row %+v is not UTF-8", row)
		case row.InputTokens < 0 || row.OutputTokens < 0 || row.InputTokens > maxTokens || row.OutputTokens > maxTokens:
			t.Fatalf("row %+v has impossible lengths", row)
		case row.AtNs < last || row.AtNs > maxTraceNs+1:
			t.Fatalf("row %+v comes after %d ns", row, last)
		case slices.ContainsFunc(row.Tokens, func(id int32) bool { return id < 0 }):
			t.Fatalf("row %+v has negative ids", row)
		case row.LeftOut != "":
		case kind.Trace() && (row.InputTokens < 1 || row.OutputTokens < 1):
			t.Fatalf("row %+v is no request", row)
		case kind.Text() && row.Text == "" && len(row.Tokens) == 0:
			t.Fatalf("row %+v has no prompt", row)
		}
		last = row.AtNs
	}
	if err == io.EOF {
		return
	}
	if m := new(Malformed); errors.As(err, &m) && m.Field != "" {
		err = m.Err
	}
	if text := err.Error(); text == "" || !utf8.ValidString(text) || strings.Contains(text, "runtime error") {
		t.Fatalf("error %q", text)
	}
}

func fuzzText(f *testing.F, kind Kind, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := newTextParser(kind, bytes.NewReader(text))
		drain(t, kind, p, err)
	})
}

func FuzzC4(f *testing.F) {
	fuzzText(f, KindC4, `{"text":"One.","timestamp":"2019-04-25T12:57:54Z","url":"https://a.example"}`+"\n"+`{"text":"two"}`,
		`{"txt":1}`, "{\"text\":\"\xff\"}", `{"text":"\ud800"}`, "null\n[]", "\ufeff{}")
}

func FuzzJSONL(f *testing.F) {
	fuzzText(f, KindJSONL, `{"prompt":"a","output_tokens":3}`+"\n"+`{"token_ids":[1,2]}`, `{"token_ids":[-1]}`,
		`{"prompt":"a","output_tokens":-3}`, `{"prompt":"a","token_ids":[1]}`, `{"token_ids":[1e3,null]}`)
}

func FuzzMooncake(f *testing.F) {
	fuzzText(f, KindMooncake, `{"timestamp":0,"input_length":600,"output_length":5,"hash_ids":[1,2]}`+"\n"+`{"timestamp":27.5,"input_length":1,"output_length":0}`,
		`{"timestamp":-1,"input_length":1,"output_length":1}`, `{"timestamp":1e308,"input_length":1,"output_length":1}`, `{"timestamp":"1","input_length":1,"output_length":-1}`)
}

func FuzzShareGPT(f *testing.F) {
	fuzzText(f, KindShareGPT, `[{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]},`+"\n"+`{"conversations":[]}]`,
		`[`, `[]`, `{}`, `[[]]`, `[{"conversations":[{"value":1},{}]}]`, "[\n\n{\"a\":\"\xff\"},\n1]", `[]]`)
}

func FuzzAzure(f *testing.F) {
	fuzzText(f, KindAzure, azureHead+"2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n",
		azureHead+"2024-05-10 00:00:00.009930+00:00,1,0\n", azureHead+"2023-11-16 18:15:46,-1,1", "GeneratedTokens,TIMESTAMP,ContextTokens\n\"1\n", azureHead+"9999-01-01 00:00:00,1,1")
}

func FuzzBurstGPT(f *testing.F) {
	fuzzText(f, KindBurstGPT, burstHead+"5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,0,1087,API log\n",
		burstHead+"-5,a,1,1,1,b", burstHead+"Inf,a,1,1,1,b", burstHead+"5,a,1\n", burstHead+"0x1p3,\"a\"\"\",1,1,1,b", "Timestamp\n")
}

// FuzzParquet: parquet-go panics on some damaged files; the reader reports it.
func FuzzParquet(f *testing.F) {
	seeds := []string{parquetOf(f, []prompt{{"hi", nil}}), parquetOf(f, []promptTokens{{[]int32{1, 2}, 9}}), parquetOf(f, []document{{"a", "b"}}), "PAR1PAR1", "PAR1\xff\xff\xff\x7fPAR1"}
	for _, s := range seeds {
		f.Add([]byte(s), false)
		f.Add([]byte(s[:len(s)/2]), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, c4 bool) {
		kind := KindParquet
		if c4 {
			kind = KindC4
		}
		p, err := newParquetRows(bytes.NewReader(data), int64(len(data)), kind)
		drainParquet(t, kind, p, err)
	})
}

// drainParquet is drain, letting through what a recovered panic says.
func drainParquet(t *testing.T, kind Kind, p *parquetRows, err error) {
	if err != nil {
		return
	}
	for range 10_000 { // a damaged footer can promise any number of rows
		row, err := p.next()
		if err != nil {
			return
		}
		if !utf8.ValidString(row.Text) || row.OutputTokens < 0 || kind == KindC4 && row.Text == "" && row.LeftOut == "" {
			t.Fatalf("row %+v", row)
		}
	}
}
