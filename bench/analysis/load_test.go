package analysis_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/bench/analysis"
	"stepbench/bench/analysis/analysistest"
	"stepbench/bench/bottleneck"
	"stepbench/bench/record"
	"stepbench/bench/suite"
	"stepbench/bench/workload"
)

// write makes a suite and analyses it.
func write(t *testing.T, s analysistest.Suite) (dir string, a *analysis.Analysis) {
	t.Helper()
	dir = t.TempDir()
	if err := s.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir, load(t, dir)
}

func load(t *testing.T, dir string) *analysis.Analysis {
	t.Helper()
	a, err := analysis.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func point(t *testing.T, a *analysis.Analysis, id string) *analysis.Point {
	t.Helper()
	for i := range a.Points {
		if a.Points[i].ID == id {
			return &a.Points[i]
		}
	}
	t.Fatalf("no point %s", id)
	return nil
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

func TestLoadSuite(t *testing.T) {
	slo := &workload.SLO{TTFTNs: 200e6, TPOTNs: 20e6}
	_, a := write(t, analysistest.Suite{Repeats: 3, SLO: slo})

	t.Run("base", func(t *testing.T) {
		p := point(t, a, "base")
		if len(p.Repeats) != 3 || p.WithinRun || p.Problem != "" || p.Requests != 3*48 {
			t.Fatalf("%d repeats, within run %v, problem %q, %d requests", len(p.Repeats), p.WithinRun, p.Problem, p.Requests)
		}
		near(t, "offered", p.Offered.V, 5, 0.2)
		near(t, "achieved", p.Achieved.V, 5, 0.2)
		for name, v := range map[string]*analysis.Value{"achieved": p.Achieved, "output": p.OutputTokens, "total": p.TotalTokens, "goodput": p.Goodput} {
			if v == nil || v.CI == nil || v.CI.Lo > v.V || v.CI.Hi < v.V {
				t.Errorf("%s: %+v without an interval around it", name, v)
			}
		}
		near(t, "shares", p.Shares["queue"].V+p.Shares["prefill"].V+p.Shares["decode"].V, 1, 1e-9)
		d := p.Device
		near(t, "budget", d.Busy+d.Host+d.BetweenSt+d.Empty, 1, 1e-9)
		near(t, "busy of a step", d.Busy/(d.Busy+d.Host), 0.75, 0.01)
		if d.Coarse {
			t.Error("device time is coarse with a bucket for every step")
		}
		for _, metric := range []string{"ttft", "tpot", "itl", "e2e", "queue", "prefill", "decode", "admission"} {
			if _, ok := p.Latency[metric]; !ok {
				t.Errorf("no %s", metric)
			}
		}
		// 48 requests are enough for a p90 and not for a p99, 48·23 gaps for both.
		if e2e := p.Latency["e2e"]; e2e.N != 144 || e2e.P90 == nil || e2e.P99 != nil || e2e.Mean.CI == nil {
			t.Errorf("e2e %+v", e2e)
		}
		if itl := p.Latency["itl"]; itl.P99 == nil {
			t.Errorf("itl %+v", itl)
		}
		if p.Bottleneck == nil || p.Bottleneck.Evidence.Requests != 144 {
			t.Errorf("bottleneck %+v", p.Bottleneck)
		}
		if p.Utilisation != nil || p.CPU != nil {
			t.Errorf("utilisation %+v and CPU %+v of a machine nobody watched", p.Utilisation, p.CPU)
		}
		for k, r := range p.Repeats {
			if !r.Valid || len(r.E2ENs) != 48 || r.Workload == "" || r.Values["achieved_per_s"] == 0 {
				t.Errorf("repeat %d: valid %v (%s), %d latencies, workload %q", k, r.Valid, r.Problem, len(r.E2ENs), r.Workload)
			}
		}
		if p.Repeats[0].Workload == p.Repeats[1].Workload {
			t.Error("repeats with other seeds have the same workload")
		}
	})
	t.Run("saturated", func(t *testing.T) {
		p := point(t, a, "rate-100")
		if p.Saturation != workload.Yes || !slices.Contains(p.Flags, "saturated") || p.Bottleneck.Primary != bottleneck.QueueBuildUp {
			t.Errorf("saturation %s, flags %v, primary %s", p.Saturation, p.Flags, p.Bottleneck.Primary)
		}
	})
	t.Run("offline", func(t *testing.T) {
		p := point(t, a, "offline-1")
		if _, queue := p.Shares["queue"]; queue || p.Offered != nil || p.Saturation != workload.NotApplicable || p.OutputTokens == nil {
			t.Errorf("shares %v, offered %v, saturation %s", p.Shares, p.Offered, p.Saturation)
		}
	})
	t.Run("failed", func(t *testing.T) {
		p := point(t, a, "too-large")
		if !strings.Contains(p.Problem, "CUDA out of memory") || p.Achieved != nil || p.Bottleneck == nil || p.Bottleneck.Primary != bottleneck.MemoryPressure {
			t.Errorf("problem %q, bottleneck %+v", p.Problem, p.Bottleneck)
		}
		if p := point(t, a, "later"); p.Problem != "no valid repeat: not run" || p.Bottleneck != nil {
			t.Errorf("problem %q", p.Problem)
		}
		want := []string{"llama-2-13b", "too-large", "later"}
		var got []string
		for _, n := range a.NotRun {
			got = append(got, n.What)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("not run (-want +got):\n%s", diff)
		}
	})
	t.Run("scaling", func(t *testing.T) {
		if len(a.Scaling) != 3 {
			t.Fatalf("scaling %+v", a.Scaling)
		}
		for i, n := range []float64{1, 2, 4} {
			s := a.Scaling[i]
			want := 1 / (0.1 + 0.9/n) // of the simulated engine, but for its host time
			near(t, "speed-up", s.SpeedUp.V, want, 0.1*want)
			near(t, "efficiency", s.Efficiency.V, s.SpeedUp.V/n, 1e-12)
			if s.Indicative || s.Amdahl == nil || (s.KarpFlatt == nil) != (n == 1) || s.SpeedUp.CI == nil {
				t.Errorf("row %+v", s)
			}
		}
		near(t, "serial share", a.Scaling[0].Amdahl.V, 0.1, 0.05)
	})
	t.Run("recommended", func(t *testing.T) {
		if a.Recommended == nil || a.Points[a.Recommended.Point].ID != "base" || !strings.Contains(a.Recommended.Why, "ttft=200ms") ||
			!strings.Contains(a.Recommended.Why, "100 requests/s saturate it") {
			t.Errorf("recommended %+v", a.Recommended)
		}
	})
	t.Run("roadmap", func(t *testing.T) {
		if len(a.Roadmap) == 0 || a.Roadmap[0].Class != string(bottleneck.MemoryPressure) || a.Roadmap[0].Bound != 0 {
			t.Fatalf("roadmap %+v", a.Roadmap)
		}
		for i := 2; i < len(a.Roadmap); i++ {
			if a.Roadmap[i].Bound > a.Roadmap[i-1].Bound {
				t.Errorf("bound %g after %g", a.Roadmap[i].Bound, a.Roadmap[i-1].Bound)
			}
		}
	})
	t.Run("engines", func(t *testing.T) {
		e := a.Engines[0]
		if e.WeightBytes != 2*124_439_808 || e.KVBytes != int64(e.Info.KVBlocks*e.Info.KVBlockSize)*36_864 {
			t.Errorf("weights %d, KV cache %d bytes", e.WeightBytes, e.KVBytes)
		}
	})
	if _, err := json.Marshal(a); err != nil {
		t.Errorf("analysis as JSON: %v", err)
	}
}

// TestLoadRun: a single run is a suite of one point.
func TestLoadRun(t *testing.T) {
	dir, whole := write(t, analysistest.Suite{Repeats: 1, Points: analysistest.DefaultPoints()[:1]})
	a := load(t, filepath.Join(dir, suite.PointsDir, "base", "1"))
	if len(a.Points) != 1 || len(a.Engines) != 1 || a.Suite != "run" || a.State != record.Complete || a.Profile != workload.ProfileQuick {
		t.Fatalf("%d points, %d engines, suite %q, state %s, profile %s", len(a.Points), len(a.Engines), a.Suite, a.State, a.Profile)
	}
	p, same := a.Points[0], whole.Points[0]
	if !p.WithinRun || p.Achieved.CI == nil || p.Pattern != "poisson" || p.Devices != 1 {
		t.Errorf("point %+v", p)
	}
	// Without the suite's attribution there is no device time; the rest is equal.
	if p.Device != nil || same.Device == nil {
		t.Errorf("device %+v and %+v", p.Device, same.Device)
	}
	if diff := cmp.Diff(same.Latency, p.Latency); diff != "" {
		t.Errorf("latencies (-suite +run):\n%s", diff)
	}
	if diff := cmp.Diff(same.Achieved, p.Achieved); diff != "" {
		t.Errorf("achieved (-suite +run):\n%s", diff)
	}
	if a.Recommended == nil || !strings.Contains(a.Recommended.Why, "no SLO to keep; no rate that was tried") {
		t.Errorf("recommended %+v", a.Recommended)
	}
}

// TestShortWindow: while the system only fills, nothing ends, and the rates are
// those of the whole run.
func TestShortWindow(t *testing.T) {
	_, a := write(t, analysistest.Suite{Points: []analysistest.SuitePoint{{ID: "short", Axis: "base", Devices: 1, Change: func(f *workload.Flags) {
		f.Requests, f.RatePerS = 8, 100
	}}}})
	p := point(t, a, "short")
	if !p.Repeats[0].WholeRun || p.Achieved.V < 5 || p.Achieved.CI != nil || !slices.ContainsFunc(p.Flags, func(f string) bool { return strings.Contains(f, "whole run") }) {
		t.Errorf("achieved %+v, flags %q", p.Achieved, p.Flags)
	}
	if p.Offered == nil || p.Offered.V < 50 {
		t.Errorf("offered %+v", p.Offered)
	}
}

// TestSLOTooTight: a rate at which the SLO is missed is not recommended.
func TestSLOTooTight(t *testing.T) {
	_, a := write(t, analysistest.Suite{Repeats: 2, SLO: &workload.SLO{TTFTNs: 1}, Points: analysistest.DefaultPoints()[:3]})
	if a.Recommended != nil || !slices.ContainsFunc(a.Warnings, func(w string) bool { return strings.Contains(w, "no operating point") }) {
		t.Errorf("recommended %+v, warnings %q", a.Recommended, a.Warnings)
	}
	if p := point(t, a, "base"); p.Goodput == nil || p.Goodput.V != 0 {
		t.Errorf("goodput %+v", p.Goodput)
	}
}

// TestScalingNeedsLimits: rates that no number of devices is saturated by show
// no speed-up.
func TestScalingNeedsLimits(t *testing.T) {
	_, a := write(t, analysistest.Suite{Points: []analysistest.SuitePoint{
		{ID: "one", Axis: "base", Devices: 1}, {ID: "two", Axis: "parallelism", Devices: 2},
	}})
	if a.Scaling != nil || !slices.ContainsFunc(a.Warnings, func(w string) bool { return strings.Contains(w, "no rate saturated") }) {
		t.Errorf("scaling %+v, warnings %q", a.Scaling, a.Warnings)
	}
}

// TestDamaged: a repeat that cannot be read is its point's problem.
func TestDamaged(t *testing.T) {
	dir, _ := write(t, analysistest.Suite{Repeats: 3, Points: analysistest.DefaultPoints()[:2]})
	path := filepath.Join(dir, suite.PointsDir, "base", "2", record.RequestsFile)
	if err := os.WriteFile(path, []byte("PAR1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "engines", "gpt2-tp1", suite.AttributionFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	a := load(t, dir)
	p := point(t, a, "base")
	if p.Repeats[1].Valid || !strings.Contains(p.Repeats[1].Problem, "damaged") || p.Requests != 2*48 {
		t.Errorf("repeat %+v, %d requests", p.Repeats[1], p.Requests)
	}
	if p.Device != nil || !slices.ContainsFunc(a.Warnings, func(w string) bool { return strings.Contains(w, "profiled bursts are left out") }) {
		t.Errorf("device %+v, warnings %q", p.Device, a.Warnings)
	}
}

func TestLoad_Errors(t *testing.T) {
	empty := t.TempDir()
	if _, err := analysis.Load(empty); err == nil || !strings.Contains(err.Error(), "holds neither suite.json nor manifest.json") {
		t.Errorf("an empty directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(empty, suite.ManifestFile), []byte(`{"schema_version": 99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := analysis.Load(empty); err == nil || !strings.Contains(err.Error(), "schema version 99") {
		t.Errorf("a suite of the future: %v", err)
	}
}

// TestFixtures: what other packages draw is consistent.
func TestFixtures(t *testing.T) {
	for name, a := range map[string]*analysis.Analysis{"one": analysistest.One(), "twelve": analysistest.Twelve()} {
		ids := map[string]bool{}
		for _, p := range a.Points {
			if ids[p.ID] || p.Label == "" || p.Engine >= len(a.Engines) {
				t.Errorf("%s: point %q, label %q, engine %d", name, p.ID, p.Label, p.Engine)
			}
			ids[p.ID] = true
			if p.Problem != "" {
				continue
			}
			sum := 0.0
			for _, v := range p.Shares {
				sum += v.V
			}
			near(t, name+" shares of "+p.ID, sum, 1, 1e-9)
			near(t, name+" device of "+p.ID, p.Device.Busy+p.Device.Host+p.Device.BetweenSt+p.Device.Empty, 1, 1e-9)
		}
		data, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back analysis.Analysis
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, &back, cmpopts.IgnoreFields(analysis.Repeat{}, "E2ENs"), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(analysis.Engine{}, "Config")); diff != "" {
			t.Errorf("%s after a round trip (-want +got):\n%s", name, diff)
		}
	}
	if n := len(analysistest.Twelve().Points); n != 12 {
		t.Errorf("%d points", n)
	}
}
