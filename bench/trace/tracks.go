package trace

import (
	"cmp"
	"fmt"
	"slices"

	"stepbench/engine"
)

// stepArgs is what a click on a step shows.
type stepArgs struct {
	Index         int64   `json:"index"`
	Op            int32   `json:"op"`
	CtxReqs       int32   `json:"ctx_reqs"`
	CtxTokens     int32   `json:"ctx_tokens"`
	GenReqs       int32   `json:"gen_reqs"`
	Running       int32   `json:"running"`
	Waiting       int32   `json:"waiting"`
	Preempted     int32   `json:"preempted"`
	KVUsageFrac   float64 `json:"kv_usage_frac"`
	GraphMode     string  `json:"graph_mode,omitempty"`
	PaddedTokens  int32   `json:"padded_tokens,omitempty"`
	WallUs        stamp   `json:"wall_us"`
	UnaccountedUs stamp   `json:"unaccounted_us"`
	BridgeUs      stamp   `json:"bridge_us"`
}

// steps writes each step with what is inside it, and counters of the state it
// left.
func (w *writer) steps(steps []engine.Step) {
	if len(steps) == 0 {
		return
	}
	const tid = 1
	w.nameProcess(pidEngine, "engine")
	w.nameThread(pidEngine, tid, "steps")
	for i := range steps {
		s := &steps[i]
		w.slice(pidEngine, tid, stepName(s), s.EnterNs, s.ExitNs, stepArgs{
			Index: s.Index, Op: s.Op, CtxReqs: s.CtxReqs, CtxTokens: s.CtxTokens, GenReqs: s.GenReqs,
			Running: s.Running, Waiting: s.Waiting, Preempted: s.Preempted, KVUsageFrac: s.KVUsageFrac,
			GraphMode: s.GraphMode.String(), PaddedTokens: s.PaddedTokens,
			WallUs: stamp(s.WallNs()), UnaccountedUs: stamp(s.UnaccountedNs()), BridgeUs: stamp(s.BridgeNs),
		})
		w.slice(pidEngine, tid, "wait for the GIL", s.EnterNs, s.GILNs, nil)
		w.slice(pidEngine, tid, "LLMEngine.step", s.CallNs, s.ReturnNs, nil)
		w.parts(tid, s)
		w.slice(pidEngine, tid, "walk results", s.ReturnNs, s.ExitNs, nil)
		w.counter(pidEngine, "tokens in the step", s.EnterNs, float64(s.CtxTokens+s.GenTokens))
		w.counter(pidEngine, "running (requests)", s.ExitNs, float64(s.Running))
		w.counter(pidEngine, "waiting (requests)", s.ExitNs, float64(s.Waiting))
		w.counter(pidEngine, "KV cache in use (%)", s.ExitNs, 100*s.KVUsageFrac)
	}
}

// stepName is the step's work in short.
func stepName(s *engine.Step) string {
	switch phase := s.Phase(); phase {
	case "prefill":
		return fmt.Sprintf("%s %d tokens", phase, s.CtxTokens)
	case "decode":
		return fmt.Sprintf("%s %d", phase, s.GenReqs)
	case "mixed":
		return fmt.Sprintf("%s %d tokens + %d", phase, s.CtxTokens, s.GenReqs)
	default:
		return phase
	}
}

// parts draws the parts of a step end to end in the order in which vLLM runs
// them. Only their durations are measured: core and what is unaccounted for lie
// between them; core is drawn after update, the rest at the end.
func (w *writer) parts(tid int64, s *engine.Step) {
	at := s.CallNs
	for _, part := range []struct {
		name string
		ns   int64
	}{
		{"schedule", s.ScheduleNs}, {"execute", s.ExecuteNs}, {"sample", s.SampleNs},
		{"update", s.UpdateNs}, {"core", s.CoreNs}, {"output", s.OutputNs}, {"stats", s.StatsNs},
	} {
		end := min(at+part.ns, s.ReturnNs)
		w.slice(pidEngine, tid, part.name, at, end, nil)
		at = end
	}
}

// requestArgs is what a click on a request shows.
type requestArgs struct {
	PromptTokens int32  `json:"prompt_tokens"`
	OutputTokens int32  `json:"output_tokens"`
	CachedTokens int32  `json:"cached_tokens"`
	Finish       string `json:"finish"`
	Error        string `json:"error,omitempty"`
}

// begin is the first that is known of a request, 0 if nothing is.
func begin(r *engine.RequestResult) int64 {
	if r.ArrivalNs > 0 {
		return r.ArrivalNs
	}
	return r.QueuedNs
}

// end is the last that is known of a request.
func end(r *engine.RequestResult) int64 {
	return max(begin(r), r.ScheduledNs, r.LastTokenNs, r.DeliveredNs)
}

// requests draws each request with its phases in the lowest slot that is free
// when it begins, so that there are no more tracks than were ever in flight. A
// phase that a request did not reach is left out, and one that was refused.
func (w *writer) requests(requests []engine.RequestResult) {
	if len(requests) == 0 {
		return
	}
	w.nameProcess(pidRequests, "requests")
	order := make([]*engine.RequestResult, 0, len(requests))
	for i := range requests {
		if end(&requests[i]) > begin(&requests[i]) {
			order = append(order, &requests[i])
		}
	}
	slices.SortStableFunc(order, func(a, b *engine.RequestResult) int { return cmp.Compare(begin(a), begin(b)) })
	var busyUntil []int64 // by slot
	for _, r := range order {
		slot := slices.IndexFunc(busyUntil, func(ns int64) bool { return ns <= begin(r) })
		if slot < 0 {
			slot = len(busyUntil)
			busyUntil = append(busyUntil, 0)
			w.nameThread(pidRequests, int64(1+slot), fmt.Sprintf("slot %d", 1+slot))
		}
		busyUntil[slot] = end(r)
		w.request(int64(1+slot), r)
	}
}

func (w *writer) request(tid int64, r *engine.RequestResult) {
	args := requestArgs{r.PromptTokens, r.OutputTokens, r.CachedTokens, r.Finish.String(), r.Error}
	w.slice(pidRequests, tid, fmt.Sprintf("request %d", r.ID), begin(r), end(r), args)
	for _, p := range []struct {
		name     string
		from, to int64
	}{
		{"queue", begin(r), r.ScheduledNs},
		{"prefill", r.ScheduledNs, r.FirstTokenNs},
		{"decode", r.FirstTokenNs, r.LastTokenNs},
	} {
		if p.from > 0 {
			w.slice(pidRequests, tid, p.name, p.from, p.to, nil)
		}
	}
}

// lane is a track on which slices nest: the ends of those that are open.
type lane []int64

// fits closes what ended before e and says whether e lies inside what is open.
func (l *lane) fits(e *Event) bool {
	for n := len(*l); n > 0 && (*l)[n-1] <= e.StartNs; n = len(*l) {
		*l = (*l)[:n-1]
	}
	n := len(*l)
	return n == 0 || e.EndNs <= (*l)[n-1]
}

// mostLanes keeps the numbers of one track's lanes apart from the next track's.
const mostLanes = 1000

// events numbers processes and tracks in the order in which they appear.
func (w *writer) events(events []Event) {
	pids := map[string]int{}
	tracks := map[[2]string]int64{}
	lanes := map[[2]string][]lane{}
	for _, e := range events {
		if _, known := pids[e.Process]; !known {
			pids[e.Process] = pidEvents + len(pids)
			w.nameProcess(pids[e.Process], e.Process)
		}
		key := [2]string{e.Process, e.Track}
		if _, known := tracks[key]; !known {
			tracks[key] = int64(1 + mostLanes*len(tracks))
		}
	}
	order := slices.Clone(events)
	slices.SortStableFunc(order, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.StartNs, b.StartNs), cmp.Compare(b.EndNs, a.EndNs))
	})
	for i := range order {
		e := &order[i]
		key := [2]string{e.Process, e.Track}
		own := lanes[key]
		at := slices.IndexFunc(own, func(l lane) bool { return l.fits(e) })
		if at < 0 {
			at = len(own)
			own = append(own, nil)
			name := e.Track
			if at > 0 {
				name = fmt.Sprintf("%s (%d)", e.Track, 1+at)
			}
			w.nameThread(pids[e.Process], tracks[key]+int64(at), name)
		}
		own[at].fits(e)
		own[at] = append(own[at], e.EndNs)
		lanes[key] = own
		w.slice(pids[e.Process], tracks[key]+int64(at), e.Name, e.StartNs, e.EndNs, nil)
	}
}

func (w *writer) telemetry(counters []Counter) {
	if len(counters) == 0 {
		return
	}
	w.nameProcess(pidTelemetry, "telemetry")
	for _, c := range counters {
		w.counter(pidTelemetry, c.Name, c.AtNs, c.Value)
	}
}
