package suitereport

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"stepbench/bench/analysis"
	"stepbench/bench/stats"
	"stepbench/internal/golden"
)

func metricOf(name string, higher bool, ratio, half float64, change analysis.Change) analysis.MetricComparison {
	m := analysis.MetricComparison{Metric: name, HigherBetter: higher, A: 5e6, B: 5e6 * ratio, Ratio: analysis.Value{V: ratio}, Change: change}
	if half > 0 {
		m.Ratio.CI = &stats.Interval{Lo: ratio - half, Hi: ratio + half}
	}
	return m
}

func comparison(metrics ...analysis.MetricComparison) *analysis.Comparison {
	return &analysis.Comparison{Points: []analysis.PointComparison{{ID: "gpt2", Label: "gpt2 | base", Pairs: 3, Metrics: metrics}}}
}

func TestJudge(t *testing.T) {
	same := analysis.NoneShown
	tests := []struct {
		name string
		c    *analysis.Comparison
		want Outcome
	}{
		{"tight intervals", comparison(metricOf("achieved_per_s", true, 1, 0.01, same), metricOf("e2e_mean_ns", false, 1.01, 0.02, same)), NoRegression},
		{"better by much", comparison(metricOf("e2e_mean_ns", false, 0.5, 0.01, analysis.Improvement)), NoRegression},
		{"wide interval", comparison(metricOf("e2e_mean_ns", false, 1, 0.08, same)), Inconclusive},
		{"fewer requests may be", comparison(metricOf("achieved_per_s", true, 1, 0.08, same)), Inconclusive},
		{"wide only on the good side", comparison(metricOf("achieved_per_s", true, 1.5, 0.4, same)), NoRegression},
		{"noisy percentile beside a mean", comparison(metricOf("e2e_mean_ns", false, 1, 0.01, same), metricOf("e2e_p99_ns", false, 1, 0.5, same)), NoRegression},
		{"percentiles only", comparison(metricOf("e2e_p99_ns", false, 1, 0.01, same)), Inconclusive},
		{"single repeats", comparison(metricOf("achieved_per_s", true, 1, 0, same)), Inconclusive},
		{"a percentile regressed", comparison(metricOf("achieved_per_s", true, 1, 0.01, same), metricOf("e2e_p90_ns", false, 1.2, 0.05, analysis.Regression)), Regressed},
		{"nothing in common", &analysis.Comparison{}, Inconclusive},
		{"saturated", comparison(metricOf("achieved_per_s", true, 1, 0.01, same), metricOf("e2e_mean_ns", false, 2, 0.5, analysis.NotCompared)), NoRegression},
		{"differences", &analysis.Comparison{Differences: []string{"profile: quick and standard"}}, NotComparable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := Judge(tt.c, 0.05); got != tt.want || why == "" {
				t.Errorf("%s (%s), want %s", got, why, tt.want)
			}
		})
	}
}

func TestEncodeComparison(t *testing.T) {
	c := comparison(metricOf("achieved_per_s", true, 1, 0.01, analysis.NoneShown), metricOf("e2e_p90_ns", false, 1.2, 0.05, analysis.Regression),
		analysis.MetricComparison{Metric: "ttft_mean_ns", A: 1e6, B: 9e6, Ratio: analysis.Value{V: 9}, Change: analysis.NotCompared, Why: "the load saturates the engine"})
	c.Overall = []analysis.OverallComparison{{Metric: "e2e_p90_ns", Points: 1, Ratio: 1.2}}
	c.OnlyA, c.Notes = []string{"llama"}, []string{"a note"}
	var md, doc bytes.Buffer
	if err := EncodeComparison(&md, FormatMarkdown, c, 0.05); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, filepath.Join("testdata", "comparison.md"), md.Bytes())
	if err := EncodeComparison(&doc, FormatJSON, c, 0.05); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Outcome Outcome
		Points  []analysis.PointComparison
	}
	if err := json.Unmarshal(doc.Bytes(), &back); err != nil || back.Outcome != Regressed || len(back.Points) != 1 {
		t.Errorf("%+v, %v", back, err)
	}
}
