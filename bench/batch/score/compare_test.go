package score

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/bench/batch"
)

func compared(t *testing.T, a, b []*batch.Result, o CompareOptions) *Comparison {
	t.Helper()
	c, err := Compare(stream(a...), stream(b...), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// exactRun has n rows, of which those in wrong are wrong.
func exactRun(n int64, wrong ...int64) []*batch.Result {
	var all []*batch.Result
	for i := range n {
		all = append(all, answered(i, "", "right", map[string]float64{"exact": 1}))
	}
	for _, i := range wrong {
		all[i].Choices[0].Text, all[i].Scores = "wrong", map[string]float64{"exact": 0}
	}
	return all
}

func with(all []*batch.Result, change func(*batch.Result), at ...int64) []*batch.Result {
	for _, i := range at {
		change(all[i])
	}
	return all
}

func fail(r *batch.Result) {
	r.Choices, r.Scores, r.Failure = nil, nil, &batch.Failure{Code: "engine", Message: "died"}
}

func reword(r *batch.Result) { r.Choices[0].Text += "!" }

func span(from, to int64) (all []int64) {
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

func TestVerdict(t *testing.T) {
	unscored := func(all []*batch.Result) []*batch.Result {
		for _, r := range all {
			r.Scores = nil
		}
		return all
	}
	perplexities := func(factor float64) (all []*batch.Result) {
		r := rand.New(rand.NewPCG(1, 2))
		for i := range int64(40) {
			all = append(all, answered(i, "", "", map[string]float64{Perplexity: factor * (8 + r.Float64())}))
		}
		return all
	}
	tests := []struct {
		name string
		a, b []*batch.Result
		want Verdict
		line string
	}{
		{
			"the same", exactRun(10, 3), exactRun(10, 3), Same,
			"SAME: 10 rows in both runs; exact 90.0 % → 90.0 %, no row changed; no text differs",
		},
		{
			"other words, same scores", exactRun(10), with(exactRun(10), reword, 1, 2), Same,
			"SAME: 10 rows in both runs; exact 100.0 % → 100.0 %, no row changed; texts differ in 2 rows, scores in 0",
		},
		{
			"five rows fell, too few", exactRun(100), exactRun(100, span(0, 5)...), NotResolved,
			"NOT RESOLVED: 100 rows in both runs; exact 100.0 % → 95.0 %, −5.0 points (95 % CI −11.0…−2.0), 0 up and 5 down (McNemar p = 0.062); texts differ in 5 rows, scores in 5",
		},
		{
			"seven up, six down", exactRun(100, span(0, 7)...), exactRun(100, span(10, 16)...), NotResolved,
			"NOT RESOLVED: 100 rows in both runs; exact 93.0 % → 94.0 %, +1.0 points (95 % CI −6.0…+7.0), 7 up and 6 down (McNemar p = 1.000); texts differ in 13 rows, scores in 13",
		},
		{
			"twelve fell", exactRun(100), exactRun(100, span(0, 12)...), Worse,
			"WORSE: 100 rows in both runs; exact 100.0 % → 88.0 %, −12.0 points (95 % CI −20.0…−6.0), 0 up and 12 down (McNemar p < 0.001); texts differ in 12 rows, scores in 12",
		},
		{
			"twelve rose", exactRun(100, span(0, 12)...), exactRun(100), Better,
			"BETTER: 100 rows in both runs; exact 88.0 % → 100.0 %, +12.0 points (95 % CI +6.0…+20.0), 12 up and 0 down (McNemar p < 0.001); texts differ in 12 rows, scores in 12",
		},
		{
			"all fell", exactRun(8), exactRun(8, span(0, 8)...), Worse,
			"WORSE: 8 rows in both runs; exact 100.0 % → 0.0 %, −100.0 points, 0 up and 8 down (McNemar p = 0.008); texts differ in 8 rows, scores in 8",
		},
		{
			"failures take right answers away", exactRun(100), with(exactRun(100), fail, span(0, 12)...), Worse,
			"WORSE: 100 rows in both runs; exact with failed rows as 0 100.0 % → 88.0 %, −12.0 points (95 % CI −19.0…−7.0), 0 up and 12 down (McNemar p < 0.001); no text differs; 1 warning",
		},
		{
			"all failed in B", exactRun(8), with(exactRun(8), fail, span(0, 8)...), Worse,
			"WORSE: 8 rows in both runs; exact with failed rows as 0 100.0 % → 0.0 %, −100.0 points, 0 up and 8 down (McNemar p = 0.008); no text differs; 1 warning",
		},
		{
			"failures of wrong answers", exactRun(100, span(0, 12)...), with(exactRun(100, span(0, 12)...), fail, span(0, 12)...), Same,
			"SAME: 100 rows in both runs; exact 100.0 % → 100.0 %, no row changed; no text differs; 1 warning",
		},
		{
			"perplexity rose", perplexities(1), perplexities(1.02), Worse,
			"WORSE: 40 rows in both runs; perplexity 8.548 → 8.719, +0.171 (95 % CI +0.169…+0.173), 40 up and 0 down (sign p < 0.001); no text differs",
		},
		{
			"perplexity fell", perplexities(1), perplexities(0.98), Better,
			"BETTER: 40 rows in both runs; perplexity 8.548 → 8.377, −0.171 (95 % CI −0.173…−0.169), 0 up and 40 down (sign p < 0.001); no text differs",
		},
		{
			"no scores, same texts", unscored(exactRun(3)), unscored(exactRun(3)), Same,
			"SAME: 3 rows in both runs; no text differs",
		},
		{
			"no scores, other texts", unscored(exactRun(3)), unscored(with(exactRun(3), reword, 1)), OutputsDiffer,
			"OUTPUTS DIFFER: 3 rows in both runs; texts differ in 1 row, scores in 0",
		},
		{
			"nothing in common", exactRun(3), nil, NotComparable,
			"NOT COMPARABLE: no row is in both runs; 1 warning",
		},
		{
			"scored in one run only", exactRun(3), unscored(exactRun(3)), NotResolved,
			"NOT RESOLVED: 3 rows in both runs; exact not scored in both; no text differs; 1 warning",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := compared(t, tt.a, tt.b, CompareOptions{Key: "test"})
			if c.Verdict != tt.want {
				t.Errorf("%s, want %s", c.Verdict, tt.want)
			}
			if diff := cmp.Diff(tt.line, c.Line()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// WORSE where nothing got worse must stay as rare as the interval says: 2.5 %,
// of few changed rows less.
func TestVerdictFalseAlarms(t *testing.T) {
	const sets = 400
	r := rand.New(rand.NewPCG(11, 12))
	for _, changing := range []float64{0.06, 0.3} {
		worse := 0
		for set := range sets / thinning {
			a, b := exactRun(100), exactRun(100)
			for i := range a {
				right := float64(r.IntN(2))
				a[i].Scores["exact"], b[i].Scores["exact"] = right, right
				if r.Float64() < changing {
					b[i].Scores["exact"] = 1 - right
				}
			}
			if compared(t, a, b, CompareOptions{Key: fmt.Sprint(set)}).Verdict == Worse {
				worse++
			}
		}
		t.Logf("%.0f %% of rows change: WORSE in %d of %d", 100*changing, worse, sets/thinning)
		if limit := 0.045 * float64(sets/thinning) * math.Sqrt(thinning); float64(worse) > limit {
			t.Errorf("%.0f %% of rows change: WORSE in %d of %d", 100*changing, worse, sets/thinning)
		}
	}
}

func TestCompareByHand(t *testing.T) {
	a := exactRun(6, 0, 1)
	b := with(exactRun(8, 1, 2), fail, 3)
	b = append(b[:4], b[5:]...) // row 4 only in A, 6 and 7 only in B
	a[5].Choices[0].Tokens, b[4].Choices[0].Tokens = []int32{1, 2, 3}, []int32{1, 2, 4, 5}
	b[4].Choices[0].Text, b[4].PromptTokens = "rigid", 12
	c := compared(t, a, b, CompareOptions{
		A: Run{"main", []Setting{{"model", "m"}, {"temperature", "0"}, {"old", "1"}}},
		B: Run{"kernel", []Setting{{"model", "m"}, {"temperature", "0.7"}, {"new", "2"}}},
	})
	five := cmpopts.EquateApprox(0, 1e-12)
	want := &Comparison{
		Verdict: NotResolved, Pairs: 5, FailedOnlyB: 1,
		OnlyA: Alone{1, []string{"row-4"}}, OnlyB: Alone{2, []string{"row-6", "row-7"}},
		Metrics: []Difference{{
			Metric:     "exact",
			OfAnswered: &Paired{Rows: 4, A: 0.5, B: 0.5, Up: 1, Down: 1, P: 1, Test: "McNemar"},
			OfAll:      &Paired{Rows: 5, A: 0.6, B: 0.4, Delta: -0.2, Up: 1, Down: 2, P: 1, Test: "McNemar"},
			Verdict:    NotResolved,
		}},
		Groups: []GroupDifference{},
		Changed: Changes{
			Rows: 4, Texts: 3, Scores: 2, Listing: 4, FirstToken: &Divergence{1, 2, 2, 2},
			List: []*Change{
				{ID: "row-3", IndexA: 3, IndexB: 3, TextA: "right", FailureB: &batch.Failure{Code: "engine", Message: "died"}},
				{ID: "row-2", IndexA: 2, IndexB: 2, TextDiffers: true, Scores: map[string]ScorePair{"exact": {1, 0}}, TextA: "right", TextB: "wrong"},
				{ID: "row-0", TextDiffers: true, Scores: map[string]ScorePair{"exact": {0, 1}}, TextA: "wrong", TextB: "right"},
				{ID: "row-5", IndexA: 5, IndexB: 5, TextDiffers: true, FirstToken: ptr(2), TextA: "right", TextB: "rigid"},
			},
		},
		Warnings: []string{
			"temperature: 0 in A, 0.7 in B", "old: 1 in A, not given in B", "new: not given in A, 2 in B",
			"prompts have other numbers of tokens in 1 pair: the inputs, chat templates or tokenizers differ",
			"1 row failed in B, not in A", "1 row only in A, left out", "2 rows only in B, left out",
		},
	}
	if diff := cmp.Diff(want, c, five, cmpopts.IgnoreFields(Comparison{}, "A", "B")); diff != "" {
		t.Error(diff)
	}
}

func ptr[T any](v T) *T { return &v }

func TestPerplexityDifferenceByHand(t *testing.T) {
	row := func(i int64, tokens int32, ppl float64) *batch.Result {
		return &batch.Result{Index: i, ID: fmt.Sprint("r", i), PromptTokens: tokens + 1, Scores: map[string]float64{Perplexity: ppl}}
	}
	a := []*batch.Result{row(0, 10, math.Exp(1)), row(1, 30, math.Exp(2))}
	b := []*batch.Result{row(0, 10, math.Exp(2)), row(1, 50, math.Exp(2))}
	c := compared(t, a, b, CompareOptions{})
	p := c.Metrics[0].OfAnswered
	if math.Abs(p.A-math.Exp(70./40)) > 1e-9 || math.Abs(p.B-math.Exp(2)) > 1e-9 || p.Up != 1 || p.Down != 0 {
		t.Errorf("%+v", p)
	}
	if len(c.Warnings) != 2 || !strings.HasPrefix(c.Warnings[1], "perplexity is over other numbers of tokens in 1 pair") {
		t.Errorf("%q", c.Warnings)
	}
}

// Whatever the order and however little memory, the same rows pair up.
func TestCompareInAnyOrder(t *testing.T) {
	build := func() (a, b []*batch.Result) {
		a, b = exactRun(300, span(0, 30)...), with(exactRun(300, span(20, 60)...), fail, 100, 101)
		for i := range a {
			a[i].Choices[0].Tokens = []int32{1, 2}
			if b[i].Failure == nil {
				b[i].Choices[0].Tokens = []int32{1, int32(i)}
			}
		}
		// A row with the id of another one, and for that reason invalid.
		for _, run := range []*[]*batch.Result{&a, &b} {
			*run = append(*run, &batch.Result{Index: 300, ID: "row-7", Failure: &batch.Failure{Code: "invalid_row", Message: "duplicate id"}})
		}
		return a, b
	}
	a, b := build()
	want := compared(t, a, b, CompareOptions{Key: "k"})
	if want.Pairs != 301 || want.FailedBoth != 1 || want.FailedOnlyB != 2 {
		t.Fatalf("%d pairs, %d failed in both, %d in B", want.Pairs, want.FailedBoth, want.FailedOnlyB)
	}
	for seed := range uint64(5) {
		a, b := build()
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(a), func(i, j int) { a[i], a[j] = a[j], a[i] })
		r.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
		if diff := cmp.Diff(want, compared(t, a, b, CompareOptions{Key: "k"})); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		tight := compared(t, a, b, CompareOptions{Key: "k", TextBytes: 50})
		if tight.Changed.Texts != want.Changed.Texts || len(tight.Warnings) != len(want.Warnings)+1 {
			t.Errorf("seed %d: %d texts differ, want %d; %q", seed, tight.Changed.Texts, want.Changed.Texts, tight.Warnings)
		}
		if diff := cmp.Diff(want.Metrics, tight.Metrics); diff != "" {
			t.Errorf("seed %d: %s", seed, diff)
		}
	}
}

// An id that is only taken in one of the inputs pairs with the row that has it.
func TestInvalidRowPairsAtTheEnd(t *testing.T) {
	a := []*batch.Result{{Index: 4, ID: "x", Failure: &batch.Failure{Code: "invalid_row"}}}
	b := []*batch.Result{{Index: 0, ID: "x", Choices: []batch.Choice{{Text: "ok"}}}}
	c := compared(t, a, b, CompareOptions{})
	if c.Pairs != 1 || c.FailedOnlyA != 1 || c.OnlyA.Rows+c.OnlyB.Rows != 0 {
		t.Errorf("%d pairs, %d failed in A, %v, %v", c.Pairs, c.FailedOnlyA, c.OnlyA, c.OnlyB)
	}
}

func TestListingKeepsTheGravest(t *testing.T) {
	a, b := exactRun(400), with(exactRun(400, 399, 200), reword, span(0, 300)...)
	c := compared(t, a, b, CompareOptions{Limit: 3})
	var ids []string
	for _, row := range c.Changed.List {
		ids = append(ids, row.ID)
	}
	if diff := cmp.Diff([]string{"row-200", "row-399", "row-0"}, ids); diff != "" {
		t.Error(diff)
	}
	if c.Changed.Rows != 301 || c.Changed.Listing != 3 {
		t.Errorf("%d changed, %d listed", c.Changed.Rows, c.Changed.Listing)
	}
}

func TestCompareErrors(t *testing.T) {
	broken := errors.New("part 2 is broken")
	good, bad := stream(exactRun(3)...), failing(broken)
	for _, sides := range [][2]iter.Seq2[*batch.Result, error]{{good, bad}, {bad, good}} {
		if _, err := Compare(sides[0], sides[1], CompareOptions{}); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	}
	full := errors.New("disk is full")
	_, err := Compare(good, stream(exactRun(3, 1)...), CompareOptions{Changed: func(*Change) error { return full }})
	if !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

func TestFirstDifference(t *testing.T) {
	tests := []struct {
		name string
		a, b []int32
		want *int
	}{
		{"equal", []int32{1, 2}, []int32{1, 2}, nil},
		{"first", []int32{1, 2}, []int32{2, 2}, ptr(0)},
		{"last", []int32{1, 2}, []int32{1, 3}, ptr(1)},
		{"one begins the other", []int32{1, 2}, []int32{1, 2, 3}, ptr(2)},
		{"not kept", nil, []int32{1}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, firstDifference(tt.a, tt.b)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChangeFiles(t *testing.T) {
	a, b := exactRun(4), with(exactRun(4, 1), fail, 2)
	b[0].Choices[0].Text = "line one\n\"two\", <b>"
	b[1].Scores["second"], a[1].Scores["second"] = 0.25, 1
	var lines, table bytes.Buffer
	add, flush := NewChangeCSV(&table)
	jsonl := NewChangeJSONL(&lines)
	compared(t, a, b, CompareOptions{Changed: func(c *Change) error { return errors.Join(jsonl(c), add(c)) }})
	if err := flush(); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&lines)
	var ids []string
	for d.More() {
		var c Change
		if err := d.Decode(&c); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	if diff := cmp.Diff([]string{"row-0", "row-1", "row-2"}, ids); diff != "" {
		t.Error(diff)
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"id", "index_a", "index_b", "group", "text_differs", "choice", "first_token", "metric", "score_a", "score_b", "failure_a", "failure_b", "text_a", "text_b"},
		{"row-0", "0", "0", "", "true", "0", "", "", "", "", "", "", "right", "line one\n\"two\", <b>"},
		{"row-1", "1", "1", "", "true", "0", "", "exact", "1", "0", "", "", "right", "wrong"},
		{"row-1", "1", "1", "", "true", "0", "", "second", "1", "0.25", "", "", "right", "wrong"},
		{"row-2", "2", "2", "", "false", "0", "", "", "", "", "", "engine", "right", ""},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestChangeFileErrors(t *testing.T) {
	add, flush := NewChangeCSV(fullDisk{})
	if err := errors.Join(add(&Change{}), flush()); err == nil {
		t.Error("CSV: no error")
	}
	if err := NewChangeJSONL(fullDisk{})(&Change{}); err == nil {
		t.Error("JSONL: no error")
	}
}
