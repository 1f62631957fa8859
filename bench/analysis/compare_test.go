package analysis_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"stepbench/bench/analysis"
	"stepbench/bench/analysis/analysistest"
	"stepbench/bench/workload"
)

func metricOf(t *testing.T, c *analysis.Comparison, id, metric string) *analysis.MetricComparison {
	t.Helper()
	for i := range c.Points {
		for k := range c.Points[i].Metrics {
			if m := &c.Points[i].Metrics[k]; c.Points[i].ID == id && m.Metric == metric {
				return m
			}
		}
	}
	t.Fatalf("no %s of %s in %+v", metric, id, c)
	return nil
}

// TestCompareSuites: an engine with steps a fifth longer is slower at all that
// takes time, and at the rate only where it is the limit.
func TestCompareSuites(t *testing.T) {
	all := analysistest.DefaultPoints()
	points := []analysistest.SuitePoint{all[0], all[2], all[3]}
	_, a := write(t, analysistest.Suite{Repeats: 3, Points: points})
	_, b := write(t, analysistest.Suite{Repeats: 3, Points: points, Slower: 1.2})
	c := analysis.Compare(a, b)
	if len(c.Differences) > 0 || len(c.Points) != 3 || !c.Regressed() || c.Improved() {
		t.Fatalf("comparison %+v", c)
	}
	tpot := metricOf(t, c, "base", "tpot_mean_ns")
	if tpot.Change != analysis.Regression || tpot.Ratio.V < 1.15 || tpot.Ratio.V > 1.35 {
		t.Errorf("TPOT %+v", tpot)
	}
	if m := metricOf(t, c, "base", "achieved_per_s"); m.Change != analysis.NoneShown {
		t.Errorf("achieved rate at an unsaturated load %+v", m)
	}
	if m := metricOf(t, c, "offline-1", "output_tokens_per_s"); m.Change != analysis.Regression || !m.HigherBetter {
		t.Errorf("throughput offline %+v", m)
	}
	if m := metricOf(t, c, "rate-100", "e2e_mean_ns"); m.Change != analysis.NotCompared || m.Why == "" || m.P != nil {
		t.Errorf("latency of a saturated point %+v", m)
	}
	if back := analysis.Compare(b, a); !back.Improved() || back.Regressed() {
		t.Errorf("the other way round: %+v", back)
	}
	same := analysis.Compare(a, a)
	if same.Regressed() || same.Improved() {
		t.Errorf("a suite against itself: %+v", same)
	}
	for _, o := range same.Overall {
		if math.Abs(o.Ratio-1) > 1e-12 {
			t.Errorf("%s of a suite against itself: %g", o.Metric, o.Ratio)
		}
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
}

func TestCompareOneRepeat(t *testing.T) {
	points := analysistest.DefaultPoints()[:1]
	_, a := write(t, analysistest.Suite{Repeats: 1, Points: points})
	_, b := write(t, analysistest.Suite{Repeats: 1, Points: points, Slower: 1.5})
	c := analysis.Compare(a, b)
	m := metricOf(t, c, "base", "tpot_mean_ns")
	if c.Regressed() || m.Ratio.CI != nil || m.P != nil || m.Ratio.V < 1.4 || len(c.Notes) != 1 {
		t.Errorf("%+v, notes %q", m, c.Notes)
	}
}

func TestCompareDifferences(t *testing.T) {
	tests := []struct {
		name   string
		change func(*analysis.Analysis)
		want   string // empty: comparable
	}{
		{"same", func(*analysis.Analysis) {}, ""},
		{"other vLLM", func(a *analysis.Analysis) { a.Engines[0].Info.VLLMVersion = "0.27.0" }, ""},
		{"other backend", func(a *analysis.Analysis) { a.Engines[0].Info.AttentionBackend = "TRITON_ATTN" }, ""},
		{"device", func(a *analysis.Analysis) { a.Engines[0].Info.Device = "Another" }, "device: Example GPU 141GB and Another"},
		{"dtype", func(a *analysis.Analysis) { a.Engines[0].Info.DType = "float32" }, "dtype: bfloat16 and float32"},
		{"limits", func(a *analysis.Analysis) { a.Engines[0].Info.MaxNumSeqs = 8 }, "max_num_seqs: 64 and 8"},
		{"graph mode", func(a *analysis.Analysis) { a.Engines[0].Info.GraphMode = "NONE" }, "graph mode: FULL_AND_PIECEWISE and NONE"},
		{"weights", func(a *analysis.Analysis) { a.Engines[0].Config.Model.ConfigSHA256 = "ff" }, "model configuration: none and ff"},
		{"rate", func(a *analysis.Analysis) { a.Points[0].RatePerS = 6 }, "workload of base: gpt2 random poisson 5/s tp=1 pp=1 and gpt2 random poisson 6/s"},
		{"seed", func(a *analysis.Analysis) { a.Points[0].Repeats[0].Workload = "ff" }, "no repeat of one has the requests"},
		{"profile", func(a *analysis.Analysis) { a.Profile = "quick" }, "profile: standard and quick"},
		{"nothing in common", func(a *analysis.Analysis) { a.Points[0].ID = "basis" }, "no point was measured in both"},
	}
	dir, a := write(t, analysistest.Suite{Repeats: 1, Points: analysistest.DefaultPoints()[:1]})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := load(t, dir)
			tt.change(b)
			c := analysis.Compare(a, b)
			switch joined := strings.Join(c.Differences, "\n"); {
			case tt.want == "" && joined != "":
				t.Errorf("not comparable: %s", joined)
			case tt.want != "" && (!strings.Contains(joined, tt.want) || c.Points != nil):
				t.Errorf("differences %q lack %q; %d points", joined, tt.want, len(c.Points))
			}
		})
	}
}

// TestCompareOtherSpans: a rate over the window is none over the whole run.
func TestCompareOtherSpans(t *testing.T) {
	dir, a := write(t, analysistest.Suite{Repeats: 2, Points: analysistest.DefaultPoints()[:1]})
	b := load(t, dir)
	b.Points[0].Repeats[1].WholeRun = true
	if m := metricOf(t, analysis.Compare(a, b), "base", "achieved_per_s"); m.Change != analysis.NotCompared || m.Why == "" {
		t.Errorf("achieved %+v", m)
	}
}

func TestCompareUnmatched(t *testing.T) {
	all := analysistest.DefaultPoints()
	_, a := write(t, analysistest.Suite{Points: []analysistest.SuitePoint{all[0], all[1], all[6]}})
	_, b := write(t, analysistest.Suite{Points: []analysistest.SuitePoint{all[0], all[3], all[6]}})
	c := analysis.Compare(a, b)
	if !slices.Equal(c.OnlyA, []string{"rate-2"}) || !slices.Equal(c.OnlyB, []string{"offline-1"}) || len(c.Points) != 1 {
		t.Errorf("only a %v, only b %v, %d points", c.OnlyA, c.OnlyB, len(c.Points))
	}
}

// TestCompareFalseAlarms: among twelve equal points with noisy repeats, some
// metric alarms in at most about one in twenty comparisons.
func TestCompareFalseAlarms(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	suite := func(shift float64) *analysis.Analysis {
		a := &analysis.Analysis{Profile: "standard", Engines: make([]analysis.Engine, 1)}
		for i := range 12 {
			p := analysis.Point{ID: string(rune('a' + i)), Saturation: workload.No}
			for k := range 5 {
				p.Repeats = append(p.Repeats, analysis.Repeat{
					Valid: true, Workload: string(rune('0' + k)),
					Values: map[string]float64{"tpot_mean_ns": 1e7 * math.Exp(shift+0.03*rng.NormFloat64())},
				})
			}
			a.Points = append(a.Points, p)
		}
		return a
	}
	const trials = 300
	alarms, found := 0, 0
	for range trials {
		if c := analysis.Compare(suite(0), suite(0)); c.Regressed() || c.Improved() {
			alarms++
		}
		if analysis.Compare(suite(0), suite(0.2)).Regressed() {
			found++
		}
	}
	// Of 300 at 5 %, more than 27 come up in less than one of five hundred series.
	if alarms > 27 {
		t.Errorf("%d of %d comparisons of equal suites show a difference", alarms, trials)
	}
	if found < trials*99/100 {
		t.Errorf("20 %% more are found in %d of %d comparisons", found, trials)
	}
}
