package bottleneck

import (
	"slices"

	"stepbench/bench/stats"
	"stepbench/engine"
)

// kvFull is the KV cache use from which it can be what keeps a request waiting.
const kvFull = 0.90

// kvCache sets what the KV cache cost.
//
// m_d = Σ w_j·I_j·(1 - run_j/min(run_j+wait_j, max_num_seqs)) / Σw over steps,
// I_j = the cache is at least 0.90 full, requests wait and sequences are free.
//
// p_w is the share of computed tokens that were computed again after a
// preemption: what all steps computed beyond what the recorded requests needed
// once, prompt less cached tokens and all output tokens but the last. Requests
// cut off count in full, so it is rather too low.
func (v *view) kvCache(e *Evidence) {
	var denied, wall, computed float64
	var usage []float64
	for i := range v.steps {
		s := &v.steps[i]
		w := float64(s.WallNs())
		wall += w
		usage = append(usage, s.KVUsageFrac)
		if v.kvBinds(s) {
			wanted := s.Running + s.Waiting
			if limit := v.seqLimit(s); limit > 0 {
				wanted = min(wanted, limit)
			}
			denied += w * (1 - float64(s.Running)/float64(wanted))
		}
	}
	if wall > 0 {
		e.KVDenied = denied / wall
	}
	if len(usage) > 0 {
		slices.Sort(usage)
		e.KVUsageP95 = stats.Percentile(usage, 0.95)
	}
	for i := range v.Steps {
		s := &v.Steps[i]
		computed += float64(s.CtxTokens + s.GenTokens)
		e.Preempted += int(s.Preempted)
	}
	if e.Preempted == 0 || computed == 0 {
		return
	}
	needed := 0.0
	for i := range v.Requests {
		q := &v.Requests[i]
		needed += float64(q.PromptTokens-q.CachedTokens) + max(0, float64(q.OutputTokens-1))
	}
	e.Recomputed = clamp01((computed - needed) / computed)
}

func (v *view) seqLimit(s *engine.Step) int32 {
	if s.SeqBudget > 0 {
		return s.SeqBudget
	}
	return int32(v.MaxSeqs)
}

func (v *view) kvBinds(s *engine.Step) bool {
	limit := v.seqLimit(s)
	return s.KVUsageFrac >= kvFull && s.Waiting > 0 && (limit == 0 || s.Running < limit)
}

// tokensBind is how full a step's token budget is, when a prompt may not have
// fitted into the rest.
const tokensBind = 0.9

// batches sets what the steps held and what kept requests waiting.
func (v *view) batches(e *Evidence) {
	var wall, held, waited, read, busyNs float64
	var w Waiting
	for i := range v.steps {
		s := &v.steps[i]
		ns := float64(s.WallNs())
		wall += ns
		held += ns * float64(s.CtxReqs+s.GenReqs)
		if b, ok := v.shapes.decodeBucket(s); ok {
			read, busyNs = read+b.ReadBytes, busyNs+b.BusyNs
		}
		if s.Waiting == 0 {
			continue
		}
		waited += ns
		budget := s.TokenBudget
		if budget == 0 {
			budget = int32(v.MaxTokens)
		}
		switch limit := v.seqLimit(s); {
		case limit > 0 && s.Running >= limit:
			w.Seqs += ns
		case v.kvBinds(s):
			w.KV += ns
		case budget > 0 && float64(s.CtxTokens+s.GenTokens) >= tokensBind*float64(budget):
			w.Tokens += ns
		default:
			w.Compute += ns
		}
	}
	if wall > 0 {
		e.MeanBatch = held / wall
	}
	if waited > 0 {
		w.KV, w.Seqs, w.Tokens, w.Compute = w.KV/waited, w.Seqs/waited, w.Tokens/waited, w.Compute/waited
		e.Waiting = &w
	}
	if busyNs > 0 && read > 0 && v.Attribution.CopyBytesPerS > 0 {
		eta := read / (busyNs / 1e9) / v.Attribution.CopyBytesPerS
		e.BandwidthFrac = &eta
	}
}

// decodeBucket is the bucket of a pure decode step's very batch, or the nearest
// one of those near.
func (a shapes) decodeBucket(s *engine.Step) (best Bucket, ok bool) {
	if s.CtxTokens > 0 || s.GenReqs == 0 {
		return Bucket{}, false
	}
	n := genReqs(s)
	for _, r := range a.decodes {
		if r.ReadBytes > 0 && within(n, r.size) && (!ok || ratio(n, r.size) < ratio(n, best.GenReqs)) {
			best, ok = r.Bucket, true
		}
	}
	return best, ok
}
