package estimate

import (
	"math"
	"math/rand/v2"
)

// noiseModel simulates the bursts of launches. Everything is in logarithms.
type noiseModel struct {
	process    [2]float64 // deviation of a process's offset, range over comparisons
	burst      [2]float64 // deviation of a burst and so of a quad, range over launches
	position   float64    // bursts 2 and 3 of a quad against 1 and 4
	drift      float64    // over a launch, up to this either way
	walk       float64    // deviation of a step of the random walk, per burst
	spike      float64    // probability that something disturbs a burst
	spikeMean  float64    // exponential
	wild       float64    // share of spikes that slow the burst 2- to 30-fold
	flip       float64    // probability that the clock changes, per burst
	flipSize   float64    // between its two states
	slow       float64    // probability that a process is slow for life
	slowSize   float64
	fixedOrder bool // every quad is ABBA
}

// gpu is the sum of kernel durations on an H200: quads repeat to 0.09-0.21 %,
// offsets between processes make the deviation of a launch 0.16 %.
var gpu = noiseModel{
	process: [2]float64{0.0010, 0.0010}, burst: [2]float64{0.0009, 0.0021}, position: 0.001,
	drift: 0.003, walk: 0.0001, spike: 0.01, spikeMean: 0.01, flip: 0.005, flipSize: 0.015,
}

// cpu is the sum over operators of calls × median time on two shared cores:
// quads repeat to 0.9-1.3 %, launches to 0.5-0.9 %. Of the 2 % of bursts that
// another process holds up, one in ten is slow in most calls and so in the
// median.
var cpu = noiseModel{
	process: [2]float64{0.0020, 0.0055}, burst: [2]float64{0.009, 0.013}, position: 0.001,
	drift: 0.02, walk: 0.001, spike: 0.02, spikeMean: 0.03, wild: 0.1,
}

// times is m with all its noise scaled.
func (m noiseModel) times(f float64) noiseModel {
	for _, v := range []*float64{&m.process[0], &m.process[1], &m.burst[0], &m.burst[1], &m.position, &m.drift, &m.walk,
		&m.spikeMean, &m.flipSize} {
		*v *= f
	}
	return m
}

func between(rng *rand.Rand, r [2]float64) float64 { return r[0] + rng.Float64()*(r[1]-r[0]) }

// launches simulates one comparison of arms that do not differ: k launches of
// quads up to the rule stop, which sees the quads so far.
func (m noiseModel) launches(rng *rand.Rand, k int, stop func(d []float64) bool) [][]float64 {
	process := between(rng, m.process)
	out := make([][]float64, k)
	for i := range out {
		out[i] = m.launch(rng, process, stop)
	}
	return out
}

func (m noiseModel) launch(rng *rand.Rand, process float64, stop func(d []float64) bool) []float64 {
	offset := func() float64 {
		x := process * rng.NormFloat64()
		if rng.Float64() < m.slow {
			x += m.slowSize
		}
		return x
	}
	arm := [2]float64{offset(), offset()}
	sd, slope := between(rng, m.burst), between(rng, [2]float64{-m.drift, m.drift})/32
	level, clock := 0.0, 0.0
	var d []float64
	for !stop(d) {
		first := 0
		if !m.fixedOrder {
			first = rng.IntN(2)
		}
		var sum [2]float64
		for position := range 4 {
			inner := position == 1 || position == 2
			level += slope + m.walk*rng.NormFloat64()
			if rng.Float64() < m.flip {
				clock = m.flipSize - clock
			}
			x := level + clock + sd*rng.NormFloat64() + m.disturbance(rng)
			who := first
			if inner {
				who, x = 1-first, x+m.position
			}
			sum[who] += x + arm[who]
		}
		d = append(d, Quad{A1: sum[0] / 2, A2: sum[0] / 2, B1: sum[1] / 2, B2: sum[1] / 2}.D())
	}
	return d
}

func (m noiseModel) disturbance(rng *rand.Rand) float64 {
	switch {
	case rng.Float64() >= m.spike:
		return 0
	case rng.Float64() < m.wild:
		return between(rng, [2]float64{math.Ln2, math.Log(30)})
	}
	return m.spikeMean * rng.ExpFloat64()
}

// quads is the rule that stops at n.
func quads(n int) func([]float64) bool { return func(d []float64) bool { return len(d) >= n } }
