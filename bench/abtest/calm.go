package abtest

import (
	"math"

	"stepbench/bench/stats"
)

// A quad is far from the others of its launch beyond so many median absolute
// deviations and at least so large a change. Of normal noise one in a million is.
const (
	farMADs = 7
	farLog  = 0.05
)

// calm leaves quads out whose difference is far from the others of their launch.
// Something held a burst up, as happens on shared machines. The centre that a
// verdict rests on does not feel such a quad, but a mean does: without them, the
// means that a report shows beside a verdict cannot contradict it.
func calm(launches [][]*quad, value func(*Burst) float64) (kept [][]*quad, far int) {
	for _, quads := range launches {
		var d []float64
		for _, q := range quads {
			d = append(d, q.log(value).D())
		}
		if len(d) == 0 {
			kept = append(kept, nil)
			continue
		}
		centre, bound := stats.HodgesLehmann(d), max(farMADs*stats.MAD(d), farLog)
		var near []*quad
		for i, q := range quads {
			if math.Abs(d[i]-centre) <= bound {
				near = append(near, q)
			}
		}
		far += len(quads) - len(near)
		kept = append(kept, near)
	}
	return kept, far
}
