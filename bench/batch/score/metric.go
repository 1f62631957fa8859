package score

import (
	"errors"
	"fmt"
	"math"

	"stepbench/bench/batch"
)

// Perplexity is the name of the one metric of which less is better, and which
// adds up over a corpus by tokens, not by rows.
const Perplexity = "perplexity"

// Metric scores rows. It may be used by several goroutines at once.
type Metric struct {
	name, spec string
	judge      judge
}

// judge gives the score of an answered row. Its error says what the row lacks
// for that, whatever the answer; res is nil when only that is asked.
type judge func(row *batch.Row, res *batch.Result) (float64, error)

// errNoValue is for answers of which a metric has no value.
var errNoValue = errors.New("the answer has no value")

// Name is the key in Result.Scores.
func (m Metric) Name() string { return m.name }

// Spec is what ParseMetrics makes the metric of.
func (m Metric) Spec() string { return m.spec }

// Check says what row lacks or has wrong for this metric, such as a reference.
func (m Metric) Check(row *batch.Row) error {
	if _, err := m.judge(row, nil); err != nil {
		return fmt.Errorf("metric %s: %w", m.name, err)
	}
	return nil
}

// Score is the row's number under the metric: 0 or 1, the mean of those where
// the row has several completions; perplexity is 1 or above. ok is false where
// there is none: the row failed or does not pass Check, or its answer holds no
// finite number to score.
func (m Metric) Score(row *batch.Row, res *batch.Result) (value float64, ok bool) {
	if row == nil || res == nil || res.Failure != nil {
		return 0, false
	}
	value, err := m.judge(row, res)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, false
	}
	return value, true
}

// Apply puts the scores of a result into it. Scores stays nil if there is none.
func Apply(metrics []Metric, row *batch.Row, res *batch.Result) {
	for _, m := range metrics {
		if v, ok := m.Score(row, res); ok {
			if res.Scores == nil {
				res.Scores = make(map[string]float64, len(metrics))
			}
			res.Scores[m.name] = v
		}
	}
}

// ofText makes a judge of one that looks at the text alone: prepare gives the
// test that answers to row have to pass.
func ofText(prepare func(row *batch.Row) (func(text string) bool, error)) judge {
	return func(row *batch.Row, res *batch.Result) (float64, error) {
		passes, err := prepare(row)
		if err != nil || res == nil {
			return 0, err
		}
		passed, n := 0, 0
		for i := range res.Choices {
			if res.Choices[i].Finish == finishOption {
				continue
			}
			n++
			if passes(res.Choices[i].Text) {
				passed++
			}
		}
		if n == 0 {
			return 0, errNoValue
		}
		return float64(passed) / float64(n), nil
	}
}

// reference is what the row's answer is compared with.
func reference(row *batch.Row) (string, error) {
	if !row.HasReference {
		return "", errors.New("the row has no reference")
	}
	return row.Reference, nil
}
