package bottleneck

import (
	"fmt"
	"math"
)

// Classify applies the rules to e. The x of prefill, decode and host-bound and
// the queue's share of latency add up to 1.
func Classify(e Evidence) Report {
	r := Report{Evidence: e}
	for _, rule := range []func(*Evidence) Finding{prefill, decode, host, lowUtilisation, queue, memory, variance} {
		f := rule(&e)
		f.grade()
		r.Classes = append(r.Classes, f)
	}
	r.choose()
	for i := range r.Classes {
		if f := &r.Classes[i]; f.Present {
			f.Advice = advice(f.Class, &e)
		}
	}
	if e.Device != nil && e.Device.Coarse {
		r.Notes = append(r.Notes, "device time is coarse: too few steps have the shape of a profiled burst")
	}
	return r
}

// grade derives from X what follows from it.
func (f *Finding) grade() {
	if f.Unknown != "" {
		*f = Finding{Class: f.Class, Unknown: f.Unknown, Word: "unknown", Onset: f.Onset, OnsetReason: f.OnsetReason, Bound: 1}
		return
	}
	f.X = clamp01(f.X)
	f.Severity, f.Word = 10*f.X, Word(10*f.X)
	f.Bound = amdahl(f.X)
}

// amdahl is 1/(1-x), 0 where it has no limit.
func amdahl(x float64) float64 {
	if x >= 1 {
		return 0
	}
	return 1 / (1 - x)
}

// phases splits latency into the time of computing prompts p' and of computing
// output d': interference counts as prompts' work.
func (e *Evidence) phases() (prompts, outputs float64) {
	return e.PrefillFrac + e.DecodeFrac*e.InterferenceFrac, e.DecodeFrac * (1 - e.InterferenceFrac)
}

// idle is a device idle share, 0 if it is not known: the time then counts as
// the phase's own.
func idle(share *float64) float64 {
	if share == nil {
		return 0
	}
	return *share
}

// noSteps is why evidence from steps is missing where batches are queued.
const noSteps = "several batches are in flight, so that the time of a call belongs to no step"

const idleUnknown = "; device idle time inside steps is not known and counts as the phase's"

func prefill(e *Evidence) Finding {
	prompts, _ := e.phases()
	beta := idle(e.PrefillIdleFrac)
	f := Finding{
		Class: Prefill, X: prompts * (1 - beta), Onset: 0.30, Unknown: e.noRequests(),
		OnsetReason: "without it at least 1.43 times as fast",
		Evidence: []Line{
			{"p' = r_p + r_d·ι", fmt.Sprintf("%.3f = %.3f + %.3f × %.3f", prompts, e.PrefillFrac, e.DecodeFrac, e.InterferenceFrac)},
			{"x = p'·(1-β_p)", fmt.Sprintf("%.3f = %.3f × (1 - %.3f)", prompts*(1-beta), prompts, beta)},
		},
	}
	if e.PrefillIdleFrac == nil {
		f.Evidence[1].Numbers += idleUnknown
	}
	f.Present = f.X >= f.Onset
	return f
}

// dominantDecode: everything else together gives at most 1.25.
const dominantDecode = 0.80

func decode(e *Evidence) Finding {
	_, outputs := e.phases()
	beta := idle(e.DecodeIdleFrac)
	f := Finding{
		Class: Decode, X: outputs * (1 - beta), Onset: 0.60, Unknown: e.noRequests(),
		OnsetReason: "everything else together gives at most 1.67 times the speed",
		Evidence: []Line{
			{"d' = r_d·(1-ι)", fmt.Sprintf("%.3f = %.3f × (1 - %.3f)", outputs, e.DecodeFrac, e.InterferenceFrac)},
			{"x = d'·(1-β_d)", fmt.Sprintf("%.3f = %.3f × (1 - %.3f)", outputs*(1-beta), outputs, beta)},
		},
	}
	if e.DecodeIdleFrac == nil {
		f.Evidence[1].Numbers += idleUnknown
	}
	if e.BandwidthFrac != nil {
		f.Evidence = append(f.Evidence, Line{"η = bytes read / busy time / copy bandwidth", fmt.Sprintf("%.2f", *e.BandwidthFrac)})
	}
	f.Present, f.Dominant = f.X >= f.Onset, f.X >= dominantDecode
	return f
}

func host(e *Evidence) Finding {
	prompts, outputs := e.phases()
	betaP, betaD := idle(e.PrefillIdleFrac), idle(e.DecodeIdleFrac)
	f := Finding{
		Class: HostBound, X: prompts*betaP + outputs*betaD, Onset: 0.20, Unknown: e.noRequests(),
		OnsetReason: "requests in service and the device idle: without it 1.25 times as fast",
	}
	f.Evidence = []Line{{"x = p'·β_p + d'·β_d",
		fmt.Sprintf("%.3f = %.3f × %.3f + %.3f × %.3f", f.X, prompts, betaP, outputs, betaD)}}
	if f.Unknown == "" && e.Queued {
		f.Unknown = noSteps
	} else if f.Unknown == "" && (e.PrefillIdleFrac == nil || e.DecodeIdleFrac == nil) {
		f.Unknown = "device idle time inside steps is not known: no step has the shape of a profiled burst"
	}
	f.Present = f.X >= f.Onset
	return f
}

const lowOnset = 0.40

func lowUtilisation(e *Evidence) Finding {
	f := Finding{
		Class: LowUtilisation, Onset: lowOnset,
		OnsetReason: "busy below 0.60, where waiting is 1.5 services in an M/M/1 queue; 0.80 to 0.90, with 4 to 9, is well used",
	}
	d := e.Device
	if d == nil {
		f.Unknown = "neither profiled bursts nor a device's counter tell how busy the device was"
		if e.Queued {
			f.Unknown = noSteps + ", and no device's counter was sampled"
		}
		return f
	}
	f.X = 1 - d.Busy
	source := ""
	if d.Coarse {
		source = " (coarse)"
	}
	f.Evidence = []Line{
		{"x = 1 - u", fmt.Sprintf("%.3f = 1 - %.3f%s", f.X, d.Busy, source)},
		{"1 = u + h + z + o", fmt.Sprintf("busy %.3f, host %.3f, between steps %.3f, empty %.3f", d.Busy, d.Host, d.Between, d.Empty)},
		meanBatch(e),
	}
	f.Present = f.X >= f.Onset
	return f
}

func meanBatch(e *Evidence) Line {
	if e.Queued {
		return Line{"mean batch", "not known: " + noSteps}
	}
	return Line{"mean batch", fmt.Sprintf("%.2f requests a step: busy is of time, not of capacity", e.MeanBatch)}
}

func queue(e *Evidence) Finding {
	f := Finding{
		Class: QueueBuildUp, Onset: 0.20,
		OnsetReason: "requests wait one step at most unless a limit binds",
	}
	if !e.OpenLoop {
		f.Unknown = "without an arrival schedule there is no queue"
		return f
	}
	if f.Unknown = e.noRequests(); f.Unknown != "" && !e.Saturated {
		return f
	}
	f.Unknown = ""
	behind := e.behind()
	f.X = max(e.QueueFrac, behind)
	f.Evidence = []Line{{"x = max(r_q, saturated ? 1 - achieved/offered : 0)",
		fmt.Sprintf("%.3f = max(%.3f, %.3f)", f.X, e.QueueFrac, behind)}}
	if e.Saturated {
		f.Evidence = append(f.Evidence, Line{"achieved/offered", fmt.Sprintf("%.3g/%.3g requests/s", e.AchievedPerS, e.OfferedPerS)})
	}
	if w := e.Waiting; w != nil {
		f.Evidence = append(f.Evidence, Line{"limit that bound while requests waited",
			fmt.Sprintf("KV cache %.2f, sequences %.2f, tokens %.2f, none (steps take too long) %.2f of that time", w.KV, w.Seqs, w.Tokens, w.Compute)})
	}
	f.Present = f.X >= f.Onset
	return f
}

// behind is how far the engine fell behind the offered load, 0 if it kept up.
func (e *Evidence) behind() float64 {
	if !e.Saturated || e.OfferedPerS <= 0 {
		return 0
	}
	return clamp01(1 - e.AchievedPerS/e.OfferedPerS)
}

func memory(e *Evidence) Finding {
	denied := clamp01(e.KVDenied + e.Recomputed)
	full := 0.3 * clamp01((e.KVUsageP95-0.90)/0.10)
	f := Finding{
		Class: MemoryPressure, X: max(denied, full), Onset: 0.10,
		OnsetReason: "a tenth of the wanted concurrency denied",
		Evidence: []Line{{"x = max(m_d + p_w, 0.3·(kv95 - 0.90)/0.10)",
			fmt.Sprintf("%.3f = max(%.3f + %.3f, %.3f), kv95 %.3f, %d preemptions", max(denied, full), e.KVDenied, e.Recomputed, full, e.KVUsageP95, e.Preempted)}},
	}
	if e.OutOfMemory {
		f.X = 1
		f.Evidence = []Line{{"x = 1 out of memory", "the engine ran out of memory"}}
	} else if e.Queued && e.Preempted == 0 && f.X == 0 {
		f.Unknown = noSteps
	} else if !e.Queued && e.MeanBatch == 0 {
		f.Unknown = "no steps recorded"
	}
	f.Present = f.X >= f.Onset
	return f
}

// varianceOnset is a coefficient of variation; that of exponential spread is 1.
const varianceOnset = 0.5

func variance(e *Evidence) Finding {
	f := Finding{
		Class: HighVariance, Onset: varianceOnset / (1 + varianceOnset),
		OnsetReason: "latency per token spreads by more than half its mean among requests of like lengths",
	}
	if e.LatencyCV == nil {
		f.Unknown = fmt.Sprintf("fewer than %d completed requests", minForCV)
		return f
	}
	c := *e.LatencyCV
	if math.IsInf(c, 1) {
		f.X = 1
	} else {
		f.X = c / (1 + c)
	}
	f.Evidence = []Line{{"x = c/(1+c)", fmt.Sprintf("%.3f, c = %.3f", f.X, c)}}
	if s := e.Slow; s != nil {
		f.Evidence = append(f.Evidence, Line{"slowest tenth of inter-token latencies",
			fmt.Sprintf("%d, of them %.2f in steps that computed prompts too (of all: %.2f), %.2f in steps that preempted", s.N, s.Mixed, s.AllMixed, s.Preempted)})
	}
	f.Present = c > varianceOnset
	return f
}

func (e *Evidence) noRequests() string {
	if e.Requests == 0 {
		return "no measured request completed"
	}
	return ""
}
