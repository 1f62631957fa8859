package capacity

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"

	"stepbench/engine"
	"stepbench/engine/preset"
	"stepbench/internal/golden"
)

const records = "../../docs/benchmarks/h200/"

func shape(t testing.TB, name string) *engine.ModelShape {
	t.Helper()
	m, err := preset.Resolve(context.Background(), name, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return m.Shape
}

func cells(t testing.TB, name string) []Cell {
	t.Helper()
	f, err := os.Open(records + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := ReadCells(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

// TestRecordedThroughput compares ranges with what the H200 did. Each step is
// estimated from the other steps of its model, without itself, and from those of
// the other model; those of the later quick runs from the standard ones.
func TestRecordedThroughput(t *testing.T) {
	h200, err := FindDevice("h200")
	if err != nil {
		t.Fatal(err)
	}
	pairs := []struct{ of, from string }{
		{"gpt2.jsonl", "gpt2.jsonl"}, {"llama-2-7b.jsonl", "llama-2-7b.jsonl"},
		{"quick/gpt2.jsonl", "gpt2.jsonl"}, {"quick/llama-2-7b.jsonl", "llama-2-7b.jsonl"},
		{"gpt2.jsonl", "llama-2-7b.jsonl"}, {"llama-2-7b.jsonl", "gpt2.jsonl"},
	}
	shapes := map[string]*engine.ModelShape{"gpt2": shape(t, "gpt2"), "llama-2-7b": shape(t, "llama-2-7b")}
	var out bytes.Buffer
	for _, pair := range pairs {
		all, from := cells(t, pair.of), pair.from
		if pair.of == pair.from {
			from = "its other steps"
		}
		fmt.Fprintf(&out, "%s from %s\n", pair.of, from)
		in := 0
		for k, c := range all {
			others := cells(t, pair.from)
			if pair.of == pair.from {
				others = append(others[:k:k], others[k+1:]...)
			}
			m, err := NewMeasured(others, h200, 2, shapes)
			if err != nil {
				t.Fatal(err)
			}
			r := Rater{Model: shapes[c.Model], Device: h200, Element: 2, Measured: m}.rate(Layout{1, 1}, "", c.Shape)
			got := c.tokens() / c.WallS
			if !(got <= r.Most) {
				t.Errorf("%s %+v: measured %.0f tokens/s, above the roofline's %.0f", c.Model, c.Shape, got, r.Most)
			}
			where := "in range"
			switch {
			case got < r.Low:
				where = fmt.Sprintf("MISS, %.1f %% below", 100*(1-got/r.Low))
			case got > r.High:
				where = fmt.Sprintf("MISS, %.1f %% above", 100*(got/r.High-1))
			case got >= r.Low && got <= r.High: // and neither is NaN
				in++
			default:
				t.Errorf("%s %+v: range %v to %v", c.Model, c.Shape, r.Low, r.High)
			}
			fmt.Fprintf(&out, "%4dq%ds%-5d measured %8.0f  expected %8.0f to %8.0f  at most %8.0f tokens/s  %s\n",
				c.Batch, c.Query, c.Context, got, r.Low, r.High, r.Most, where)
		}
		fmt.Fprintf(&out, "%d of %d in range\n\n", in, len(all))
	}
	golden.Check(t, "testdata/h200-throughput.txt", out.Bytes())
}

// TestRecordedMemory compares the KV cache that vLLM chose on the H200, as records
// say it, with the estimate: within 5 %.
func TestRecordedMemory(t *testing.T) {
	h200, err := FindDevice("h200")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file, model string
		pattern     string // its group is the tokens that vLLM had room for
		tokens      int    // max_num_batched_tokens: that of the largest step, at least 2048
	}{
		{"quick/llama-2-7b.md", "llama-2-7b", `vLLM chose (\d+)`, 2048},
		{"llama-2-7b.md", "llama-2-7b", `KV cache, --kv-cache-mib gives (\d+)`, 8192},
	}
	var out bytes.Buffer
	for _, tt := range tests {
		text, err := os.ReadFile(records + tt.file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(tt.pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s says nothing as %s", tt.file, tt.pattern)
		}
		got, err := strconv.ParseInt(string(found[1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		m := Layout{1, 1}.Memory(shape(t, tt.model), h200, Limits{ElementBytes: 2, Utilization: DefaultUtilization, MaxBatchedTokens: tt.tokens, MaxSeqs: 128, ContextTokens: 2048})
		off := 100 * (float64(m.KVTokens)/float64(got) - 1)
		fmt.Fprintf(&out, "%s: vLLM had room for %d tokens, estimate %d (%+.2f %%)\n", tt.file, got, m.KVTokens, off)
		if math.Abs(off) > 5 {
			t.Errorf("%s: estimate %d tokens, vLLM %d: %.1f %% off", tt.file, m.KVTokens, got, off)
		}
	}
	golden.Check(t, "testdata/h200-memory.txt", out.Bytes())
}
