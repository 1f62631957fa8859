package capacity

import "stepbench/engine"

// Rate is how fast steps of a shape should be: tokens a second of all sequences,
// prompt tokens in a prefill.
type Rate struct {
	Phase   string `json:"phase"`
	Batch   int    `json:"batch"`
	Context int    `json:"context"`
	// Most is the roofline's bound: peak rates, no host, no latency. 0: not known.
	Most float64 `json:"most_tokens_per_s"`
	// Low and High are expected by what was measured on one device; 0 without such
	// figures.
	Low  float64 `json:"low_tokens_per_s"`
	High float64 `json:"high_tokens_per_s"`
}

// Rater estimates rates.
type Rater struct {
	Model    *engine.ModelShape
	Device   Device
	Link     Link
	Element  int       // bytes
	LatencyS float64   // of starting a collective; 0: none counted
	Measured *Measured // nil: rooflines only
}

// Decode is a step of batch sequences that each get a token and then have context.
func (r Rater) Decode(l Layout, batch, context int) Rate {
	return r.rate(l, "decode", Shape{batch, 1, context})
}

// Prefill is a step of one prompt, all of it at once.
func (r Rater) Prefill(l Layout, context int) Rate {
	return r.rate(l, "prefill", Shape{1, context, context})
}

// rate: stages work on batches of their own, so that with PP of them each takes
// batch/PP sequences and the slowest sets the pace; a batch smaller than PP leaves
// stages idle:
//
//	tokens/s = tokens / (PP · time of the slowest stage on ceil(batch/PP) sequences)
//
// The time of a stage is that of its kernels as they fit measured steps, the
// collectives, which nothing overlaps, and the host's part in measured steps, which
// other stages can hide: the fast end counts none of it if there are several.
func (r Rater) rate(l Layout, phase string, x Shape) Rate {
	out := Rate{Phase: phase, Batch: x.Batch, Context: x.Context}
	micro := x
	micro.Batch = (x.Batch + l.PP - 1) / l.PP
	var least, fast, slow float64
	for stage, layers := range l.StageLayers(r.Model.Layers) {
		ideal := l.ideal(r.Model, r.Device, r.Element, stage, micro)
		moved, starts := l.communication(r.Model, r.Link, r.Element, stage, micro)
		least = max(least, ideal+moved)
		if !r.expects(micro) {
			continue
		}
		p := r.Measured.of(micro)
		busy := p.busy(float64(layers), ideal)
		hidden, host := p.host(micro.tokens())
		if l.PP > 1 {
			hidden = 0
		}
		moved += starts * r.LatencyS
		fast = max(fast, busy*p.spread[0]+moved+hidden)
		slow = max(slow, busy*p.spread[1]+moved+host)
	}
	perS := func(stageS float64) float64 { return x.tokens() / (float64(l.PP) * stageS) }
	if r.Device.BytesPerS > 0 {
		out.Most = perS(least)
	}
	if r.expects(micro) {
		out.Low, out.High = perS(slow), perS(fast)
	}
	return out
}

// expects says whether measured steps tell what to expect of such a one.
func (r Rater) expects(x Shape) bool {
	return r.Device.BytesPerS > 0 && r.Device.FLOPPerS > 0 && r.Measured != nil && len(r.Measured.of(x).points) > 0
}
