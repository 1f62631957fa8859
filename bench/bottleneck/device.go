package bottleneck

import (
	"cmp"
	"slices"

	"stepbench/engine"
)

const (
	// nearEnough is the share of step time that must have a near bucket; the
	// rest then counts like it.
	nearEnough = 0.9
	// minSamples of a device's counter, below which its mean says nothing.
	minSamples = 3
)

// busy gives U of a step.
type busy func(*engine.Step) float64

// device sets the time budget of the window and the idle shares inside steps.
//
//	u = ΣU_j/H   h = Σw_j/H - u   o = time with nothing unfinished/H   z = 1-u-h-o
//
// A step partly inside the window counts by that part.
func (v *view) device(e *Evidence) {
	h := float64(v.toNs - v.fromNs)
	if h <= 0 || len(v.steps) == 0 {
		return
	}
	var wall float64
	for i := range v.steps {
		wall += v.inside(&v.steps[i]) * float64(v.steps[i].WallNs())
	}
	wall /= h
	empty := min(v.emptyFrac(), 1-min(1, wall))
	b := &Budget{Empty: empty}
	if u := v.attributed(); u != nil {
		v.spend(e, b, u, wall, h)
	} else if v.OnCPU {
		// A CPU is busy from when the model's forward pass is called, with the
		// interpreter's part of it: an upper limit.
		b.Coarse = true
		v.spend(e, b, func(s *engine.Step) float64 { return float64(min(s.ExecuteNs+s.SampleNs, s.WallNs())) }, wall, h)
	} else if u, ok := v.counter(); ok && wall > 0 {
		b.Coarse = true
		b.Busy = min(u, 1-empty)
		b.Host = max(0, min(1, wall)-b.Busy)
		idle := clamp01(1 - b.Busy/wall)
		e.PrefillIdleFrac, e.DecodeIdleFrac = &idle, &idle
	} else {
		return
	}
	b.Between = max(0, 1-b.Busy-b.Host-b.Empty)
	e.Device = b
}

// queued sets what is known where calls are no steps: of the devices their own
// counter, of the KV cache its use.
func (v *view) queued(e *Evidence) {
	v.kvCache(e)
	e.KVDenied = 0 // weighs by the time of steps
	if u, ok := v.counter(); ok {
		empty := v.emptyFrac()
		b := &Budget{Coarse: true, Empty: empty, Busy: min(u, 1-empty)}
		b.Between = max(0, 1-b.Busy-b.Empty)
		e.Device = b
	}
}

// spend fills in what is known step by step.
func (v *view) spend(e *Evidence, b *Budget, u busy, wall, h float64) {
	for i := range v.steps {
		s := &v.steps[i]
		b.Busy += v.inside(s) * u(s) / h
	}
	b.Host = max(0, wall-b.Busy)
	e.PrefillIdleFrac = v.idleFrac(u, func(s *engine.Step) bool { return s.CtxTokens > 0 })
	e.DecodeIdleFrac = v.idleFrac(u, func(s *engine.Step) bool { return s.CtxTokens == 0 })
}

// idleFrac is β = 1 - ΣU/Σw over the steps that of picks, those after the
// window included, in which measured requests end. With no such step no time is
// in them, and none of it is idle.
func (v *view) idleFrac(u busy, of func(*engine.Step) bool) *float64 {
	var sum, wall float64
	for i := range v.steps {
		if s := &v.steps[i]; of(s) {
			sum += u(s)
			wall += float64(s.WallNs())
		}
	}
	beta := 0.0
	if wall > 0 {
		beta = clamp01(1 - sum/wall)
	}
	return &beta
}

// attributed is nil unless steps with a near bucket make up nine tenths of step
// time. The others then get the mean busy share of those of their kind, prompts
// or pure decode, or of all.
func (v *view) attributed() busy {
	type sums struct{ busy, wall float64 }
	var kinds [2]sums
	kind := func(s *engine.Step) int {
		if s.CtxTokens > 0 {
			return 0
		}
		return 1
	}
	var all float64
	for i := range v.steps {
		s := &v.steps[i]
		all += float64(s.WallNs())
		if ns, near := v.shapes.busyNs(s); near {
			k := &kinds[kind(s)]
			k.busy, k.wall = k.busy+ns, k.wall+float64(s.WallNs())
		}
	}
	covered := sums{kinds[0].busy + kinds[1].busy, kinds[0].wall + kinds[1].wall}
	if covered.wall == 0 || covered.wall < nearEnough*all {
		return nil
	}
	return func(s *engine.Step) float64 {
		if ns, near := v.shapes.busyNs(s); near {
			return ns
		}
		k := kinds[kind(s)]
		if k.wall == 0 {
			k = covered
		}
		return k.busy / k.wall * float64(s.WallNs())
	}
}

// inside is the part of a step that lies in the window.
func (v *view) inside(s *engine.Step) float64 {
	if s.WallNs() <= 0 {
		return 0
	}
	in := min(s.ReturnNs, v.toNs) - max(s.CallNs, v.fromNs)
	return clamp01(float64(in) / float64(s.WallNs()))
}

// emptyFrac is the share of the window in which no request was between its
// arrival and its end.
func (v *view) emptyFrac() float64 {
	type interval struct{ from, to int64 }
	var in []interval
	for i := range v.Requests {
		q := &v.Requests[i]
		from, to := max(q.ArrivalNs, v.fromNs), min(endNs(q), v.toNs)
		if q.Finish == engine.FinishAbort {
			to = v.toNs // cut off while still in the system
		}
		if to > from {
			in = append(in, interval{from, to})
		}
	}
	slices.SortFunc(in, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	var covered int64
	end := v.fromNs
	for _, i := range in {
		if i.to > end {
			covered += i.to - max(i.from, end)
			end = i.to
		}
	}
	return clamp01(1 - float64(covered)/float64(v.toNs-v.fromNs))
}

// counter is the mean of the devices' own counter over the window.
func (v *view) counter() (mean float64, ok bool) {
	n := 0
	for _, s := range v.Utilisation {
		if s.AtNs > v.fromNs && s.AtNs <= v.toNs {
			mean += s.Frac
			n++
		}
	}
	if n < minSamples {
		return 0, false
	}
	return clamp01(mean / float64(n)), true
}
