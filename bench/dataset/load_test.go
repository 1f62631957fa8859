package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/internal/golden"
)

// words is a tokeniser whose token for a word is its length.
func words(_ context.Context, texts []string) ([][]int32, error) {
	out := make([][]int32, len(texts))
	for i, t := range texts {
		out[i] = []int32{}
		for _, w := range strings.Fields(t) {
			out[i] = append(out[i], int32(len(w)))
		}
	}
	return out, nil
}

func lines100(format string) string {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, format+"\n", i)
	}
	return b.String()
}

func load(t *testing.T, spec LoadSpec) Loaded {
	t.Helper()
	if spec.Random.Vocab == 0 {
		spec.Random.Vocab = 1000
	}
	l, err := Load(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLoadPrompts(t *testing.T) {
	path := file(t, "own.jsonl", lines100(`{"token_ids":[%d]}`))
	spec := LoadSpec{Source: Source{KindJSONL, path}, Requests: 30, Length: Length{OutputTokens: 7}}
	a := load(t, spec)
	if len(a.Items) != 30 || a.Rows != 100 || a.Tokenised != 0 {
		t.Fatalf("%d items of %d rows, %d tokenised", len(a.Items), a.Rows, a.Tokenised)
	}
	seen := map[int32]bool{}
	for _, it := range a.Items {
		if len(it.Prompt) != 1 || it.OutputTokens != 7 || seen[it.Prompt[0]] {
			t.Errorf("item %+v, seen %v", it, seen[it.Prompt[0]])
		}
		seen[it.Prompt[0]] = true
	}
	if diff := cmp.Diff(a.Items, load(t, spec).Items); diff != "" {
		t.Errorf("the same seed gives other prompts:\n%s", diff)
	}
	spec.Random.Seed = 2
	b := load(t, spec)
	if cmp.Equal(a.Items, b.Items) || SHA256(a.Items) == SHA256(b.Items) {
		t.Errorf("another seed gives the same prompts")
	}
}

func TestLoadText(t *testing.T) {
	path := file(t, "s.json", `[{"conversations":[{"value":"one three five"},{"value":"a b c d"}]},{"conversations":[{"value":"x"}]},
		{"conversations":[{"value":"much too long for this model by far"},{"value":"yes"}]}]`)
	got := load(t, LoadSpec{Source: Source{KindShareGPT, path}, Requests: 1, MaxModelTokens: 8, Tokenise: words})
	if diff := cmp.Diff([]Item{{Prompt: []int32{3, 5, 4}, OutputTokens: 4}}, got.Items); diff != "" {
		t.Error(diff)
	}
	if got.Tokenised < 7 || got.TokeniseNs <= 0 || got.LeftOut["fewer than two turns"] != 1 {
		t.Errorf("loaded %+v", got)
	}
}

// TestLoadC4 packs documents of 100 tokens into prompts of at least 250.
func TestLoadC4(t *testing.T) {
	var b strings.Builder
	for i := range 64 {
		fmt.Fprintf(&b, "{\"text\":%q}\n", strings.TrimSpace(strings.Repeat(strings.Repeat("w", i+1)+" ", 100)))
	}
	source := Source{KindC4, file(t, "c4.jsonl", b.String())}
	spec := LoadSpec{Source: source, Requests: 21, Length: Length{InputTokens: 250, OutputTokens: 50}, Tokenise: words}
	for _, tt := range []struct {
		name           string
		maxModel, want int
	}{{"whole documents", 0, 300}, {"cut for the model", 330, 280}, {"a model with room", 4096, 300}} {
		t.Run(tt.name, func(t *testing.T) {
			spec.MaxModelTokens = tt.maxModel
			got := load(t, spec)
			documents := map[int32]int{}
			for i, it := range got.Items {
				if len(it.Prompt) != tt.want || it.OutputTokens != 50 {
					t.Errorf("item %d: %d in, %d out, want %d and 50", i, len(it.Prompt), it.OutputTokens, tt.want)
				}
				for k := 0; k < len(it.Prompt); k += 100 {
					documents[it.Prompt[k]]++
				}
			}
			if len(got.Items) != 21 || len(documents) != 63 {
				t.Errorf("%d items of %d documents, want 21 of 63, each used once", len(got.Items), len(documents))
			}
		})
	}
	spec.Requests = 22
	_, err := Load(context.Background(), withVocab(spec))
	if err == nil || !strings.Contains(err.Error(), "64 rows make 21 requests, 22 were asked for") {
		t.Errorf("too few documents: %v", err)
	}
}

func withVocab(s LoadSpec) LoadSpec {
	s.Random.Vocab = 1000
	return s
}

func TestLoadTrace(t *testing.T) {
	path := file(t, "m.jsonl", `{"timestamp":0,"input_length":600,"output_length":5,"hash_ids":[7,8]}
{"timestamp":10,"input_length":520,"output_length":0,"hash_ids":[7,9]}
{"timestamp":20,"input_length":5000,"output_length":5}
{"timestamp":30,"input_length":700,"output_length":6,"hash_ids":[7,9]}
{"timestamp":40,"input_length":9,"output_length":6}
{"timestamp":50,"input_length":9,"output_length":6}
`)
	spec := LoadSpec{Source: Source{KindMooncake, path}, Requests: 3, MaxModelTokens: 1024}
	got := load(t, spec)
	if len(got.Items) != 3 || got.Rows != 5 || got.LeftOut[tooLongForModel] != 1 || got.LeftOut[noOutput] != 1 {
		t.Fatalf("%d items, %d rows, left out %v", len(got.Items), got.Rows, got.LeftOut)
	}
	for i, want := range []struct {
		n, out int
		at     int64
	}{{600, 5, 0}, {700, 6, 30e6}, {9, 6, 40e6}} {
		if it := got.Items[i]; len(it.Prompt) != want.n || it.OutputTokens != want.out || it.AtNs != want.at {
			t.Errorf("item %d: %d in, %d out at %d ns, want %+v", i, len(it.Prompt), it.OutputTokens, it.AtNs, want)
		}
	}
	a, b := got.Items[0].Prompt, got.Items[1].Prompt
	if !slices.Equal(a[:BlockTokens], b[:BlockTokens]) || slices.Equal(a[BlockTokens:600], b[BlockTokens:600]) {
		t.Errorf("equal blocks are not equal tokens, or different ones are")
	}
	spec.Requests = 100
	if n := len(load(t, spec).Items); n != 4 {
		t.Errorf("%d items of a trace that has 4", n)
	}
}

func TestNextBatch(t *testing.T) {
	short, long := make([]Row, 100), []Row{{Text: strings.Repeat("x", tokeniseBytes)}, {Text: "y"}}
	for _, tt := range []struct {
		name string
		rows []Row
		want int
	}{{"none", nil, 0}, {"few", short[:3], 3}, {"many", short, tokeniseRows}, {"large", long, 1}, {"large later", append(short[:2:2], long...), 3}} {
		if got := len(nextBatch(tt.rows)); got != tt.want {
			t.Errorf("%s: %d rows, want %d", tt.name, got, tt.want)
		}
	}
}

func TestLoad_Errors(t *testing.T) {
	own := file(t, "own.jsonl", lines100(`{"prompt":"p %d"}`))
	ids := file(t, "ids.jsonl", `{"token_ids":[5,1000]}`)
	trace := file(t, "a.csv", azureHead+"2023-11-16 18:15:46,9000,1\n")
	broken := func(context.Context, []string) ([][]int32, error) { return nil, errors.New("no tokenizer") }
	short := func(context.Context, []string) ([][]int32, error) { return [][]int32{{1}}, nil }
	tests := []struct {
		name string
		spec LoadSpec
		want string
	}{
		{"too few prompts", LoadSpec{Source: Source{KindJSONL, own}, Requests: 101, Tokenise: words, Length: Length{OutputTokens: 1}}, "100 rows make 100 requests, 101 were asked for: lower --requests"},
		{"none fits", LoadSpec{Source: Source{KindJSONL, own}, Requests: 3, Tokenise: words, MaxModelTokens: 2, Length: Length{OutputTokens: 1}}, "make 0 requests, 3 were asked for, 48 longer than the model allows"},
		{"no tokeniser", LoadSpec{Source: Source{KindJSONL, own}, Requests: 3}, "holds text, and there is no tokeniser"},
		{"tokeniser fails", LoadSpec{Source: Source{KindJSONL, own}, Requests: 3, Tokenise: broken}, "no tokenizer"},
		{"tokeniser loses texts", LoadSpec{Source: Source{KindJSONL, own}, Requests: 3, Tokenise: short}, "48 texts gave 1 lists of tokens"},
		{"outside the vocabulary", LoadSpec{Source: Source{KindJSONL, ids}, Requests: 1}, "line 1: token id 1000 is outside the model's vocabulary of 1000"},
		{"trace that does not fit", LoadSpec{Source: Source{KindAzure, trace}, Requests: 1, MaxModelTokens: 1024}, "no usable request in 1 rows, 1 longer than the model allows"},
		{"no file", LoadSpec{Source: Source{KindAzure, "none.csv"}, Requests: 1}, "none.csv: no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(context.Background(), withVocab(tt.spec))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	good := lines100(`{"token_ids":[%d]}`)
	tests := []struct {
		name, content string
		requests      int
		want          string // empty: passes
	}{
		{"good", good, 3, ""},
		{"broken beyond what is needed", good + "{", 3, ""},
		{"broken where it is needed", good + "{", 50, "line 101"},
		{"nothing usable", `{"prompt":""}`, 1, "no usable request in 1 rows, 1 empty text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Check(Source{KindJSONL, file(t, "x.jsonl", tt.content)}, tt.requests)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestC4Lengths: the table's mean is C4's, and packing keeps its bounds.
func TestC4Lengths(t *testing.T) {
	sum := 0
	for _, n := range c4Documents {
		sum += n
	}
	if mean := float64(sum) / float64(len(c4Documents)); mean < 426.5 || mean > 427.5 || !slices.IsSorted(c4Documents[:]) {
		t.Errorf("mean document %g tokens, want 427", mean)
	}
	const n, least, most = 2000, 768, 1536
	total, cut := 0, 0
	for i := range n {
		x := C4Length(1, i, least, most)
		if x < least || x > most {
			t.Fatalf("prompt %d has %d tokens", i, x)
		}
		total += x
		if x == most {
			cut++
		}
	}
	// The last document to be packed is longer than most: a long one is more
	// likely to reach the end. 400,000 prompts of another program: mean 1113,
	// 17.9 % cut. Bounds are 3.3 standard errors.
	if mean := float64(total) / n; mean < 1093 || mean > 1133 || cut < 302 || cut > 415 {
		t.Errorf("mean prompt %g tokens, %d of %d cut", mean, cut, n)
	}
	if C4Length(1, 5, least, most) == C4Length(2, 5, least, most) && C4Length(1, 6, least, most) == C4Length(2, 6, least, most) {
		t.Errorf("seeds 1 and 2 give the same lengths")
	}
}

func TestMaxPacked(t *testing.T) {
	minimum := Length{768, 192}
	for _, tt := range []struct{ model, want int }{{0, 1536}, {1024, 832}, {4096, 1536}, {960, 768}, {100, 768}} {
		if got := MaxPacked(minimum, tt.model); got != tt.want {
			t.Errorf("MaxPacked for %d = %d, want %d", tt.model, got, tt.want)
		}
	}
}

// TestLoadGolden pins which prompts a seed chooses and what tokens blocks and
// traces have, on every machine.
func TestLoadGolden(t *testing.T) {
	own := Source{KindJSONL, file(t, "own.jsonl", lines100(`{"token_ids":[%d],"output_tokens":3}`))}
	trace := Source{KindMooncake, file(t, "m.jsonl", `{"timestamp":5,"input_length":4,"output_length":2,"hash_ids":[7]}
{"timestamp":9,"input_length":5,"output_length":2}`)}
	var b strings.Builder
	for _, s := range []Source{own, trace} {
		l := load(t, LoadSpec{Source: s, Requests: 6, Random: RandomSpec{Vocab: 50257, Seed: 1}})
		fmt.Fprintf(&b, "%s sha256 %s\n", s.Kind, SHA256(l.Items))
		for _, it := range l.Items {
			fmt.Fprintln(&b, it.Prompt, it.OutputTokens, it.AtNs)
		}
	}
	b.WriteString("c4 lengths")
	for i := range 16 {
		fmt.Fprintf(&b, " %d", C4Length(1, i, 768, 1536))
	}
	b.WriteString("\n")
	golden.Check(t, "testdata/load.txt", []byte(b.String()))
}
