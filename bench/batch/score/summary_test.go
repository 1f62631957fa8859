package score

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/bench/batch"
)

func stream(results ...*batch.Result) iter.Seq2[*batch.Result, error] {
	return func(yield func(*batch.Result, error) bool) {
		for _, r := range results {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func failing(err error) iter.Seq2[*batch.Result, error] {
	return func(yield func(*batch.Result, error) bool) { yield(nil, err) }
}

func failed(index int64, code, group string) *batch.Result {
	return &batch.Result{
		Index: index, ID: fmt.Sprintf("row-%d", index), Group: group,
		Failure: &batch.Failure{Code: code, Message: "of " + code},
	}
}

func answered(index int64, group, text string, scores map[string]float64) *batch.Result {
	return &batch.Result{
		Index: index, ID: fmt.Sprintf("row-%d", index), Group: group, PromptTokens: 11, CachedTokens: 4, Scores: scores,
		Choices: []batch.Choice{{
			Text: text, Finish: "stop", OutputTokens: 5, QueueS: 0.5, PrefillS: 0.25, DecodeS: 0.25, E2ES: 1,
		}},
	}
}

// Eight rows, every figure of which can be told in the head: 4 of 6 answered
// ones are right, so 4 of 8 in all with 2 failures; one more has no reference.
func TestSummaryByHand(t *testing.T) {
	right, wrong := map[string]float64{"exact": 1}, map[string]float64{"exact": 0}
	s, err := Summarize(stream(
		answered(0, "a", "", right), answered(1, "a", "", right), answered(2, "a", "", right), answered(3, "b", "", right),
		answered(4, "b", "", wrong), answered(5, "b", "", wrong),
		failed(6, "too_long", "b"), failed(7, "engine", ""), answered(8, "", "", nil),
	), Options{Key: "test", Metrics: []string{"numeric", "exact"}, WallS: 10})
	if err != nil {
		t.Fatal(err)
	}
	type figures struct {
		Metric                   string
		Scored, Unscored, Failed int64
		OfAnswered, OfAll        float64
	}
	of := func(metrics []MetricSummary) (all []figures) {
		for _, m := range metrics {
			f := figures{m.Metric, m.Scored, m.Unscored, m.Failed, -1, -1}
			if m.OfAnswered != nil {
				f.OfAnswered = m.OfAnswered.Value
			}
			if m.OfAll != nil {
				f.OfAll = m.OfAll.Value
			}
			all = append(all, f)
		}
		return all
	}
	close := cmpopts.EquateApprox(0, 1e-12)
	if diff := cmp.Diff([]figures{{"numeric", 0, 7, 2, -1, -1}, {"exact", 6, 1, 2, 4. / 6, 4. / 8}}, of(s.Metrics), close); diff != "" {
		t.Error(diff)
	}
	groups := map[string][]figures{}
	for _, g := range s.Groups {
		groups[g.Group] = of(g.Metrics)
	}
	if diff := cmp.Diff(map[string][]figures{
		NoGroup: {{"numeric", 0, 1, 1, -1, -1}, {"exact", 0, 1, 1, -1, -1}},
		"a":     {{"numeric", 0, 3, 0, -1, -1}, {"exact", 3, 0, 0, 1, 1}},
		"b":     {{"numeric", 0, 3, 1, -1, -1}, {"exact", 3, 0, 1, 1. / 3, 1. / 4}},
	}, groups, close); diff != "" {
		t.Error(diff)
	}
	rest := *s
	rest.Metrics, rest.Groups = nil, nil
	want := Summary{
		Rows: 9, Answered: 7, Failed: 2, Failures: []Count{{"engine", 1}, {"too_long", 1}},
		Tokens: Tokens{Prompt: 77, Cached: 28, Output: 35}, Finish: []Count{{"stop", 7}}, WallS: 10,
		Rates: &Rates{Rows: 0.7, PromptTokens: 7.7, OutputTokens: 3.5},
		Latency: []Latency{
			{"queue", 7, 0.5, 0.5, 0.5, 0.5, 0.5}, {"prefill", 7, 0.25, 0.25, 0.25, 0.25, 0.25},
			{"decode", 7, 0.25, 0.25, 0.25, 0.25, 0.25}, {"e2e", 7, 1, 1, 1, 1, 1},
		},
	}
	if diff := cmp.Diff(want, rest, close); diff != "" {
		t.Error(diff)
	}
}

// exp of the mean over tokens, not the mean of exps: 1 token of -3 and 3 of -1
// are exp(6/4).
func TestCorpusPerplexity(t *testing.T) {
	metrics, err := ParseMetrics("perplexity")
	if err != nil {
		t.Fatal(err)
	}
	short, long := prompted(-3), prompted(-1, -1, -1)
	long.Index = 1
	Apply(metrics, &batch.Row{}, short)
	Apply(metrics, &batch.Row{}, long)
	for _, kept := range []bool{true, false} {
		if !kept { // an output without prompt logprobs
			short.PromptLogprobs, long.PromptLogprobs = nil, nil
		}
		s, err := Summarize(stream(short, long, failed(2, "engine", "")), Options{})
		if err != nil {
			t.Fatal(err)
		}
		m := s.Metrics[0]
		if m.Tokens != 4 || m.Scored != 2 || math.Abs(m.OfAnswered.Value-math.Exp(1.5)) > 1e-12 {
			t.Errorf("kept %v: %d tokens, %d rows, %v; want exp(1.5)", kept, m.Tokens, m.Scored, m.OfAnswered.Value)
		}
		if m.OfAll != nil {
			t.Errorf("a failed row has no perplexity of 0: %v", m.OfAll)
		}
	}
}

func TestSummaryLeavesOutWhatIsNoNumber(t *testing.T) {
	s, err := Summarize(stream(
		answered(0, "", "", map[string]float64{"exact": math.NaN()}), answered(1, "", "", map[string]float64{"exact": math.Inf(1)}),
		answered(2, "", "", map[string]float64{"exact": 1}),
		&batch.Result{Index: 3, PromptTokens: 1, Scores: map[string]float64{Perplexity: 4}},
	), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Metrics) != 1 {
		t.Fatalf("%d metrics, want exact alone", len(s.Metrics))
	}
	if m := s.Metrics[0]; m.Scored != 1 || m.Unscored != 3 || m.OfAnswered.Value != 1 {
		t.Errorf("%d scored, %d without, %v", m.Scored, m.Unscored, m.OfAnswered.Value)
	}
}

func TestSummaryError(t *testing.T) {
	broken := errors.New("part 3 is broken")
	if _, err := Summarize(failing(broken), Options{}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// Twenty rows right are no proof of 100 %.
func TestIntervalOfRowsAllAlike(t *testing.T) {
	sum := NewSummarizer(Options{})
	for i := range int64(20) {
		sum.Add(answered(i, "", "", map[string]float64{"exact": 1}))
	}
	e := sum.Summary().Metrics[0].OfAnswered
	if e.Method != byWilson || e.CI.Hi != 1 || math.Abs(e.CI.Lo-0.8389) > 1e-4 {
		t.Errorf("%v by %s, want Wilson's 0.8389…1", e.CI, e.Method)
	}
}

// randomRun has scores, failures, groups and perplexities.
func randomRun(n int) []*batch.Result {
	r := rand.New(rand.NewPCG(7, 8))
	var all []*batch.Result
	for i := range int64(n) {
		if r.IntN(50) == 0 {
			all = append(all, failed(i, "engine", "g"))
			continue
		}
		hit := 0.0
		if r.IntN(10) < 6 {
			hit = 1
		}
		all = append(all, answered(i, fmt.Sprint("g", r.IntN(3)), "", map[string]float64{"exact": hit, Perplexity: 5 + 10*r.Float64()}))
	}
	return all
}

// The order in which rows end is chance: the summary must not depend on it.
func TestSummaryOfAnyOrder(t *testing.T) {
	for _, n := range []int{500, maxUnits + 1000} {
		run := randomRun(n)
		one, err := Summarize(stream(run...), Options{Key: "k", WallS: 1})
		if err != nil {
			t.Fatal(err)
		}
		rand.New(rand.NewPCG(9, 9)).Shuffle(n, func(i, j int) { run[i], run[j] = run[j], run[i] })
		other, err := Summarize(stream(run...), Options{Key: "k", WallS: 1})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(one, other, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Errorf("of %d: %s", n, diff)
		}
	}
}

// Of groups of rows the interval is as wide as of rows: ± 1.96·sqrt(p(1-p)/n).
func TestIntervalOfManyRows(t *testing.T) {
	const n = 10 * maxUnits
	run := randomRun(n)
	s, err := Summarize(stream(run...), Options{Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*Estimate{s.Metrics[0].OfAnswered, s.Metrics[0].OfAll} {
		want := 1.96 * math.Sqrt(e.Value*(1-e.Value)/n)
		if half := (e.CI.Hi - e.CI.Lo) / 2; math.Abs(half/want-1) > 0.1 {
			t.Errorf("half width %.5f, want about %.5f", half, want)
		}
	}
}

func TestSummaryMemoryIsBounded(t *testing.T) {
	sum := NewSummarizer(Options{})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	r := rand.New(rand.NewPCG(1, 1))
	row := answered(0, "", "", map[string]float64{"exact": 1, Perplexity: 3})
	fill := func(n int64) {
		for range n {
			row.Index++
			row.Group = fmt.Sprint("group ", row.Index) // as many groups as rows
			row.Choices[0].QueueS = math.Exp(3 * r.NormFloat64())
			sum.Add(row)
		}
	}
	fill(20_000)
	before := heap()
	fill(100_000)
	if after := heap(); after > before+before/4+1<<20 {
		t.Errorf("heap grew from %d to %d bytes", before, after)
	}
	s := sum.Summary()
	if len(s.Groups) != MaxGroups+1 || s.Rows != 120_000 {
		t.Errorf("%d groups, %d rows", len(s.Groups), s.Rows)
	}
	rows := int64(0)
	for _, g := range s.Groups {
		rows += g.Rows
	}
	if rows != s.Rows {
		t.Errorf("groups have %d rows of %d", rows, s.Rows)
	}
}
