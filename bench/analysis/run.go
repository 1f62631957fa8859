package analysis

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"stepbench/bench/bottleneck"
	"stepbench/bench/record"
	"stepbench/bench/stats"
	"stepbench/bench/suite"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// run is a usable repeat.
type run struct {
	rec      *record.Record
	sum      *workload.Summary
	seen     observed
	evidence bottleneck.Evidence
	// values are its statistics by the names of Repeat.Values.
	values map[string]workload.Estimate
	// wholeRun: its rates count from start to end, not over a window.
	wholeRun bool
}

// repeat reads one repeat. The run is nil if there is nothing in it to use; it
// is of use without being valid if it was cut off. It may be called from several
// goroutines at a time.
func (l *loader) repeat(engineIndex int, m *suite.Repeat) (out Repeat, r *run, doubts []string) {
	out = Repeat{Dir: m.Dir, State: m.State, Problem: m.Problem}
	if m.State == "" {
		out.Problem = "not run"
		return out, nil, nil
	}
	rec, err := record.Open(filepath.Join(l.dir, m.Dir))
	if err != nil {
		if out.Problem == "" {
			out.Problem = err.Error()
		}
		return out, nil, nil
	}
	out.State = rec.Manifest.State
	doubts = append(rec.Notes, rec.Manifest.Warnings...)
	if out.Problem == "" {
		out.Problem = rec.Manifest.Error
	}
	sum := rec.Summary()
	if sum == nil || sum.Counts.Completed == 0 {
		if out.Problem == "" {
			out.Problem = "no request completed"
		}
		return out, nil, doubts
	}
	// Tables keep the order in which requests ended.
	slices.SortFunc(rec.Requests, func(a, b engine.RequestResult) int { return int(a.ID - b.ID) })
	r = &run{rec: rec, sum: sum}
	info := &l.a.Engines[engineIndex].Info
	r.seen = observe(rec)
	r.evidence = bottleneck.FromRun(bottleneck.Run{
		Spec: *rec.Manifest.Workload, Summary: sum, StartNs: rec.Manifest.StartNs, Requests: rec.Requests, Steps: rec.Steps,
		Utilisation: r.seen.utilisation, Attribution: l.attributions[engineIndex],
		MaxSeqs: info.MaxNumSeqs, MaxTokens: info.MaxNumBatchedTokens, OnCPU: info.Platform == "cpu",
		FullGraphs: strings.HasPrefix(info.GraphMode, "FULL"), AsyncScheduling: info.AsyncScheduling, Queued: info.QueuedBatches > 0, OutOfMemory: outOfMemory(out.Problem),
	})
	r.measure()
	out.E2ENs, out.Workload, out.WholeRun, out.Values = r.e2e(), r.workload(), r.wholeRun, map[string]float64{}
	for name, v := range r.values {
		out.Values[name] = v.Value
	}
	out.WarmUp, out.Censored = sum.WarmUp, sum.Counts.Censored
	if !sum.Valid() {
		out.Problem = "invalid: " + r.evidence.Invalid
	}
	out.Valid = out.State == record.Complete && sum.Valid()
	return out, r, doubts
}

// outOfMemory reads it from what torch, CUDA and vLLM say then.
func outOfMemory(problem string) bool {
	problem = strings.ToLower(problem)
	for _, words := range []string{"out of memory", "outofmemory", "no available memory for the cache blocks", "not enough memory"} {
		if strings.Contains(problem, words) {
			return true
		}
	}
	return false
}

// workload identifies the requests and arrivals of r, as they do on any
// machine.
func (r *run) workload() string {
	s := *r.rec.Manifest.Workload
	// What is asked of a run, and what it took to prepare, is not in what it ran.
	s.SLO, s.Profile = nil, ""
	if s.Data != nil {
		data := *s.Data
		data.TokeniseNs = 0
		s.Data = &data
	}
	if s.Source != nil {
		source := *s.Source
		source.Path = filepath.Base(source.Path)
		s.Source = &source
	}
	data, err := json.Marshal(s)
	if err != nil {
		return "" // pairs with nothing
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// e2e are the latencies of measured requests that completed, in order of ID.
func (r *run) e2e() []float64 {
	s := r.rec.Manifest.Workload
	measured := workload.SpanOf(*s, r.rec.Manifest.StartNs, r.rec.Requests)
	var out []float64
	for i := range r.rec.Requests {
		q := &r.rec.Requests[i]
		if !measured.Has(q.ID) {
			continue
		}
		if t := workload.TimesOf(q, s.Unscheduled()); t.E2E != nil {
			out = append(out, float64(*t.E2E))
		}
	}
	return out
}

// percentiles that a Dist has, and their names.
var percentiles = map[float64]string{0.5: "p50", 0.9: "p90", 0.99: "p99"}

// measure fills values with the summary's numbers and what follows from the
// evidence.
func (r *run) measure() {
	r.values = map[string]workload.Estimate{}
	maps.Copy(r.values, r.rates())
	for _, d := range r.sum.Latencies {
		name := strings.ToLower(d.Metric)
		if d.MeanNs != nil {
			r.values[name+"_mean_ns"] = *d.MeanNs
		}
		for _, p := range d.Percentiles {
			if suffix := percentiles[p.P]; suffix != "" && p.ValueNs != nil {
				r.values[name+"_"+suffix+"_ns"] = *p.ValueNs
			}
		}
	}
	for _, s := range r.sum.Shares {
		r.values[s.Phase+"_frac"] = s.Frac
	}
	if g := r.sum.Goodput; g != nil && g.PerS != nil {
		r.values["goodput_per_s"] = *g.PerS
	}
	report := bottleneck.Classify(r.evidence)
	if host := report.Of(bottleneck.HostBound); host.Unknown == "" {
		r.values["host_frac"] = workload.Estimate{Value: host.X}
	}
	if r.seen.utilisationFrac != nil {
		r.values["utilisation_frac"] = *r.seen.utilisationFrac
	}
	r.seen.gpm.estimates(r.values)
}

// settledServices is how many mean service times a window must last for its
// rates to be those of a settled system, as for workload's verdict on
// saturation: in a shorter one the system only fills.
const settledServices = 5

// window is nil offline, and where it is too short for rates.
func (r *run) window() *workload.Throughput {
	service := 0.0
	for _, s := range r.sum.Shares {
		if s.Phase != "queue" {
			service += s.MeanNs / 1e9
		}
	}
	if w := r.sum.Window; w != nil && w.Seconds >= settledServices*service {
		return w
	}
	return nil
}

// rates are the throughputs of the window, with within-run intervals: what each
// request contributes, resampled. Without a window long enough they are those of
// the whole run, its start and end included, and have no interval: a resample
// has no makespan.
func (r *run) rates() map[string]workload.Estimate {
	t := r.window()
	if t == nil {
		t, r.wholeRun = r.sum.WholeRun, true
	}
	if t == nil {
		return nil
	}
	out := map[string]workload.Estimate{
		"achieved_per_s":      {Value: t.RequestsPerS},
		"output_tokens_per_s": {Value: t.OutputTokensPerS},
		"total_tokens_per_s":  {Value: t.TotalTokensPerS},
	}
	if w := r.sum.Window; w != nil && !r.rec.Manifest.Workload.Unscheduled() {
		out["offered_per_s"] = workload.Estimate{Value: w.OfferedPerS}
	}
	if r.wholeRun {
		return out
	}
	from, to := bottleneck.Window(*r.rec.Manifest.Workload, r.rec.Manifest.StartNs, r.rec.Requests)
	in := func(ns int64) bool { return ns > from && ns <= to }
	names := []string{"achieved_per_s", "output_tokens_per_s", "total_tokens_per_s"}
	counts := make([][3]float64, len(r.rec.Requests))
	for i := range r.rec.Requests {
		q := &r.rec.Requests[i]
		if workload.Completed(q) && in(q.LastTokenNs) {
			counts[i][0] = 1
		}
		for _, ns := range q.TokenNs {
			if in(ns) {
				counts[i][1]++
			}
		}
		counts[i][2] = counts[i][1]
		if in(q.FirstTokenNs) {
			counts[i][2] += float64(q.PromptTokens)
		}
	}
	ci, ok := stats.BlockBootstrap(len(counts), "stepbench/bootstrap/1/rates", func(weight []int) []float64 {
		sums := make([]float64, len(names))
		for i, w := range weight {
			for k := range sums {
				sums[k] += float64(w) * counts[i][k]
			}
		}
		for k := range sums {
			sums[k] /= t.Seconds
		}
		return sums
	})
	for k, name := range names {
		if ok[k] {
			out[name] = workload.Estimate{Value: out[name].Value, CI: &ci[k]}
		}
	}
	return out
}
