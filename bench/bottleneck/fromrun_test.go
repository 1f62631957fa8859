package bottleneck

import (
	"math"
	"strings"
	"testing"

	"stepbench/bench/workload"
	"stepbench/bench/workload/workloadtest"
	"stepbench/engine"
)

// simulated is a run of the simulated engine on a device that is busy for the
// given shares of its steps. change may be nil.
func simulated(t *testing.T, change func(*workload.Flags, *workloadtest.Engine), prefillBusy, decodeBusy float64) Run {
	t.Helper()
	f, e := workload.DefaultFlags(), workloadtest.Default()
	f.Requests, f.OutputTokens, f.Pattern, f.RatePerS = 40, 32, "constant", 5
	if change != nil {
		change(&f, &e)
	}
	spec, err := workload.New(f, workload.Limits{Vocab: 50257, MaxModelTokens: 1024})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := spec.Plan()
	if err != nil {
		t.Fatal(err)
	}
	r := Run{Spec: spec, StartNs: e.StartNs, MaxSeqs: e.MaxSeqs, MaxTokens: 2048, Attribution: &Attribution{Unit: "kernel"}}
	r.Requests, r.Steps = e.Run(plan)
	for n := 1; n <= 64; n++ {
		wall := float64(e.BaseNs + int64(n)*e.GenReqNs)
		r.Attribution.Buckets = append(r.Attribution.Buckets, Bucket{GenReqs: n, WallNs: wall, BusyNs: decodeBusy * wall})
	}
	for n := 32; n <= 4096; n += 32 {
		wall := float64(e.BaseNs + int64(n)*e.CtxTokenNs)
		r.Attribution.Buckets = append(r.Attribution.Buckets, Bucket{CtxTokens: n, WallNs: wall, BusyNs: prefillBusy * wall})
	}
	summarize(&r)
	return r
}

func summarize(r *Run) {
	sum := workload.Summarize(workload.Input{Spec: r.Spec, StartNs: r.StartNs, Requests: r.Requests, Steps: r.Steps})
	r.Summary = &sum
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %.4f, want %.4f", what, got, want)
	}
}

// TestPrimaryOfRuns: runs made to have each bottleneck are found to have it.
func TestPrimaryOfRuns(t *testing.T) {
	short := func(input, output int) func(*workload.Flags, *workloadtest.Engine) {
		return func(f *workload.Flags, e *workloadtest.Engine) { f.InputTokens, f.OutputTokens = input, output }
	}
	tests := []struct {
		name                    string
		load                    func(*workload.Flags, *workloadtest.Engine)
		prefillBusy, decodeBusy float64
		after                   func(*Run)
		want                    Class
	}{
		{"long prompts", func(f *workload.Flags, e *workloadtest.Engine) { f.InputTokens, f.OutputTokens = 900, 8 }, 0.95, 0.95, nil, Prefill},
		{"long outputs", short(32, 150), 0.95, 0.95, nil, Decode},
		{"slow host", short(32, 150), 0.3, 0.3, nil, HostBound},
		{"light load", func(f *workload.Flags, e *workloadtest.Engine) { f.RatePerS, f.OutputTokens = 1, 32 }, 0.9, 0.9, nil, LowUtilisation},
		{"too much load", func(f *workload.Flags, e *workloadtest.Engine) {
			f.RatePerS, f.Requests, f.OutputTokens, e.MaxSeqs = 100, 150, 32, 4
		}, 0.9, 0.9, nil, QueueBuildUp},
		{"too little cache", func(f *workload.Flags, e *workloadtest.Engine) {
			f.RatePerS, f.Requests, f.OutputTokens, e.MaxSeqs = 100, 150, 32, 4
		}, 0.9, 0.9, func(r *Run) {
			r.MaxSeqs = 64
			for i := range r.Steps {
				r.Steps[i].KVUsageFrac, r.Steps[i].SeqBudget = 0.99, 64
			}
		}, MemoryPressure},
		{"nothing", func(f *workload.Flags, e *workloadtest.Engine) {
			f.RatePerS, f.InputTokens, f.OutputTokens, f.Requests = 22, 90, 13, 100
		}, 0.85, 0.85, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run := simulated(t, tt.load, tt.prefillBusy, tt.decodeBusy)
			if tt.after != nil {
				tt.after(&run)
			}
			r := Classify(FromRun(run))
			if r.Primary != tt.want {
				t.Errorf("primary %q (%s), want %q; evidence %+v %+v", r.Primary, r.Reason, tt.want, r.Evidence, *r.Evidence.Device)
			}
			e := r.Evidence
			near(t, "r_q + r_p + r_d", e.QueueFrac+e.PrefillFrac+e.DecodeFrac, 1, 1e-9)
			near(t, "u + h + z + o", e.Device.Busy+e.Device.Host+e.Device.Between+e.Device.Empty, 1, 1e-9)
			if e.Device.Coarse || e.Invalid != "" {
				t.Errorf("coarse %v, invalid %q", e.Device.Coarse, e.Invalid)
			}
		})
	}
}

// TestStall: one long step among even ones is variance.
func TestStall(t *testing.T) {
	stalled := simulated(t, func(f *workload.Flags, e *workloadtest.Engine) {
		f.OutputTokens, f.RatePerS = 16, 5
		e.StallStep, e.StallNs = 200, 2e9
	}, 0.9, 0.9)
	even := simulated(t, func(f *workload.Flags, e *workloadtest.Engine) { f.OutputTokens, f.RatePerS = 16, 5 }, 0.9, 0.9)
	c := FromRun(stalled).LatencyCV
	if c == nil || *c <= varianceOnset {
		t.Errorf("coefficient of variation %v with a stall of 2 s", c)
	}
	if c := FromRun(even).LatencyCV; c == nil || *c > 0.1 {
		t.Errorf("coefficient of variation %v without a stall", c)
	}
}

// TestBudget works the sums out by hand: three requests one second apart, of
// which the first two are warm-up.
func TestBudget(t *testing.T) {
	const s = 1e9
	spec, err := workload.New(workload.Flags{Requests: 4, RatePerS: 1, Pattern: "constant", InputTokens: 10, OutputTokens: 2, Seed: 1}, workload.Limits{Vocab: 1000})
	if err != nil {
		t.Fatal(err)
	}
	r := Run{Spec: spec, StartNs: 10 * s, Attribution: &Attribution{Buckets: []Bucket{
		{CtxTokens: 10, WallNs: 0.4 * s, BusyNs: 0.3 * s}, {GenReqs: 1, WallNs: 0.2 * s, BusyNs: 0.05 * s},
	}}}
	for i := range int64(4) {
		a := 10*s + i*s
		r.Requests = append(r.Requests, engine.RequestResult{
			ID: i, PromptTokens: 10, OutputTokens: 2, Finish: engine.FinishLength, ArrivalNs: a, AdmitNs: a, QueuedNs: a,
			ScheduledNs: a + 0.1*s, FirstTokenNs: a + 0.5*s, LastTokenNs: a + 0.8*s, DeliveredNs: a + 0.8*s, TokenNs: []int64{a + 0.5*s, a + 0.8*s},
		})
		r.Steps = append(r.Steps,
			engine.Step{CallNs: a + 0.1*s, ReturnNs: a + 0.5*s, ExitNs: a + 0.5*s, CtxReqs: 1, CtxTokens: 10, Running: 1, Waiting: 1, KVUsageFrac: 0.95},
			engine.Step{CallNs: a + 0.6*s, ReturnNs: a + 0.8*s, ExitNs: a + 0.8*s, GenReqs: 1, GenTokens: 1, Running: 1, KVUsageFrac: 0.95})
	}
	r.MaxSeqs = 4
	summarize(&r)
	e := FromRun(r)
	// From the arrival of the second at 11 s to that of the last at 13 s: two of
	// each step.
	near(t, "window", e.WindowS, 2, 0)
	near(t, "u", e.Device.Busy, 0.35, 1e-12)    // 0.3 + 0.05 a second
	near(t, "h", e.Device.Host, 0.25, 1e-12)    // 0.6 - 0.35
	near(t, "z", e.Device.Between, 0.20, 1e-12) // 0.1 before each step
	near(t, "o", e.Device.Empty, 0.20, 1e-12)
	near(t, "β_p", *e.PrefillIdleFrac, 0.25, 1e-12)
	near(t, "β_d", *e.DecodeIdleFrac, 0.75, 1e-12)
	near(t, "r_q", e.QueueFrac, 0.1/0.8, 1e-12)
	near(t, "r_p", e.PrefillFrac, 0.4/0.8, 1e-12)
	near(t, "r_d", e.DecodeFrac, 0.3/0.8, 1e-12)
	near(t, "ι", e.InterferenceFrac, 0, 0)
	// In prefill steps, two thirds of the step time, one of two wanted runs.
	near(t, "m_d", e.KVDenied, 2.0/3*0.5, 1e-12)
	near(t, "kv95", e.KVUsageP95, 0.95, 1e-12)
	near(t, "mean batch", e.MeanBatch, 1, 1e-12)
	if w := e.Waiting; w == nil || w.KV != 1 {
		t.Errorf("waiting %+v, want all by the KV cache", w)
	}
	if e.LatencyCV != nil {
		t.Errorf("a spread of 2 requests: %v", *e.LatencyCV)
	}
}

// TestInterference: decode time that prompts in the same steps added.
func TestInterference(t *testing.T) {
	r := simulated(t, nil, 0.9, 0.9)
	alone := FromRun(r).InterferenceFrac
	if alone < 0 || alone > 0.3 {
		t.Errorf("ι %g", alone)
	}
	crowded := simulated(t, func(f *workload.Flags, e *workloadtest.Engine) { f.RatePerS, f.Requests = 15, 60 }, 0.9, 0.9)
	if more := FromRun(crowded).InterferenceFrac; more <= alone {
		t.Errorf("ι %g at three times the rate, %g before", more, alone)
	}
	// Without a pure decode step to compare, the prompts' share of tokens counts.
	one := Run{Spec: r.Spec, StartNs: 1, Summary: r.Summary, Requests: []engine.RequestResult{{
		ID: 5, Finish: engine.FinishLength, OutputTokens: 2, ArrivalNs: 2, ScheduledNs: 3, FirstTokenNs: 4, LastTokenNs: 104,
	}}, Steps: []engine.Step{{CallNs: 14, ReturnNs: 94, CtxReqs: 1, CtxTokens: 3, GenReqs: 1}}}
	near(t, "ι", newView(one).interference(), 80*3.0/4/100, 1e-12)
}

// TestDeviceSources: without enough near buckets the budget comes from the
// counter, on a CPU from execute and sample, or does not exist.
func TestDeviceSources(t *testing.T) {
	r := simulated(t, nil, 0.9, 0.9)
	exact := FromRun(r).Device
	from, to := Window(r.Spec, r.StartNs, r.Requests)
	t.Run("some far", func(t *testing.T) {
		few := r
		attribution := *r.Attribution
		attribution.Buckets = nil
		for _, b := range r.Attribution.Buckets {
			if b.CtxTokens == 0 {
				attribution.Buckets = append(attribution.Buckets, b)
			}
		}
		few.Attribution = &attribution
		d := FromRun(few).Device
		if d != nil {
			t.Errorf("prompts take more than a tenth of the time and have no bucket, but %+v", d)
		}
	})
	t.Run("counter", func(t *testing.T) {
		coarse := r
		coarse.Attribution = nil
		for i := range 10 {
			coarse.Utilisation = append(coarse.Utilisation, Sample{from + int64(i+1)*(to-from)/11, 0.4})
		}
		coarse.Utilisation = append(coarse.Utilisation, Sample{from - 1, 1}, Sample{to + 1, 1})
		e := FromRun(coarse)
		if e.Device == nil || !e.Device.Coarse {
			t.Fatalf("device %+v", e.Device)
		}
		near(t, "u", e.Device.Busy, 0.4, 1e-12)
		near(t, "o", e.Device.Empty, exact.Empty, 1e-12)
		near(t, "u + h", e.Device.Busy+e.Device.Host, exact.Busy+exact.Host, 1e-9)
		if *e.DecodeIdleFrac != *e.PrefillIdleFrac {
			t.Errorf("idle shares %g and %g from one counter", *e.DecodeIdleFrac, *e.PrefillIdleFrac)
		}
	})
	t.Run("cpu", func(t *testing.T) {
		cpu := r
		cpu.Attribution, cpu.OnCPU = nil, true
		d := FromRun(cpu).Device
		if d == nil || !d.Coarse || d.Busy <= 0 || d.Host <= 0 {
			t.Errorf("device %+v", d)
		}
		near(t, "u + h", d.Busy+d.Host, exact.Busy+exact.Host, 1e-9)
	})
	t.Run("none", func(t *testing.T) {
		none := r
		none.Attribution = nil
		e := FromRun(none)
		if e.Device != nil || e.DecodeIdleFrac != nil {
			t.Errorf("device %+v out of nothing", e.Device)
		}
	})
}

// TestRecomputed: what a preemption makes the engine compute again.
// TestQueued: with several batches in flight the time of calls says nothing, and
// what would follow from it is said to be unknown.
func TestQueued(t *testing.T) {
	r := simulated(t, nil, 0.9, 0.9)
	r.Queued, r.OnCPU = true, true
	e := FromRun(r)
	if e.Device != nil || e.DecodeIdleFrac != nil || e.InterferenceFrac != 0 || e.MeanBatch != 0 || e.Slow != nil {
		t.Errorf("evidence from calls: %+v", e)
	}
	if e.DecodeFrac == 0 || e.Requests == 0 {
		t.Errorf("evidence from requests is gone: %+v", e)
	}
	report := Classify(e)
	for _, class := range []Class{HostBound, LowUtilisation, MemoryPressure} {
		if f := report.Of(class); !strings.Contains(f.Unknown, "several batches are in flight") {
			t.Errorf("%s: %q", class, f.Unknown)
		}
	}
}

func TestRecomputed(t *testing.T) {
	r := simulated(t, nil, 0.9, 0.9)
	if e := FromRun(r); e.Recomputed != 0 || e.Preempted != 0 {
		t.Errorf("recomputed %g after %d preemptions", e.Recomputed, e.Preempted)
	}
	var computed float64
	for _, s := range r.Steps {
		computed += float64(s.CtxTokens + s.GenTokens)
	}
	r.Steps[10].Preempted = 1
	r.Steps[30].GenTokens += 1000
	near(t, "p_w", FromRun(r).Recomputed, 1000/(computed+1000), 1e-12)
}

// TestBandwidth: η is the bytes of decode steps over their busy time.
func TestBandwidth(t *testing.T) {
	r := simulated(t, nil, 0.9, 0.9)
	if e := FromRun(r); e.BandwidthFrac != nil {
		t.Errorf("η %g without a measured bandwidth", *e.BandwidthFrac)
	}
	r.Attribution.CopyBytesPerS = 4e12
	for i := range r.Attribution.Buckets {
		b := &r.Attribution.Buckets[i]
		b.ReadBytes = b.BusyNs / 1e9 * 3e12
	}
	e := FromRun(r)
	if e.BandwidthFrac == nil {
		t.Fatal("no η")
	}
	near(t, "η", *e.BandwidthFrac, 0.75, 1e-9)
}

func TestInvalid(t *testing.T) {
	r := simulated(t, nil, 0.9, 0.9)
	r.Requests[3].ScheduledNs = r.Requests[3].ArrivalNs - 1
	summarize(&r)
	report := Classify(FromRun(r))
	if report.Primary != "" || report.Evidence.Invalid == "" || report.Balanced {
		t.Errorf("report of an invalid run: primary %q, %s", report.Primary, report.Reason)
	}
}

func TestMean(t *testing.T) {
	a, b := steady(nil), steady(func(e *Evidence) {
		e.QueueFrac, e.DecodeFrac, e.Saturated, e.LatencyCV, e.Device = 0.3, 0.45, true, nil, nil
		e.Waiting = &Waiting{Seqs: 1}
	})
	m := Mean([]Evidence{a, b, b})
	near(t, "r_q", m.QueueFrac, 0.7/3, 1e-12)
	near(t, "r sum", m.QueueFrac+m.PrefillFrac+m.DecodeFrac, 1, 1e-12)
	near(t, "c", *m.LatencyCV, 0.2, 1e-12)
	near(t, "u", m.Device.Busy, 0.8, 1e-12)
	if !m.Saturated || m.Requests != 900 || m.Waiting.Seqs != 1 {
		t.Errorf("mean %+v", m)
	}
	if one := Mean([]Evidence{a}); one.QueueFrac != a.QueueFrac {
		t.Errorf("mean of one: %+v", one)
	}
}

// TestLengthsAreNoVariance: a mix of short and long requests, each as fast as
// its like.
func TestLengthsAreNoVariance(t *testing.T) {
	v := view{}
	for i := range 40 {
		n := int32(16)
		if i%2 == 0 {
			n = 256
		}
		v.done = append(v.done, request{&engine.RequestResult{PromptTokens: n, OutputTokens: n}, 1e6 * float64(n) * float64(n), 0})
	}
	if c := v.latencyCV(); c == nil || *c > 1e-9 {
		t.Errorf("coefficient of variation %v", c)
	}
}
