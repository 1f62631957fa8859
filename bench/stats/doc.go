// Package stats computes the statistics of a run: percentiles, spread and
// intervals. Functions are pure and know nothing of requests or steps; the
// randomness of a resample comes from a key, so every number can be computed
// again. What does not exist for the given data is reported as such with ok
// false, never as a number.
package stats

// Level is the confidence level of every interval in reports.
const Level = 0.95

// Interval is a confidence interval, both ends included.
type Interval struct {
	Lo float64 `json:"lo"`
	Hi float64 `json:"hi"`
}
