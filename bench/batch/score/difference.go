package score

import (
	"maps"
	"math"
	"slices"

	"stepbench/bench/stats"
)

// pairTally counts the pairs of two runs, or of one group.
type pairTally struct {
	pairs     int64
	failedA   int64 // in A only
	failedB   int64 // in B only
	failed    int64 // in both
	metrics   map[string]*pairMetric
	bothFail  series // as scores of 0 in both
	tokensOff int64  // pairs whose perplexities are over other numbers of tokens
}

type pairMetric struct {
	onlyA, onlyB int64 // answered in both, scored in one
	both         pairSeries
	orNot        pairSeries // and rows that failed in one, as 0 there
}

// pairSeries are the pairs that a difference is over.
type pairSeries struct {
	series
	rows, up, down int64
	outside        bool // some value is not 0 or 1
}

func (s *pairSeries) add(key uint64, a, b float64, of sums) {
	s.series.add(key, of)
	s.rows++
	switch {
	case b > a:
		s.up++
	case b < a:
		s.down++
	}
	for _, x := range []float64{a, b} {
		s.outside = s.outside || x != 0 && x != 1
	}
}

func newPairTally() *pairTally { return &pairTally{metrics: map[string]*pairMetric{}} }

func (t *pairTally) add(key uint64, a, b *side) {
	t.pairs++
	switch {
	case a.failure != nil && b.failure != nil:
		t.failed++
		t.bothFail.add(key, sums{weight: 1, weightB: 1})
		return
	case a.failure != nil:
		t.failedA++
	case b.failure != nil:
		t.failedB++
	}
	names := slices.Collect(maps.Keys(a.scores))
	for name := range b.scores {
		if _, both := a.scores[name]; !both {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if t.metrics[name] == nil {
			t.metrics[name] = &pairMetric{}
		}
		t.metrics[name].add(name, key, a, b)
	}
	if v, both := a.scores[Perplexity], b.scores[Perplexity]; v > 0 && both > 0 && a.weight != b.weight {
		t.tokensOff++
	}
}

func (m *pairMetric) add(name string, key uint64, a, b *side) {
	v, inA := a.scores[name]
	w, inB := b.scores[name]
	if name == Perplexity {
		inA, inB = inA && a.weight > 0 && v > 0, inB && b.weight > 0 && w > 0
	}
	switch {
	case inA && inB && name == Perplexity:
		m.both.add(key, v, w, sums{math.Log(v) * a.weight, a.weight, math.Log(w) * b.weight, b.weight})
		return
	case inA && inB:
		m.both.add(key, v, w, sums{v, 1, w, 1})
	case inA && b.failure == nil:
		m.onlyA++
		return
	case inB && a.failure == nil:
		m.onlyB++
		return
	}
	// A score of a failed row is 0, as is that of no row.
	m.orNot.add(key, v, w, sums{v, 1, w, 1})
}

// Difference is what a metric does from run A to run B over the rows of both.
type Difference struct {
	Metric string `json:"metric"`
	// OfAnswered is over the rows scored in both runs; null if there are none.
	OfAnswered *Paired `json:"of_answered"`
	// OfAll adds the rows that failed in a run, as 0 there; null if none did, and
	// for perplexity.
	OfAll *Paired `json:"of_all"`
	// OnlyA and OnlyB are rows answered in both runs with a score in one.
	OnlyA   int64   `json:"scored_only_in_a"`
	OnlyB   int64   `json:"scored_only_in_b"`
	Verdict Verdict `json:"verdict"`
}

// Paired is a metric's value in both runs and B less A, with the 95 % interval
// of the bootstrap of pairs; null where there is none.
type Paired struct {
	Rows  int64           `json:"rows"`
	A     float64         `json:"a"`
	B     float64         `json:"b"`
	Delta float64         `json:"delta"`
	CI    *stats.Interval `json:"delta_ci95"`
	// Up and Down are how many rows rose and fell.
	Up   int64 `json:"up"`
	Down int64 `json:"down"`
	// P is the exact two-sided p-value of Up and Down being equally likely, and
	// Test its name: "McNemar" where all scores are 0 or 1, else "sign".
	P    float64 `json:"p"`
	Test string  `json:"test"`
}

// differences are the metrics by name.
func (t *pairTally) differences(key string) []Difference {
	all := []Difference{}
	for _, name := range slices.Sorted(maps.Keys(t.metrics)) {
		m := t.metrics[name]
		d := Difference{Metric: name, OnlyA: m.onlyA, OnlyB: m.onlyB, OfAnswered: m.both.paired(name, key+"/"+name)}
		if name != Perplexity && t.failedA+t.failedB+t.failed > 0 {
			withFailed := m.orNot
			withFailed.series = *m.orNot.with(&t.bothFail)
			withFailed.rows += t.failed
			d.OfAll = withFailed.paired(name, key+"/"+name+"/all")
		}
		d.Verdict = d.judge()
		all = append(all, d)
	}
	return all
}

// paired is nil of no pairs.
func (s *pairSeries) paired(metric, key string) *Paired {
	total := s.total()
	if total[weight] == 0 || total[weightB] == 0 {
		return nil
	}
	of := corpus(metric)
	p := &Paired{
		Rows: s.rows, A: of(total[value], total[weight]), B: of(total[valueB], total[weightB]),
		Up: s.up, Down: s.down, P: stats.SignTest(s.up, s.down), Test: "McNemar",
	}
	if s.outside {
		p.Test = "sign"
	}
	p.Delta = p.B - p.A
	p.CI = s.interval(key, columns, func(t []float64) float64 {
		return of(t[valueB], t[weightB]) - of(t[value], t[weight])
	})
	return p
}
