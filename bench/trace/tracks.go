package trace

import (
	"fmt"

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
			WallUs: stamp(s.WallNs()), UnaccountedUs: stamp(s.UnaccountedNs()), BridgeUs: stamp(s.BridgeNs),
		})
		w.slice(pidEngine, tid, "wait for the GIL", s.EnterNs, s.GILNs, nil)
		w.slice(pidEngine, tid, "LLMEngine.step", s.CallNs, s.ReturnNs, nil)
		w.parts(tid, s)
		w.slice(pidEngine, tid, "walk results", s.ReturnNs, s.ExitNs, nil)
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
// them. Only their durations are measured: what is unaccounted for lies between
// them, and is drawn at the end.
func (w *writer) parts(tid int64, s *engine.Step) {
	at := s.CallNs
	for _, part := range []struct {
		name string
		ns   int64
	}{
		{"schedule", s.ScheduleNs}, {"execute", s.ExecuteNs}, {"sample", s.SampleNs},
		{"update", s.UpdateNs}, {"output", s.OutputNs}, {"stats", s.StatsNs},
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

// requests gives each request a track with its phases. A phase that it did not
// reach is left out.
func (w *writer) requests(requests []engine.RequestResult) {
	if len(requests) == 0 {
		return
	}
	w.nameProcess(pidRequests, "requests")
	for i := range requests {
		r := &requests[i]
		w.nameThread(pidRequests, r.ID, fmt.Sprintf("request %d", r.ID))
		args := requestArgs{r.PromptTokens, r.OutputTokens, r.CachedTokens, r.Finish.String(), r.Error}
		for _, p := range []struct {
			name     string
			from, to int64
		}{
			{"queue", begin(r), r.ScheduledNs},
			{"prefill", r.ScheduledNs, r.FirstTokenNs},
			{"decode", r.FirstTokenNs, r.LastTokenNs},
		} {
			if p.from > 0 {
				w.slice(pidRequests, r.ID, p.name, p.from, p.to, args)
			}
		}
	}
}

// events numbers processes and tracks in the order in which they appear.
func (w *writer) events(events []Event) {
	pids := map[string]int{}
	tids := map[[2]string]int64{}
	for _, e := range events {
		pid, known := pids[e.Process]
		if !known {
			pid = pidEvents + len(pids)
			pids[e.Process] = pid
			w.nameProcess(pid, e.Process)
		}
		track := [2]string{e.Process, e.Track}
		tid, known := tids[track]
		if !known {
			tid = int64(1 + len(tids))
			tids[track] = tid
			w.nameThread(pid, tid, e.Track)
		}
		w.slice(pid, tid, e.Name, e.StartNs, e.EndNs, nil)
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
