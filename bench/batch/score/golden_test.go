package score

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"

	"stepbench/bench/batch"
	"stepbench/internal/decimal"
	"stepbench/internal/golden"
)

// hostile is what must reach no terminal and no renderer of Markdown.
const hostile = "a|b \x1b[31m<script>alert(1)</script> `x` *y* [z](http://e) \u202egnp\u0085\r\nnext"

// sampleRun has every kind of row.
func sampleRun(groups bool) []*batch.Result {
	var all []*batch.Result
	for i := range int64(60) {
		group := ""
		if groups {
			group = []string{"algebra", hostile}[i%2]
		}
		r := answered(i, group, fmt.Sprintf("It is %d.", i), map[string]float64{"exact": float64(i % 3 % 2), Perplexity: 5 + float64(i%7)})
		r.Choices[0].Tokens = []int32{10, 11, int32(i)}
		r.Choices[0].DecodeS = 0.25 + float64(i)/100
		all = append(all, r)
	}
	fail(all[7])
	all[8].Failure, all[8].Choices, all[8].Scores = &batch.Failure{Code: "too_long", Message: "5000 tokens"}, nil, nil
	delete(all[9].Scores, "exact")
	all[10].Choices[0].Finish = "length"
	return all
}

func hostileRun() []*batch.Result {
	all := sampleRun(true)
	for i := int64(11); i < 40; i++ {
		all[i].Choices[0].Text = "It is " + hostile
		all[i].Choices[0].Tokens = []int32{10, int32(i), 11}
		all[i].Scores["exact"] = 0
		all[i].Scores[Perplexity] *= 1.01
	}
	all[12].ID, all[13].ID = hostile, "only here"
	all[14].Failure = &batch.Failure{Code: "engine", Message: hostile}
	all[14].Choices, all[14].Scores = nil, nil
	return all
}

func TestGoldenDocuments(t *testing.T) {
	summary := func(results []*batch.Result, o Options) *Summary {
		s, err := Summarize(stream(results...), o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	unscored := func(results []*batch.Result) []*batch.Result {
		for _, r := range results {
			r.Scores, r.Group = nil, ""
		}
		return results
	}
	a := sampleRun(true)
	a[12].ID = hostile
	tests := []struct {
		name string
		of   interface {
			Markdown(io.Writer) error
			JSON(io.Writer) error
		}
	}{
		{"summary", summary(sampleRun(false), Options{Key: "golden", WallS: 12.5, Metrics: []string{Perplexity, "exact"}})},
		{"summary-groups", summary(sampleRun(true), Options{Key: "golden", Metrics: []string{hostile}})},
		{"summary-unscored", summary(unscored(sampleRun(false))[:3], Options{})},
		{"comparison", compared(t, a, hostileRun(), CompareOptions{
			Key: "golden", Limit: 6, A: Run{"results/main", []Setting{{"model", "smol"}}}, B: Run{hostile, []Setting{{"model", hostile}}},
		})},
		{"comparison-same", compared(t, sampleRun(false), sampleRun(false), CompareOptions{A: Run{Name: "a"}, B: Run{Name: "b"}})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var md, js bytes.Buffer
			if err := tt.of.Markdown(&md); err != nil {
				t.Fatal(err)
			}
			if err := tt.of.JSON(&js); err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "testdata/"+tt.name+".md", md.Bytes())
			golden.Check(t, "testdata/"+tt.name+".json", js.Bytes())
			harmless(t, md.String())
			if !json.Valid(js.Bytes()) {
				t.Error("not JSON")
			}
		})
	}
}

// harmless text makes neither a terminal nor a renderer do anything, and all
// rows of a table have as many cells as its head.
func harmless(t *testing.T, md string) {
	t.Helper()
	for _, r := range md {
		if r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			t.Errorf("holds %U", r)
		}
	}
	if plain := strings.ReplaceAll(md, `\]`, ""); strings.Contains(plain, "<") || strings.Contains(plain, "](") {
		t.Error("holds HTML or a link")
	}
	cells := 0
	for line := range strings.Lines(md) {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		n := strings.Count(line, "|") - strings.Count(line, `\|`)
		if cells != 0 && n != cells {
			t.Errorf("%d bars, want %d: %s", n, cells, line)
		}
		cells = n
	}
}

func TestExcerpts(t *testing.T) {
	long := strings.Repeat("日本", 40)
	tests := []struct{ name, a, b, wantA, wantB string }{
		{"equal", "x", "x", "x", "x"},
		{"early", "abc", "abd", "abc", "abd"},
		{"late", long + "a", long + "b", "…" + strings.Repeat("日本", 12) + "a", "…" + strings.Repeat("日本", 12) + "b"},
		{"within a character", long + "é", long + "è", "…" + "本" + strings.Repeat("日本", 11) + "é", "…本" + strings.Repeat("日本", 11) + "è"},
		{"one ends", long, long + "b", "…" + strings.Repeat("日本", 12), "…" + strings.Repeat("日本", 12) + "b"},
		{"one is empty", "", "b", "", "b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := excerpts(tt.a, tt.b)
			if a != tt.wantA || b != tt.wantB {
				t.Errorf("%q, %q; want %q, %q", a, b, tt.wantA, tt.wantB)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	tests := []struct{ name, got, want string }{
		{"thousands", whole(1234567), "1\u202f234\u202f567"},
		{"hundreds", whole(999), "999"},
		{"microseconds", duration(0.000123), "0.123 ms"},
		{"milliseconds", duration(0.0456), "45.60 ms"},
		{"seconds", duration(1.5), "1.50 s"},
		{"minutes", duration(754), "12 min 34 s"},
		{"hours", duration(7384), "2 h 3 min"},
		{"rate", rate(0.6125), "61.3 %"},
		{"no negative zero", decimal.Signed(-0.0001, 1), "0.0"},
		{"small p", pValue(0.0001), "< 0.001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("%q, want %q", tt.got, tt.want)
			}
		})
	}
}
