package estimate

import (
	"math"

	"stepbench/bench/stats"
)

// Quad holds the logarithms of the four burst values of one quad: ln of a
// step's device time or of its median wall time, whichever is compared.
type Quad struct{ A1, A2, B1, B2 float64 }

// D is the quad's difference of the arms, positive where B is slower. The order
// of the bursts, ABBA or BAAB, cancels a drift that is linear over the quad.
func (q Quad) D() float64 { return (q.B1+q.B2)/2 - (q.A1+q.A2)/2 }

// Percent is the change in percent that an effect in logarithms stands for.
func Percent(effectLog float64) float64 { return 100 * math.Expm1(effectLog) }

// EnoughQuads tells whether a launch may end: it has at least floor quads and
// the distribution-free 95 % interval of its centre (stats.HodgesLehmannInterval)
// reaches at most wantHalfWidth (in logarithms) to either side on average.
//
// The rule sees the width of that interval and never its place, so stopping by
// it leaves the error rates of a verdict alone; stopping on the effect or on
// the verdict would not.
func EnoughQuads(d []float64, wantHalfWidth float64, floor int) bool {
	ci, ok := stats.HodgesLehmannInterval(d, stats.Level)
	return ok && len(d) >= floor && (ci.Hi-ci.Lo)/2 <= wantHalfWidth
}
