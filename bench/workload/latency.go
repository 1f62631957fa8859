package workload

import (
	"math"

	"stepbench/bench/stats"
	"stepbench/engine"
)

// Distribution describes one latency over the measured requests, in ns.
// Intervals are within-run: a moving-block bootstrap over requests in order of
// arrival, which knows nothing of how much another run would differ.
type Distribution struct {
	Metric string `json:"metric"`
	N      int    `json:"n"` // values, without the unfinished
	// Unfinished requests count in percentiles as slower than every value, and
	// leave no mean.
	Unfinished int `json:"unfinished,omitempty"`
	// Missing are completed requests without the stamps: left out.
	Missing     int          `json:"missing,omitempty"`
	MeanNs      *Estimate    `json:"mean_ns,omitempty"`
	SDNs        *float64     `json:"sd_ns,omitempty"`
	Percentiles []Percentile `json:"percentiles"`
}

// Percentile is nil where the values are too few (fewer than NeedN) or where
// it falls among the unfinished.
type Percentile struct {
	P       float64   `json:"p"`
	ValueNs *Estimate `json:"value_ns,omitempty"`
	NeedN   int       `json:"need_n"`
}

// percentiles of every distribution, ascending.
var percentiles = []float64{0.5, 0.9, 0.95, 0.99}

// metric is one latency: how to read it from a request and when it exists.
type metric struct {
	name   string
	values func(*Times) []float64
	// openOnly metrics exist only where arrivals are scheduled.
	openOnly bool
	// minTokens is the fewest output tokens with which the metric exists.
	minTokens int
	// pooled metrics have many values a request, those of unfinished ones as
	// good as any.
	pooled bool
}

var metrics = []metric{
	{name: "TTFT", values: func(t *Times) []float64 { return one(t.TTFT) }},
	{name: "TPOT", values: func(t *Times) []float64 { return one(t.TPOT) }, minTokens: 2},
	{name: "ITL", values: func(t *Times) []float64 { return many(t.ITL) }, minTokens: 2, pooled: true},
	{name: "E2E", values: func(t *Times) []float64 { return one(t.E2E) }},
	{name: "queue", values: func(t *Times) []float64 { return one(t.Queue) }, openOnly: true},
	{name: "prefill", values: func(t *Times) []float64 { return one(t.Prefill) }},
	{name: "decode", values: func(t *Times) []float64 { return one(t.Decode) }},
	{name: "admission", values: func(t *Times) []float64 { return one(t.Admission) }, openOnly: true},
}

func one[T int64 | float64](v *T) []float64 {
	if v == nil {
		return nil
	}
	return []float64{float64(*v)}
}

func many(ns []int64) []float64 {
	out := make([]float64, len(ns))
	for i, v := range ns {
		out[i] = float64(v)
	}
	return out
}

// unfinished says that r was admitted and cut off: its latencies are unknown,
// but not short.
func unfinished(r *engine.RequestResult) bool { return r.Finish == engine.FinishAbort }

func (v *view) latencies() []Distribution {
	var out []Distribution
	for _, m := range metrics {
		if !(m.openOnly && v.unscheduled) {
			out = append(out, v.distribution(m))
		}
	}
	return out
}

func (v *view) distribution(m metric) Distribution {
	d := Distribution{Metric: m.name}
	groups := make([][]float64, len(v.measured))
	for i := range v.measured {
		values := m.values(&v.times[i])
		d.N += len(values)
		if len(values) == 0 && !m.pooled && v.Spec.Planned(v.measured[i].ID).OutputTokens >= m.minTokens {
			switch r := &v.measured[i]; {
			case unfinished(r):
				values = []float64{math.Inf(1)}
				d.Unfinished++
			case Completed(r):
				d.Missing++
			}
		}
		groups[i] = values
	}
	pool := stats.NewPool(groups)
	all := pool.Values()
	statistics := func(weight []int) []float64 {
		return append(pool.Percentiles(weight, percentiles), pool.Mean(weight))
	}
	// Without values there is nothing to resample.
	ci, ok := make([]stats.Interval, len(percentiles)+1), make([]bool, len(percentiles)+1)
	if d.N > 0 {
		ci, ok = stats.BlockBootstrap(len(groups), "stepbench/bootstrap/1/"+m.name, statistics)
	}
	estimate := func(value float64, k int) *Estimate {
		e := &Estimate{Value: value}
		if ok[k] {
			e.CI = &ci[k]
		}
		return e
	}
	for k, p := range percentiles {
		q := Percentile{P: p, NeedN: stats.MinSamples(p, stats.Level)}
		if len(all) >= q.NeedN {
			if value := stats.Percentile(all, p); !math.IsInf(value, 1) {
				q.ValueNs = estimate(value, k)
			}
		}
		d.Percentiles = append(d.Percentiles, q)
	}
	if d.N > 0 && d.Unfinished == 0 {
		d.MeanNs = estimate(stats.Mean(all), len(percentiles))
		if sd, exists := stats.SD(all); exists {
			d.SDNs = &sd
		}
	}
	return d
}

// Share is the part of E2E that a phase takes: Σphase/ΣE2E over the measured
// requests that completed. Shares sum to 1.
type Share struct {
	Phase  string   `json:"phase"`
	Frac   Estimate `json:"frac"`
	MeanNs float64  `json:"mean_ns"`
}

// shares is nil if no measured request completed.
func (v *view) shares() []Share {
	names := []string{"queue", "prefill", "decode"}
	var rows [][]float64 // per request: queue, prefill, decode
	for _, t := range v.times {
		if t.E2E == nil || t.Prefill == nil || t.Decode == nil {
			continue
		}
		row := []float64{0, float64(*t.Prefill), float64(*t.Decode)}
		if t.Queue != nil {
			row[0] = float64(*t.Queue)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil
	}
	sums := func(weight []int) (phase []float64, e2e float64) {
		phase = make([]float64, len(names))
		for i, row := range rows {
			for k, x := range row {
				phase[k] += float64(weight[i]) * x
				e2e += float64(weight[i]) * x
			}
		}
		return phase, e2e
	}
	fractions := func(weight []int) []float64 {
		phase, e2e := sums(weight)
		for k := range phase {
			phase[k] /= e2e
		}
		return phase
	}
	once := make([]int, len(rows))
	for i := range once {
		once[i] = 1
	}
	total, _ := sums(once)
	value := fractions(once)
	ci, ok := stats.BlockBootstrap(len(rows), "stepbench/bootstrap/1/shares", fractions)
	var out []Share
	for k, name := range names {
		if v.unscheduled && name == "queue" {
			continue
		}
		s := Share{Phase: name, Frac: Estimate{Value: value[k]}, MeanNs: total[k] / float64(len(rows))}
		if ok[k] {
			s.Frac.CI = &ci[k]
		}
		out = append(out, s)
	}
	return out
}
