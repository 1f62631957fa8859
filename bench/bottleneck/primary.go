package bottleneck

import (
	"fmt"
	"slices"
)

// coPrimary is the difference in x below which two classes are equal.
const coPrimary = 0.05

// choose sets the primary class by the first rule that applies.
func (r *Report) choose() {
	e := &r.Evidence
	if e.Invalid != "" {
		for i := range r.Classes {
			r.Classes[i].Present = false
		}
		r.Reason = "the run is invalid: " + e.Invalid
		return
	}
	if !slices.ContainsFunc(r.Classes, func(f Finding) bool { return f.Unknown == "" && f.Class != MemoryPressure || f.Present }) {
		r.Reason = "the records do not tell: " + r.Classes[0].Unknown
		return
	}
	low := r.Of(LowUtilisation)
	switch d := e.Device; {
	case e.OutOfMemory:
		r.Primary, r.Reason = MemoryPressure, "the engine ran out of memory"
	case e.Saturated && e.Waiting != nil && e.Waiting.KV > 0.5:
		r.Primary = MemoryPressure
		r.Reason = fmt.Sprintf("saturated, and the KV cache was the limit in %.0f %% of the step time with requests waiting", 100*e.Waiting.KV)
	case e.Saturated && e.OpenLoop:
		r.Primary, r.Reason = QueueBuildUp, "saturated: the engine fell behind the offered load"
	case low.Present && d.Empty >= d.Host+d.Between:
		r.Primary = LowUtilisation
		r.Reason = fmt.Sprintf("the device is idle %.0f %% of the time, mostly since there is nothing to do", 100*low.X)
	default:
		r.largest()
	}
}

// largest picks among the classes that are shares of the requests' time.
func (r *Report) largest() {
	among := []Class{Prefill, Decode, HostBound, QueueBuildUp, MemoryPressure}
	var best, any *Finding
	for _, c := range among {
		f := r.Of(c)
		if f.Unknown == "" && (any == nil || f.X > any.X) {
			any = f
		}
		if f.Present && (best == nil || f.X > best.X) {
			best = f
		}
	}
	switch v := r.Of(HighVariance); {
	case best != nil:
		r.Primary = best.Class
		r.Reason = fmt.Sprintf("the largest share, %.2f, of the classes that are present", best.X)
		for _, c := range among {
			if f := r.Of(c); f != best && f.Present && best.X-f.X <= coPrimary {
				r.CoPrimary = append(r.CoPrimary, c)
			}
		}
	case v.Present:
		r.Primary, r.Reason = HighVariance, "no share of the requests' time stands out, but their latency spreads"
	default:
		r.Balanced, r.Reason = true, "nothing reaches its onset"
		if any != nil && any.X > 0 {
			r.Reason = fmt.Sprintf("nothing reaches its onset; the largest share is %s with %.2f", any.Class, any.X)
		}
	}
}
