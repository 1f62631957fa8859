package workload

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/workload/workloadtest"
	"stepbench/engine"
)

// simulated runs f on the simulated engine.
func simulated(t *testing.T, f Flags, e workloadtest.Engine) Input {
	t.Helper()
	s := newSpec(t, f)
	plan, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Spec: s, StartNs: e.StartNs}
	in.Requests, in.Steps = e.Run(plan)
	return in
}

func constant(requests int, rate float64) Flags {
	return with(func(f *Flags) { f.Requests, f.RatePerS, f.Pattern = requests, rate, "constant" })
}

func latency(t *testing.T, s *Summary, metric string) Distribution {
	t.Helper()
	i := slices.IndexFunc(s.Latencies, func(d Distribution) bool { return d.Metric == metric })
	if i < 0 {
		t.Fatalf("no latency %s in the summary", metric)
	}
	return s.Latencies[i]
}

func near(t *testing.T, name string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s = %g, want %g ± %g", name, got, want, within)
	}
}

// TestThroughputByHand: four requests of two tokens, arrivals 1 s apart, the
// first two being warm-up. The window is (2 s, 4 s].
func TestThroughputByHand(t *testing.T) {
	const s = int64(1e9)
	request := func(id, arrival, first, last int64) engine.RequestResult {
		return engine.RequestResult{
			ID: id, PromptTokens: 10, OutputTokens: 2, Finish: engine.FinishLength,
			ArrivalNs: 100*s + arrival, AdmitNs: 100*s + arrival, QueuedNs: 100*s + arrival, ScheduledNs: 100*s + arrival,
			FirstTokenNs: 100*s + first, LastTokenNs: 100*s + last, DeliveredNs: 100*s + last,
			TokenNs: []int64{100*s + first, 100*s + last},
		}
	}
	spec := newSpec(t, with(func(f *Flags) {
		f.Requests, f.InputTokens, f.OutputTokens, f.RatePerS, f.Pattern = 4, 10, 2, 1, "constant"
	}))
	sum := Summarize(Input{Spec: spec, StartNs: 100 * s, Requests: []engine.RequestResult{
		request(2, 3*s, 3*s+s/2, 4*s),     // all inside
		request(0, 1*s, 1*s+s/2, 2*s),     // ends with the window's open end: outside
		request(1, 2*s, 2*s+s/2, 3*s),     // warm-up, but its work is inside
		request(3, 4*s, 4*s+s/2, 5*s+s/2), // arrives with the window's end: work outside
	}})
	want := &Throughput{Seconds: 2, OfferedPerS: 1, RequestsPerS: 1, OutputTokensPerS: 2, TotalTokensPerS: 12}
	if diff := cmp.Diff(want, sum.Window); diff != "" {
		t.Errorf("window (-want +got):\n%s", diff)
	}
	want = &Throughput{Seconds: 5.5, OfferedPerS: 1, RequestsPerS: 4 / 5.5, OutputTokensPerS: 8 / 5.5, TotalTokensPerS: 48 / 5.5}
	if diff := cmp.Diff(want, sum.WholeRun); diff != "" {
		t.Errorf("whole run (-want +got):\n%s", diff)
	}
	wantCounts := Counts{Planned: 4, Completed: 4, WarmUp: 2, Measured: 2}
	if diff := cmp.Diff(wantCounts, sum.Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	// Measured are requests 2 and 3: prefill 0.5 s each, decode 0.5 and 1 s.
	for _, share := range []struct {
		phase string
		frac  float64
	}{{"queue", 0}, {"prefill", 1 / 2.5}, {"decode", 1.5 / 2.5}} {
		i := slices.IndexFunc(sum.Shares, func(s Share) bool { return s.Phase == share.phase })
		near(t, share.phase+" share", sum.Shares[i].Frac.Value, share.frac, 1e-12)
		if sum.Shares[i].Frac.CI != nil {
			t.Errorf("%s: interval from two requests", share.phase)
		}
	}
	e2e := latency(t, &sum, "E2E")
	near(t, "mean E2E", e2e.MeanNs.Value, 1.25e9, 1e-3)
	if e2e.N != 2 || e2e.Percentiles[0].ValueNs != nil || e2e.Percentiles[0].NeedN != 6 {
		t.Errorf("E2E %+v: want 2 values and no median", e2e)
	}
}

// TestSteadyRun: an unsaturated run at constant rate. Every request meets an
// idle engine, so all its times follow from the engine's parameters.
func TestSteadyRun(t *testing.T) {
	in := simulated(t, constant(60, 2), workloadtest.Default())
	sum := Summarize(in)
	if sum.Saturation.Verdict != No || !sum.Valid() {
		t.Errorf("saturation %+v, gates %+v", sum.Saturation, sum.Gates)
	}
	near(t, "offered rate", sum.Window.OfferedPerS, 2, 1e-9)
	near(t, "achieved rate", sum.Window.RequestsPerS, 2, 0.04)
	near(t, "output tokens/s", sum.Window.OutputTokensPerS, 128, 3)
	near(t, "total tokens/s", sum.Window.TotalTokensPerS, 128+256, 8)
	// A prefill step is 4 + 128·0.125 = 20 ms, a decode step 4.05 ms; 0.03 ms
	// pass between steps, and vLLM's stamps lie 0.12 ms after and 0.05 ms
	// before the step's ends.
	near(t, "TTFT", latency(t, &sum, "TTFT").MeanNs.Value, 19.97e6, 1)
	near(t, "queue", latency(t, &sum, "queue").MeanNs.Value, 0.12e6, 1)
	near(t, "prefill", latency(t, &sum, "prefill").MeanNs.Value, 19.85e6, 1)
	near(t, "TPOT", latency(t, &sum, "TPOT").MeanNs.Value, 4.08e6, 1)
	near(t, "ITL p50", latency(t, &sum, "ITL").Percentiles[0].ValueNs.Value, 4.08e6, 1)
	near(t, "E2E", latency(t, &sum, "E2E").MeanNs.Value, 19.97e6+63*4.08e6, 1)
	near(t, "admission", latency(t, &sum, "admission").MeanNs.Value, 0, 0)
	if d := latency(t, &sum, "ITL"); d.N != 58*63 || d.Percentiles[3].ValueNs == nil {
		t.Errorf("ITL has %d values and p99 %v, want %d and a value", d.N, d.Percentiles[3].ValueNs, 58*63)
	}
	if d := latency(t, &sum, "E2E"); d.Percentiles[1].ValueNs == nil || d.Percentiles[2].ValueNs != nil {
		t.Errorf("58 values must give p90 and no p95: %+v", d.Percentiles)
	}
	if len(sum.Steps) != 2 || sum.Steps[0].Phase != "prefill" || sum.Steps[0].Steps != 58 || sum.Steps[1].Steps != 58*63 {
		t.Fatalf("steps %+v, want 58 of prefill and %d of decode", sum.Steps, 58*63)
	}
	prefill := sum.Steps[0]
	near(t, "prefill wall", prefill.WallNs, 20e6, 1)
	near(t, "prefill tokens", prefill.CtxTokens, 128, 1e-9)
	want := []Component{{"schedule", 200e3}, {"execute", 19.32e6}, {"sample", 300e3}, {"update", 60e3},
		{"output", 80e3}, {"stats", 20e3}, {"core", 0}, {"unaccounted", 20e3}, {"bridge", 30e3}}
	if diff := cmp.Diff(want, prefill.Components); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
	near(t, "wall shares", prefill.WallFrac+sum.Steps[1].WallFrac, 1, 1e-12)
}

// TestShares: queue, prefill and decode make up E2E, and their intervals hold
// the values.
func TestShares(t *testing.T) {
	sum := Summarize(simulated(t, with(func(f *Flags) { f.Requests, f.RatePerS = 80, 20 }), workloadtest.Default()))
	var frac, mean float64
	for _, s := range sum.Shares {
		frac += s.Frac.Value
		mean += s.MeanNs
		if s.Frac.CI == nil || s.Frac.Value < s.Frac.CI.Lo || s.Frac.Value > s.Frac.CI.Hi {
			t.Errorf("%s share %g outside of %v", s.Phase, s.Frac.Value, s.Frac.CI)
		}
	}
	near(t, "sum of shares", frac, 1, 1e-12)
	near(t, "sum of means", mean, latency(t, &sum, "E2E").MeanNs.Value, 1)
}

// TestStallShows: latency counts from the scheduled arrival, so requests that
// arrive while a step stalls carry the wait, although they are admitted late.
func TestStallShows(t *testing.T) {
	e := workloadtest.Default()
	calm := Summarize(simulated(t, constant(40, 10), e))
	e.StallStep, e.StallNs = 300, 500e6
	stalled := Summarize(simulated(t, constant(40, 10), e))
	worst := func(s *Summary) float64 { return latency(t, s, "TTFT").MeanNs.Value }
	// Five of 38 measured requests arrive during the stall and wait 300 ms on
	// average, 39 ms over all.
	if extra := worst(&stalled) - worst(&calm); extra < 30e6 {
		t.Errorf("a stall of 500 ms raised the mean TTFT by %g ms", extra/1e6)
	}
	if latency(t, &stalled, "admission").MeanNs.Value < 30e6 {
		t.Errorf("the stall does not show as admission delay")
	}
	if !stalled.Valid() {
		t.Errorf("a slow step is not a late generator: %+v", stalled.Gates)
	}
}

func TestInterrupted(t *testing.T) {
	e := workloadtest.Default()
	e.AbortNs = 3e9
	sum := Summarize(simulated(t, constant(60, 10), e))
	c := sum.Counts
	if c.Interrupted == 0 || c.NotRun == 0 || c.Completed == 0 || c.Failed != 0 {
		t.Fatalf("counts %+v", c)
	}
	if c.Planned != c.Completed+c.Failed+c.Interrupted+c.NotRun {
		t.Errorf("counts %+v do not add up", c)
	}
	for _, metric := range []string{"E2E", "decode", "TPOT"} {
		d := latency(t, &sum, metric)
		if d.Unfinished != c.Interrupted || d.MeanNs != nil {
			t.Errorf("%s %+v: %d requests were cut off, a mean of the others would be too low", metric, d, c.Interrupted)
		}
		if d.Percentiles[0].ValueNs == nil {
			t.Errorf("%s: the median lies among the finished requests, but is absent", metric)
		}
	}
	if itl := latency(t, &sum, "ITL"); itl.Unfinished != 0 || itl.MeanNs == nil {
		t.Errorf("ITL %+v: gaps of unfinished requests are whole", itl)
	}
	if ttft := latency(t, &sum, "TTFT"); ttft.N != c.Measured {
		t.Errorf("TTFT of %d requests, want all %d", ttft.N, c.Measured)
	}
	if _, err := json.Marshal(sum); err != nil {
		t.Errorf("summary of an interrupted run as JSON: %v", err)
	}
}

// TestOneToken: with a single output token there is no TPOT and no ITL, and
// nothing is missing.
func TestOneToken(t *testing.T) {
	f := constant(20, 2)
	f.OutputTokens = 1
	sum := Summarize(simulated(t, f, workloadtest.Default()))
	for _, metric := range []string{"TPOT", "ITL"} {
		if d := latency(t, &sum, metric); d.N+d.Missing+d.Unfinished != 0 || d.MeanNs != nil {
			t.Errorf("%s %+v, want nothing", metric, d)
		}
	}
	if d := latency(t, &sum, "decode"); d.MeanNs == nil || d.MeanNs.Value != 0 {
		t.Errorf("decode %+v, want a mean of 0", d)
	}
}

func TestOffline(t *testing.T) {
	sum := Summarize(simulated(t, constant(20, math.Inf(1)), workloadtest.Default()))
	if sum.Window != nil || sum.WholeRun == nil || sum.WholeRun.OfferedPerS != 0 || sum.Counts.Measured != 20 {
		t.Errorf("window %+v, whole run %+v, counts %+v", sum.Window, sum.WholeRun, sum.Counts)
	}
	for _, d := range sum.Latencies {
		if d.Metric == "queue" || d.Metric == "admission" {
			t.Errorf("offline has a %s", d.Metric)
		}
	}
	var frac float64
	for _, s := range sum.Shares {
		frac += s.Frac.Value
	}
	if len(sum.Shares) != 2 {
		t.Errorf("shares %+v, want prefill and decode", sum.Shares)
	}
	near(t, "sum of shares", frac, 1, 1e-12)
	if len(sum.Steps) == 0 || sum.InStepFrac < 0.9 {
		t.Errorf("steps %+v, in step %g", sum.Steps, sum.InStepFrac)
	}
}

func TestFinalOnly(t *testing.T) {
	in := simulated(t, constant(20, math.Inf(1)), workloadtest.Default())
	want := Summarize(in)
	for i := range in.Requests {
		in.Requests[i].TokenNs = nil
	}
	got := Summarize(in)
	if !got.Valid() {
		t.Errorf("gates %+v", got.Gates)
	}
	if diff := cmp.Diff(want.WholeRun, got.WholeRun); diff != "" {
		t.Errorf("rates with stamps of tokens and without (-with +without)\n%s", diff)
	}
	if d := latency(t, &got, "ITL"); d.N != 0 || d.MeanNs != nil {
		t.Errorf("ITL %+v without stamps", d)
	}
	if d := latency(t, &got, "TPOT"); d.N != 20 {
		t.Errorf("TPOT of %d requests, want 20", d.N)
	}
}

func TestNothingRecorded(t *testing.T) {
	sum := Summarize(Input{Spec: newSpec(t, DefaultFlags())})
	if sum.Counts.NotRun != 16 || sum.Window != nil || sum.WholeRun != nil || sum.Shares != nil || sum.Steps != nil {
		t.Errorf("summary of nothing: %+v", sum)
	}
	for _, g := range sum.Gates {
		if g.Status != Unknown {
			t.Errorf("gate %q is %s without records", g.Name, g.Status)
		}
	}
	if _, err := json.Marshal(sum); err != nil {
		t.Error(err)
	}
}
