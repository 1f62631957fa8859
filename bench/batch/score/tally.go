package score

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"stepbench/bench/batch"
	"stepbench/bench/stats"
)

// tally counts the rows of a run, or of one group.
type tally struct {
	rows, failed int64
	metrics      map[string]*metricTally
	// failures are the failed rows as scores of 0.
	failures series
}

type metricTally struct {
	scored  int64
	outside bool // some value is not 0 or 1
	series  series
}

func newTally() *tally { return &tally{metrics: map[string]*metricTally{}} }

func (t *tally) add(r *batch.Result) {
	t.rows++
	if r.Failure != nil {
		t.failed++
		t.failures.add(uint64(r.Index), sums{weight: 1})
		return
	}
	for name, v := range r.Scores {
		of := sums{value: v, weight: 1}
		if name == Perplexity {
			of[value], of[weight] = surprise(v, r)
		}
		if of[weight] == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			continue // stays among the rows without a score
		}
		m := t.metrics[name]
		if m == nil {
			m = &metricTally{}
			t.metrics[name] = m
		}
		m.scored++
		m.outside = m.outside || v != 0 && v != 1
		m.series.add(uint64(r.Index), of)
	}
}

// MetricSummary is one metric over rows. What does not exist is null.
type MetricSummary struct {
	Metric string `json:"metric"`
	// Scored rows have a score; Unscored ones were answered but have none,
	// such as those without a reference; Failed ones were not answered.
	Scored   int64 `json:"scored"`
	Unscored int64 `json:"unscored"`
	Failed   int64 `json:"failed"`
	// OfAnswered is the mean over the scored rows; of perplexity the corpus
	// value exp(Σ -logprob / Σ tokens).
	OfAnswered *Estimate `json:"of_answered"`
	// OfAll counts each failed row as 0. Perplexity has none, nor has a metric
	// that no answered row has a score of.
	OfAll *Estimate `json:"of_all"`
	// Tokens that perplexity is over.
	Tokens int64 `json:"tokens,omitempty"`
}

// Estimate is a value with its 95 % interval.
type Estimate struct {
	Value float64         `json:"value"`
	CI    *stats.Interval `json:"ci95"`
	// Method is "BCa bootstrap of rows", or "Wilson" where rows scored 0 or 1
	// are too few or too alike to draw from.
	Method string `json:"ci95_method,omitempty"`
}

const (
	byBootstrap = "BCa bootstrap of rows"
	byWilson    = "Wilson"
)

// summaries are the metrics in the order asked for, then by name.
func (t *tally) summaries(asked []string, key string) []MetricSummary {
	all := []MetricSummary{}
	for _, name := range order(asked, slices.Collect(maps.Keys(t.metrics))) {
		m := t.metrics[name]
		if m == nil {
			m = &metricTally{}
		}
		s := MetricSummary{Metric: name, Scored: m.scored, Failed: t.failed, Unscored: t.rows - t.failed - m.scored}
		key := key + "/" + name
		if name == Perplexity {
			s.Tokens = int64(m.series.total()[weight])
		}
		s.OfAnswered = estimate(name, &m.series, !m.outside, key)
		if t.failed == 0 {
			s.OfAll = s.OfAnswered
		} else {
			s.OfAll = estimate(name, m.series.with(&t.failures), !m.outside, key+"/all")
		}
		// Where no answer could be scored, failures alone say nothing.
		if name == Perplexity || s.Scored == 0 && s.Unscored > 0 {
			s.OfAll = nil
		}
		all = append(all, s)
	}
	return all
}

// order is asked, then what is found beside that by name.
func order(asked, found []string) []string {
	all := slices.Clone(asked)
	slices.Sort(found)
	for _, name := range found {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// estimate is nil of no rows. binary says that all values are 0 or 1.
func estimate(metric string, s *series, binary bool, key string) *Estimate {
	total := s.total()
	if total[weight] == 0 {
		return nil
	}
	of := corpus(metric)
	e := &Estimate{Value: of(total[value], total[weight])}
	if e.CI = s.interval(key, weight+1, func(t []float64) float64 { return of(t[value], t[weight]) }); e.CI != nil {
		e.Method = byBootstrap
	} else if binary && metric != Perplexity {
		ci := stats.WilsonInterval(total[value], total[weight])
		e.CI, e.Method = &ci, byWilson
	}
	return e
}

// corpus is how a metric's value over rows comes from its sums.
func corpus(metric string) func(value, weight float64) float64 {
	if metric == Perplexity {
		return func(value, weight float64) float64 { return math.Exp(value / weight) }
	}
	return func(value, weight float64) float64 { return value / weight }
}

// Count is how many rows or completions something is said of.
type Count struct {
	Of string `json:"of"`
	N  int64  `json:"n"`
}

// counts are the most frequent first.
func counts(of map[string]int64) []Count {
	all := []Count{}
	for k, n := range of {
		all = append(all, Count{k, n})
	}
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Of, b.Of))
	})
	return all
}
