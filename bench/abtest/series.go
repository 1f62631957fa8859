package abtest

import (
	"math"
	"strings"

	"stepbench/bench/micro"
	"stepbench/bench/stats"
)

// LaunchSeries is what one launch measured of a cell by one kind of burst:
// the numbers from which its part of the verdict is formed.
type LaunchSeries struct {
	Launch int `json:"launch"`
	// Counts is false where less than half of the planned quads were kept, which
	// leaves the launch out of the verdict.
	Counts bool `json:"counts"`
	// CentreLog is the Hodges-Lehmann centre of the kept quads, nil without any.
	CentreLog *float64 `json:"centre_log"`
	// MeanNs are means over the kept quads, of A and B, per step.
	MeanNs [2]float64 `json:"mean_ns"`
	Quads  []QuadDiff `json:"quads"` // in the order they ran
}

// QuadDiff is the difference of the arms in one quad.
type QuadDiff struct {
	Quad  int    `json:"quad"`  // from 1
	Order string `json:"order"` // ABBA or BAAB, of arms apart AABB or BBAA
	// DLog is ln(B/A), nil where the quad was dropped.
	DLog *float64 `json:"d_log"`
	Drop string   `json:"drop,omitempty"` // why it does not count
}

// Series are a cell's quads, launch by launch: of the endpoint for attribution
// bursts, of wall time for timing bursts.
func (ev *Evidence) Series(e Endpoint, cell string, kind Kind) []LaunchSeries {
	planned, value := ev.Plan.TimingQuads, func(b *Burst) float64 { return b.WallNs }
	if kind == Attribution {
		planned, value = ev.Plan.AttributionQuads, func(b *Burst) float64 { return e.ns(b.Profile) }
	}
	var all []LaunchSeries
	for i := range ev.Launches {
		l := &ev.Launches[i]
		s := LaunchSeries{Launch: l.Number}
		var kept []float64
		for _, q := range l.quads(cell, kind) {
			diff := QuadDiff{Quad: q.a[0].Quad, Order: q.order(), Drop: q.drop()}
			if diff.Drop == "" {
				s.MeanNs[ArmA] += (value(q.a[0]) + value(q.a[1])) / 2
				s.MeanNs[ArmB] += (value(q.b[0]) + value(q.b[1])) / 2
				d := q.log(value).D()
				kept = append(kept, d)
				if !math.IsNaN(d) && !math.IsInf(d, 0) { // a burst of no time makes the launch INVALID
					diff.DLog = &d
				}
			}
			s.Quads = append(s.Quads, diff)
		}
		if n := float64(len(kept)); n > 0 {
			s.MeanNs[ArmA] /= n
			s.MeanNs[ArmB] /= n
			if centre := stats.HodgesLehmann(kept); !math.IsNaN(centre) && !math.IsInf(centre, 0) {
				s.CentreLog = &centre
			}
		}
		s.Counts = len(kept) > 0 && 2*len(kept) >= planned
		all = append(all, s)
	}
	return all
}

// order is the arms of the quad's bursts, in the order they ran.
func (q *quad) order() string {
	var s strings.Builder
	for _, b := range q.bursts() {
		s.WriteString(b.Arm.String())
	}
	return s.String()
}

// Of is the endpoint of a burst in ns per step, false for one without profile.
func (e Endpoint) Of(b *Burst) (ns float64, ok bool) {
	if b.Burst == nil || b.Profile == nil {
		return 0, false
	}
	return e.ns(b.Profile), true
}

// OfRow is what a kernel or op adds to the endpoint, in ns per step.
func (e Endpoint) OfRow(r *micro.BurstRow) float64 { return e.rowNs(r) }
