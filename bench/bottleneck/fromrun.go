package bottleneck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stepbench/bench/stats"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// Run is one run and what was sampled meanwhile.
type Run struct {
	Spec     workload.Spec
	Summary  *workload.Summary // of the same records
	StartNs  int64             // of the plan, on the clock of all stamps
	Requests []engine.RequestResult
	Steps    []engine.Step
	// Utilisation are samples of the devices' own counter, nil on a CPU.
	Utilisation []Sample
	Attribution *Attribution // nil without
	// Limits of the scheduler, 0 where not known.
	MaxSeqs, MaxTokens int
	OnCPU              bool
	FullGraphs         bool // as in Evidence
	AsyncScheduling    bool
	// Queued: calls of the engine are no steps (engine.Info.QueuedBatches).
	Queued      bool
	OutOfMemory bool
}

// Sample is the share of time in which the devices ran a kernel, the mean over
// devices, as their driver counted it up to AtNs (CLOCK_MONOTONIC).
type Sample struct {
	AtNs int64
	Frac float64
}

// FromRun computes the evidence of a run. What the records do not tell is nil.
func FromRun(r Run) Evidence {
	v := newView(r)
	e := Evidence{
		OnCPU: r.OnCPU, FullGraphs: r.FullGraphs, AsyncScheduling: r.AsyncScheduling, Queued: r.Queued, OutOfMemory: r.OutOfMemory, MaxSeqs: r.MaxSeqs, MaxTokens: r.MaxTokens,
		WindowS: float64(v.toNs-v.fromNs) / 1e9, OpenLoop: !r.Spec.Unscheduled(),
		Saturated: r.Summary.Saturation.Verdict == workload.Yes,
	}
	if !r.Summary.Valid() {
		e.Invalid = failures(r.Summary.Gates)
	}
	if w := r.Summary.Window; w != nil {
		e.OfferedPerS, e.AchievedPerS = w.OfferedPerS, w.RequestsPerS
	}
	for _, s := range r.Summary.Shares {
		switch s.Phase {
		case "queue":
			e.QueueFrac = s.Frac.Value
		case "prefill":
			e.PrefillFrac = s.Frac.Value
		case "decode":
			e.DecodeFrac = s.Frac.Value
		}
	}
	e.Requests = len(v.done)
	e.LatencyCV = v.latencyCV()
	if r.Queued {
		v.queued(&e)
		return e
	}
	e.InterferenceFrac = v.interference()
	v.device(&e)
	v.kvCache(&e)
	v.batches(&e)
	e.Slow = v.slowITL()
	return e
}

func failures(gates []workload.Gate) string {
	var out []string
	for _, g := range gates {
		if g.Voids && g.Status == workload.Fail {
			out = append(out, fmt.Sprintf("%s (%s)", g.Name, g.Detail))
		}
	}
	return strings.Join(out, "; ")
}

// view is a run in the parts that the rules ask for.
type view struct {
	Run
	fromNs, toNs int64 // the window, CLOCK_MONOTONIC
	shapes       shapes
	steps        []engine.Step // that ended after the window opened, not empty
	done         []request     // measured, completed, with every stamp
}

type request struct {
	*engine.RequestResult
	e2eNs, decodeNs float64
}

func newView(r Run) *view {
	v := &view{Run: r, shapes: r.Attribution.shapes()}
	v.Requests = slices.Clone(r.Requests)
	slices.SortFunc(v.Requests, func(a, b engine.RequestResult) int { return cmp.Compare(a.ID, b.ID) })
	v.fromNs, v.toNs = Window(r.Spec, r.StartNs, v.Requests)
	measured := workload.SpanOf(r.Spec, r.StartNs, v.Requests)
	for i := range v.Requests {
		q := &v.Requests[i]
		if !measured.Has(q.ID) {
			continue
		}
		t := workload.TimesOf(q, r.Spec.Unscheduled())
		if t.E2E != nil && t.Prefill != nil && t.Decode != nil {
			v.done = append(v.done, request{q, float64(*t.E2E), float64(*t.Decode)})
		}
	}
	for _, s := range r.Steps {
		if s.ReturnNs > v.fromNs && s.CtxTokens+s.GenReqs > 0 {
			v.steps = append(v.steps, s)
		}
	}
	return v
}

// Window is the span (fromNs, toNs] over which a run's time is counted: that of
// workload.Summary.Window, and the whole run where it has none. startNs is the
// plan's start. The two are equal if there is nothing to count.
func Window(s workload.Spec, startNs int64, requests []engine.RequestResult) (fromNs, toNs int64) {
	if span := workload.SpanOf(s, startNs, requests); span.ToNs > span.FromNs {
		return span.FromNs, span.ToNs
	}
	end := startNs
	for i := range requests {
		end = max(end, endNs(&requests[i]))
	}
	return startNs, end
}

// endNs is the last moment at which a request was in the system, 0 if never.
func endNs(q *engine.RequestResult) int64 { return max(q.LastTokenNs, q.DeliveredNs) }

// interference is ι = Σ_mixed gen_j·(w_j-ŵ)⁺ / Σ(l-f): the share of the decode
// time of measured requests by which prompts made their steps longer. gen_j are
// those of the requests that decode in step j, and ŵ is the median pure-decode
// wall at its batch; where there is none, the excess is the prompts' share of
// the step's tokens.
func (v *view) interference() float64 {
	decodes := map[int][]float64{} // by padded requests
	padded := map[int32]int{}
	for i := range v.steps {
		if s := &v.steps[i]; s.CtxTokens == 0 {
			n := genReqs(s)
			padded[s.GenReqs] = n
			decodes[n] = append(decodes[n], float64(s.WallNs()))
		}
	}
	median := map[int]float64{}
	for n, walls := range decodes {
		slices.Sort(walls)
		median[n] = stats.Median(walls)
	}
	var mixed []span
	for i := range v.steps {
		s := &v.steps[i]
		if s.CtxTokens == 0 || s.GenReqs == 0 {
			continue
		}
		excess := float64(s.WallNs()) * float64(s.CtxTokens) / float64(s.CtxTokens+s.GenReqs)
		if pure, ok := median[padded[s.GenReqs]]; ok {
			excess = max(0, float64(s.WallNs())-pure)
		}
		mixed = append(mixed, span{s.CallNs, excess})
	}
	slices.SortFunc(mixed, func(a, b span) int { return cmp.Compare(a.atNs, b.atNs) })
	var added, decode float64
	for _, q := range v.done {
		decode += q.decodeNs
		from, _ := slices.BinarySearchFunc(mixed, q.FirstTokenNs, func(m span, ns int64) int { return cmp.Compare(m.atNs, ns) })
		for _, m := range mixed[from:] {
			if m.atNs >= q.LastTokenNs {
				break
			}
			added += m.ns
		}
	}
	if decode == 0 {
		return 0
	}
	return clamp01(added / decode)
}

type span struct {
	atNs int64
	ns   float64
}
