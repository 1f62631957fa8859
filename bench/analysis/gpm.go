package analysis

import (
	"stepbench/bench/telemetry"
	"stepbench/bench/workload"
)

// gpmFracs are the performance counters that a point's summary has, by their names
// in Point.GPM. The samples hold more.
var gpmFracs = map[string]func(*telemetry.GPM) telemetry.Value[float64]{
	"sm_util":             func(g *telemetry.GPM) telemetry.Value[float64] { return g.SMUtilFrac },
	"sm_occupancy":        func(g *telemetry.GPM) telemetry.Value[float64] { return g.SMOccupancyFrac },
	"tensor_util":         func(g *telemetry.GPM) telemetry.Value[float64] { return g.TensorUtilFrac },
	"dram_bandwidth_util": func(g *telemetry.GPM) telemetry.Value[float64] { return g.DRAMBandwidthUtilFrac },
}

// gpmSeen is what a run's readings of performance counters come to: the mean over
// devices and time.
type gpmSeen struct {
	fracNs, ns map[string]float64 // sums by name, of fraction times period and of periods
	problem    string             // the first
}

// add counts a reading whose whole period is in the window.
func (g *gpmSeen) add(r *telemetry.GPM) {
	if g.ns == nil {
		g.fracNs, g.ns = map[string]float64{}, map[string]float64{}
	}
	for name, of := range gpmFracs {
		if v := of(r); v.Known {
			g.fracNs[name] += v.V * float64(r.PeriodNs.V)
			g.ns[name] += float64(r.PeriodNs.V)
		}
	}
}

// estimates are the means, by their names in Repeat.Values.
func (g *gpmSeen) estimates(to map[string]workload.Estimate) {
	for name, ns := range g.ns {
		to["gpm_"+name+"_frac"] = workload.Estimate{Value: g.fracNs[name] / ns}
	}
}

// fillGPM puts the means over repeats together, with what went wrong.
func (p *Point) fillGPM(runs []*run) {
	for name := range gpmFracs {
		if v := over(runs, "gpm_"+name+"_frac"); v != nil {
			if p.GPM == nil {
				p.GPM = map[string]Value{}
			}
			p.GPM[name] = *v
		}
	}
	for _, r := range runs {
		if p.GPMProblem == "" {
			p.GPMProblem = r.seen.gpm.problem
		}
	}
}
