package input

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkNext reads chats of 100 words.
func BenchmarkNext(b *testing.B) {
	words := strings.Repeat("some words ", 50)
	type row struct {
		Text string `parquet:"text"`
	}
	var plain, openai strings.Builder
	var rows []row
	for i := range 10_000 {
		fmt.Fprintf(&plain, "{\"id\":%d,\"text\":%q}\n", i, words)
		fmt.Fprintf(&openai, `{"custom_id":"%d","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":%q}],"max_tokens":64,"temperature":0}}`+"\n", i, words)
		rows = append(rows, row{words})
	}
	for name, content := range map[string]string{"jsonl": plain.String(), "openai": openai.String(), "zstd": zst(b, plain.String()), "parquet": parquetOf(b, rows...)} {
		path := write(b, name, content)
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				s, err := Open([]string{path}, Options{})
				if err != nil {
					b.Fatal(err)
				}
				for {
					row, err := s.Next()
					if err == io.EOF {
						break
					}
					if err != nil || row.Err != nil {
						b.Fatal(err, row)
					}
					n++
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
