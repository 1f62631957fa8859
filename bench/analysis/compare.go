package analysis

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"stepbench/bench/stats"
	"stepbench/bench/workload"
)

// CompareLevel is the chance of any false regression or improvement among the
// points of one metric.
const CompareLevel = 0.05

// Change is what a comparison of one metric found.
type Change string

const (
	Regression  Change = "regression"
	Improvement Change = "improvement"
	NoneShown   Change = "no difference shown"
	NotCompared Change = "not compared"
)

// Comparison is suite B against suite A, point by point.
type Comparison struct {
	// Differences make the suites not comparable; with any, Points is empty.
	Differences []string          `json:"differences,omitempty"`
	Points      []PointComparison `json:"points,omitempty"`
	// Overall is the geometric mean of the ratios of each metric over the points
	// that have it, in the order of the metrics.
	Overall []OverallComparison `json:"overall,omitempty"`
	// OnlyA and OnlyB are ids of points without a partner that was measured.
	OnlyA []string `json:"only_a,omitempty"`
	OnlyB []string `json:"only_b,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// PointComparison is one configuration in both suites.
type PointComparison struct {
	ID      string             `json:"id"`
	Label   string             `json:"label"`
	Pairs   int                `json:"pairs"` // repeats with the same requests and arrivals
	Metrics []MetricComparison `json:"metrics"`
}

// MetricComparison is one metric of a point.
type MetricComparison struct {
	Metric       string  `json:"metric"` // as in Repeat.Values
	HigherBetter bool    `json:"higher_is_better"`
	A            float64 `json:"a"` // geometric means over the pairs
	B            float64 `json:"b"`
	// Ratio is B/A: the geometric mean of the pairs' ratios, with Student's
	// interval of their logarithms, nil for fewer than two pairs.
	Ratio  Value    `json:"ratio"`
	P      *float64 `json:"p,omitempty"` // two-sided, before Holm's correction over points
	Change Change   `json:"change"`
	Why    string   `json:"why,omitempty"` // of NotCompared
}

// OverallComparison is one metric over all points.
type OverallComparison struct {
	Metric string  `json:"metric"`
	Points int     `json:"points"`
	Ratio  float64 `json:"ratio"`
}

// Regressed says that some metric of some point regressed.
func (c *Comparison) Regressed() bool { return c.has(Regression) }

// Improved says that some metric of some point improved.
func (c *Comparison) Improved() bool { return c.has(Improvement) }

func (c *Comparison) has(change Change) bool {
	return slices.ContainsFunc(c.Points, func(p PointComparison) bool {
		return slices.ContainsFunc(p.Metrics, func(m MetricComparison) bool { return m.Change == change })
	})
}

// metric that suites are compared by.
type metric struct {
	name   string
	higher bool // is better
	// latency of a saturated run grows with its length.
	latency bool
	// rate is over the window or the whole run.
	rate bool
}

var compared = []metric{
	{name: "achieved_per_s", higher: true, rate: true}, {name: "output_tokens_per_s", higher: true, rate: true}, {name: "goodput_per_s", higher: true},
	{name: "ttft_mean_ns", latency: true}, {name: "ttft_p50_ns", latency: true}, {name: "ttft_p90_ns", latency: true}, {name: "ttft_p99_ns", latency: true},
	{name: "tpot_mean_ns", latency: true}, {name: "tpot_p50_ns", latency: true}, {name: "tpot_p90_ns", latency: true}, {name: "tpot_p99_ns", latency: true},
	{name: "e2e_mean_ns", latency: true}, {name: "e2e_p50_ns", latency: true}, {name: "e2e_p90_ns", latency: true}, {name: "e2e_p99_ns", latency: true},
}

// Compare pairs the points of a and b by their ids, and their repeats by what
// they ran: the same requests arriving at the same times. The logarithms of the
// pairs' ratios are taken as independent and normal; a difference is shown if it
// survives Holm's correction over the points of its metric.
func Compare(a, b *Analysis) *Comparison {
	c := &Comparison{Differences: differences(a, b)}
	if len(c.Differences) > 0 {
		return c
	}
	partner := map[string]*Point{}
	for i := range b.Points {
		if p := &b.Points[i]; p.Problem == "" {
			partner[p.ID] = p
		}
	}
	single := false
	for i := range a.Points {
		pa := &a.Points[i]
		if pa.Problem != "" {
			continue
		}
		pb := partner[pa.ID]
		if pb == nil {
			c.OnlyA = append(c.OnlyA, pa.ID)
			continue
		}
		delete(partner, pa.ID)
		p := comparePoint(pa, pb)
		single = single || p.Pairs == 1
		c.Points = append(c.Points, p)
	}
	for i := range b.Points {
		if partner[b.Points[i].ID] != nil {
			c.OnlyB = append(c.OnlyB, b.Points[i].ID)
		}
	}
	if single {
		c.Notes = append(c.Notes, "a pair of single repeats does not show how much another run would differ: no difference can be shown from it")
	}
	c.decide()
	c.overall()
	return c
}

func comparePoint(a, b *Point) PointComparison {
	p := PointComparison{ID: a.ID, Label: a.Label}
	var pairs [][2]Repeat
	for _, ra := range a.Repeats {
		i := slices.IndexFunc(b.Repeats, func(rb Repeat) bool {
			return rb.Workload == ra.Workload && ra.Workload != "" && ra.Valid && rb.Valid
		})
		if i >= 0 {
			pairs = append(pairs, [2]Repeat{ra, b.Repeats[i]})
		}
	}
	p.Pairs = len(pairs)
	saturated := a.Saturation == workload.Yes || b.Saturation == workload.Yes
	for _, m := range compared {
		if cmp, ok := compareMetric(m, pairs); ok {
			if saturated && m.latency {
				cmp.Change, cmp.Why, cmp.P = NotCompared, "the load saturates the engine, so latency grows with the length of the run", nil
			}
			if m.rate && slices.ContainsFunc(pairs, func(r [2]Repeat) bool { return r[0].WholeRun != r[1].WholeRun }) {
				cmp.Change, cmp.Why, cmp.P = NotCompared, "one rate is over the window of arrivals, the other over the whole run", nil
			}
			p.Metrics = append(p.Metrics, cmp)
		}
	}
	return p
}

// compareMetric is not ok unless every pair has the metric.
func compareMetric(m metric, pairs [][2]Repeat) (out MetricComparison, ok bool) {
	var logA, logB, logs []float64
	for _, pair := range pairs {
		a, b := pair[0].Values[m.name], pair[1].Values[m.name]
		if a <= 0 || b <= 0 {
			return out, false // absent, or without a ratio
		}
		logA, logB, logs = append(logA, math.Log(a)), append(logB, math.Log(b)), append(logs, math.Log(b/a))
	}
	if len(logs) == 0 {
		return out, false
	}
	mean := stats.Mean(logs)
	out = MetricComparison{
		Metric: m.name, HigherBetter: m.higher, Change: NoneShown,
		A: math.Exp(stats.Mean(logA)), B: math.Exp(stats.Mean(logB)), Ratio: Value{V: math.Exp(mean)},
	}
	if ci, ok := stats.TInterval(logs, stats.Level); ok {
		out.Ratio.CI = &stats.Interval{Lo: math.Exp(ci.Lo), Hi: math.Exp(ci.Hi)}
		p := studentP(logs)
		out.P = &p
	}
	return out, true
}

// studentP is the two-sided p of a mean of 0, for two or more values.
func studentP(x []float64) float64 {
	mean := stats.Mean(x)
	sd, _ := stats.SD(x)
	if sd == 0 {
		if mean == 0 {
			return 1
		}
		return 0
	}
	t := math.Abs(mean) / (sd / math.Sqrt(float64(len(x))))
	return 2 * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(len(x) - 1)}.Survival(t)
}

// decide applies Holm's correction to each metric over the points.
func (c *Comparison) decide() {
	for _, m := range compared {
		var cells []*MetricComparison
		var ps []float64
		for i := range c.Points {
			for k := range c.Points[i].Metrics {
				if cell := &c.Points[i].Metrics[k]; cell.Metric == m.name && cell.P != nil {
					cells, ps = append(cells, cell), append(ps, *cell.P)
				}
			}
		}
		for i, rejected := range stats.Holm(ps, CompareLevel) {
			if rejected {
				cells[i].Change = Regression
				if (cells[i].Ratio.V > 1) == m.higher {
					cells[i].Change = Improvement
				}
			}
		}
	}
}

func (c *Comparison) overall() {
	for _, m := range compared {
		var logs []float64
		for _, p := range c.Points {
			for _, cell := range p.Metrics {
				if cell.Metric == m.name && cell.Change != NotCompared {
					logs = append(logs, math.Log(cell.Ratio.V))
				}
			}
		}
		if len(logs) > 0 {
			c.Overall = append(c.Overall, OverallComparison{Metric: m.name, Points: len(logs), Ratio: math.Exp(stats.Mean(logs))})
		}
	}
}
