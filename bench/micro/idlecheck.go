package micro

import (
	"fmt"
	"math"
	"slices"

	"stepbench/bench/stats"
)

const (
	idleGapFrac     = 0.05 // of the idle time
	idleGapWallFrac = 0.01 // below this share of the wall time a difference does not matter
)

// IdleCheck is the device's idle time of a step, in ns, twice over:
//
//	FromGaps = G - (Wp - W)    gaps between kernels, less what the profiler added
//	FromWall = W - U           wall time, less the time in which kernels ran
//
// with G, U and Wp the gaps, the busy time and the wall time of profiled steps,
// and W the median wall time without profiler. The profiler slows the host, at
// each launch, and not the kernels: so the whole of Wp - W (up to a half of a
// short step) lies in gaps and is taken off them. On a CPU it slows the ops
// themselves, and nothing is compared.
//
// The two share no step. FromGaps takes G and Wp of the 1st, 3rd, … burst and W of
// the 1st, 3rd, … round, FromWall the others' U and W. That they agree says that
// busy time, the profiler's cost and the wall time repeat, and that the gaps which
// were found are all that is not busy. It cannot say whether a kernel lasts longer
// under the profiler than without: of one burst, G and U add up to Wp because both
// are measured between the same two stamps. A check of that needs another
// instrument.
type IdleCheck struct {
	FromGapsNs, FromWallNs float64
}

// Ratio is FromGaps over FromWall; ok is false where nothing was idle.
func (c *IdleCheck) Ratio() (ratio float64, ok bool) {
	if c == nil || c.FromWallNs <= 0 {
		return 0, false
	}
	return c.FromGapsNs / c.FromWallNs, true
}

// String is the ratio, or the two figures in µs.
func (c *IdleCheck) String() string {
	if ratio, ok := c.Ratio(); ok {
		return fmt.Sprintf("%.2f", ratio)
	}
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%.1f/%.1f", c.FromGapsNs/1e3, c.FromWallNs/1e3)
}

// off says that the figures differ by more than a twentieth of the idle time and
// a hundredth of wallNs.
func (c *IdleCheck) off(wallNs float64) bool {
	if c == nil {
		return false
	}
	d := math.Abs(c.FromGapsNs - c.FromWallNs)
	return d > idleGapFrac*c.FromWallNs && d > idleGapWallFrac*wallNs
}

// unitKernel is the unit of bursts on a GPU.
const unitKernel = "kernel"

// idleCheck takes the medians of the rounds without profiler. It is nil on a CPU,
// and with fewer than two of them or of the bursts that count.
func (m *measured) idleCheck(rounds []float64) *IdleCheck {
	var odd, even burstMean
	for _, b := range m.bursts {
		switch {
		case b.drop != "" || b.unit != unitKernel:
		case odd.bursts == even.bursts:
			odd.add(b)
		default:
			even.add(b)
		}
	}
	oddRounds, evenRounds := split(rounds)
	if even.bursts == 0 || len(evenRounds) == 0 {
		return nil
	}
	return &IdleCheck{
		FromGapsNs: odd.gapNs/odd.steps - (odd.wallNs/odd.steps - stats.Median(oddRounds)),
		FromWallNs: stats.Median(evenRounds) - even.busyNs/even.steps,
	}
}

// burstMean sums bursts over their steps.
type burstMean struct {
	bursts                int
	steps                 float64
	gapNs, busyNs, wallNs float64
}

func (s *burstMean) add(b *burstResult) {
	n := float64(b.steps)
	s.bursts++
	s.steps += n
	s.gapNs += b.gapNs * n
	s.busyNs += b.busyNs * n
	s.wallNs += stats.Mean(b.walls) * n
}

// split parts the 1st, 3rd, … of x from the others, and sorts both.
func split(x []float64) (odd, even []float64) {
	for i, v := range x {
		if i%2 == 0 {
			odd = append(odd, v)
		} else {
			even = append(even, v)
		}
	}
	slices.Sort(odd)
	slices.Sort(even)
	return odd, even
}
