package bottleneck

import (
	"cmp"
	"math"
	"slices"

	"stepbench/engine"
)

// Attribution is how long a device is busy in a step of a given shape, from
// bursts under the profiler. One belongs to each engine configuration.
type Attribution struct {
	Unit    string   `json:"unit"` // what is busy: kernel, or op on a CPU
	Buckets []Bucket `json:"buckets"`
	// Ceilings of the device, measured; 0 if they were not.
	CopyBytesPerS  float64 `json:"copy_bytes_per_s,omitempty"` // bytes read plus bytes written
	MatmulFLOPPerS float64 `json:"matmul_flop_per_s,omitempty"`
	// Problem is why there are no buckets, or fewer than were wanted.
	Problem string `json:"problem,omitempty"`
}

// Bucket is one shape. Times are ns a step, each the median over bursts.
type Bucket struct {
	CtxTokens int `json:"ctx_tokens"` // prompt tokens of a step, 0: pure decode
	// GenReqs are decoding requests, as padded where a CUDA graph pads them.
	GenReqs int `json:"gen_reqs"`
	Steps   int `json:"steps"` // profiled

	WallNs float64 `json:"wall_ns"` // of steps without the profiler
	BusyNs float64 `json:"busy_ns"` // union of the intervals of kernels or ops
	SumNs  float64 `json:"sum_ns"`  // sum of their durations
	// CollectiveFrac is the share of a step under the profiler in which ranks
	// exchange data, waiting for the slowest included, the largest over ranks. Ranks
	// are the times of each, ns a step.
	CollectiveFrac float64    `json:"collective_frac,omitempty"`
	Ranks          []RankTime `json:"ranks,omitempty"`
	// ReadBytes is what the step reads at least: weights once and the KV cache of
	// its requests once; 0 if the model's shape is not known.
	ReadBytes float64 `json:"read_bytes,omitempty"`
}

// RankTime is one rank's part of a step.
type RankTime struct {
	Rank         int     `json:"rank"`
	OwnNs        float64 `json:"own_ns"` // kernels or ops, without copies and collectives
	CollectiveNs float64 `json:"collective_ns"`
}

// share is the part of the step in which the device is busy.
func (b Bucket) share() float64 {
	if b.WallNs <= 0 {
		return 0
	}
	return clamp01(b.BusyNs / b.WallNs)
}

// nearFactor is how far beyond the outermost buckets, as a ratio of sizes, a
// step is still taken to be like them.
const nearFactor = 1.25

// BusyNs is U of a step: the time in which the device was busy, at most the
// step's wall. near is false where no bucket is like the step, which must then
// count as coarse.
//
// Pure decode steps are placed by their padded number of requests among the
// decode buckets, prefill steps by their prompt tokens among the prefill ones:
//
//   - between two buckets, BusyNs is interpolated linearly;
//   - beyond the outermost by a factor of at most 1.25, the share BusyNs/WallNs
//     of the outermost bucket is applied to the step's own wall;
//   - farther out, nothing is near.
//
// A mixed step takes the share of the nearest mixed bucket if both its sizes
// are within that factor. Otherwise it is placed like a prefill of all its
// tokens: the layers' matrices run over prompt and decoding tokens alike, and
// what attention over the cache adds is left out.
func (a *Attribution) BusyNs(s *engine.Step) (ns float64, near bool) {
	return a.shapes().busyNs(s)
}

// shapes are the buckets in the order in which they are looked up.
type shapes struct {
	decodes, prefills []rung // smallest first
	contexts          []rung // with prompts, by all tokens, smallest first
	mixed             []Bucket
}

// rung is a bucket on one axis.
type rung struct {
	size int
	Bucket
}

func (a *Attribution) shapes() shapes {
	var s shapes
	if a == nil {
		return s
	}
	for _, b := range a.Buckets {
		switch {
		case b.CtxTokens == 0 && b.GenReqs > 0:
			s.decodes = append(s.decodes, rung{b.GenReqs, b})
		case b.CtxTokens > 0 && b.GenReqs == 0:
			s.prefills = append(s.prefills, rung{b.CtxTokens, b})
		case b.CtxTokens > 0 && b.GenReqs > 0:
			s.mixed = append(s.mixed, b)
		}
		if b.CtxTokens > 0 {
			s.contexts = append(s.contexts, rung{b.CtxTokens + b.GenReqs, b})
		}
	}
	for _, ladder := range [][]rung{s.decodes, s.prefills, s.contexts} {
		slices.SortStableFunc(ladder, func(x, y rung) int { return cmp.Compare(x.size, y.size) })
	}
	return s
}

func (a shapes) busyNs(s *engine.Step) (ns float64, near bool) {
	wall := float64(s.WallNs())
	ctx, gen := int(s.CtxTokens), genReqs(s)
	switch {
	case ctx == 0 && gen == 0:
		return 0, true // nothing ran
	case ctx == 0:
		ns, near = among(a.decodes, gen, wall)
	case gen == 0:
		ns, near = among(a.prefills, ctx, wall)
	default:
		if b, ok := a.nearestMixed(ctx, gen); ok {
			ns, near = b.share()*wall, true
		} else {
			ns, near = among(a.contexts, ctx+gen, wall)
		}
	}
	return min(ns, wall), near
}

// genReqs is the padded number of decoding requests. vLLM pads whole batches,
// so only that of a pure decode step is one of requests.
func genReqs(s *engine.Step) int {
	if s.CtxTokens == 0 && s.GenTokens == s.GenReqs && s.PaddedTokens > s.GenReqs {
		return int(s.PaddedTokens)
	}
	return int(s.GenReqs)
}

// among interpolates at size, for a step of the given wall.
func among(ladder []rung, size int, wall float64) (ns float64, near bool) {
	if len(ladder) == 0 {
		return 0, false
	}
	i, found := slices.BinarySearchFunc(ladder, size, func(r rung, n int) int { return cmp.Compare(r.size, n) })
	if found {
		return ladder[i].BusyNs, true
	}
	if i > 0 && i < len(ladder) {
		lo, hi := ladder[i-1], ladder[i]
		at := float64(size-lo.size) / float64(hi.size-lo.size)
		return lo.BusyNs + at*(hi.BusyNs-lo.BusyNs), true
	}
	end := ladder[min(i, len(ladder)-1)]
	return end.share() * wall, within(size, end.size)
}

// nearestMixed is the nearest bucket with both kinds of work, by the product of the
// ratios of its sizes to those asked for.
func (a shapes) nearestMixed(ctx, gen int) (best Bucket, ok bool) {
	nearest := math.Inf(1)
	for _, b := range a.mixed {
		if !within(ctx, b.CtxTokens) || !within(gen, b.GenReqs) {
			continue
		}
		if d := ratio(ctx, b.CtxTokens) * ratio(gen, b.GenReqs); d < nearest {
			nearest, best, ok = d, b, true
		}
	}
	return best, ok
}

func within(a, b int) bool { return ratio(a, b) <= nearFactor }

func ratio(a, b int) float64 { return float64(max(a, b)) / float64(min(a, b)) }

func clamp01(x float64) float64 { return min(1, max(0, x)) }
