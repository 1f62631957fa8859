package telemetry

import (
	"slices"

	"stepbench/bench/stats"
)

// Merge adds up intervals, such as all bursts of one arm. What is unknown in one
// of them is unknown in the sum.
func Merge(changes ...Change) Change {
	if len(changes) == 0 {
		return Change{Unsampled: true}
	}
	sum := changes[0]
	sum.Devices = slices.Clone(sum.Devices)
	sum.Processes = slices.Clone(sum.Processes)
	sum.FrequenciesMHz = slices.Clone(sum.FrequenciesMHz)
	for i := range sum.Devices {
		sum.Devices[i].SMClocksMHz = slices.Clone(sum.Devices[i].SMClocksMHz)
	}
	for _, c := range changes[1:] {
		sum.add(c)
	}
	return sum
}

func (c *Change) add(d Change) {
	c.IntervalNs += d.IntervalNs
	c.CPUWorkS = c.CPUWorkS.plus(d.CPUWorkS)
	c.CPUStealS = c.CPUStealS.plus(d.CPUStealS)
	c.CPUIdleS = c.CPUIdleS.plus(d.CPUIdleS)
	c.Throttling.Periods = c.Throttling.Periods.plus(d.Throttling.Periods)
	c.Throttling.StoppedNs = c.Throttling.StoppedNs.plus(d.Throttling.StoppedNs)
	c.FrequenciesMHz = append(c.FrequenciesMHz, d.FrequenciesMHz...)
	c.Unsampled = c.Unsampled || d.Unsampled
	c.Devices = addEach(c.Devices, d.Devices, func(x DeviceChange) string { return x.UUID }, (*DeviceChange).add)
	c.Processes = addEach(c.Processes, d.Processes, func(x ProcessChange) int { return x.PID }, (*ProcessChange).add)
}

// addEach adds what has the same key. What one side lacks is known for a part of
// the time only, and kept out.
func addEach[T any, K comparable](to, from []T, key func(T) K, add func(*T, T)) []T {
	kept := to[:0]
	for _, t := range to {
		i := slices.IndexFunc(from, func(f T) bool { return key(f) == key(t) })
		if i >= 0 {
			add(&t, from[i])
			kept = append(kept, t)
		}
	}
	return kept
}

func (d *DeviceChange) add(e DeviceChange) {
	d.IntervalNs += e.IntervalNs
	d.EnergyJ = d.EnergyJ.plus(e.EnergyJ)
	d.PowerCapNs = d.PowerCapNs.plus(e.PowerCapNs)
	d.SWThermalNs = d.SWThermalNs.plus(e.SWThermalNs)
	d.HWThermalNs = d.HWThermalNs.plus(e.HWThermalNs)
	d.PowerBrakeNs = d.PowerBrakeNs.plus(e.PowerBrakeNs)
	d.SMClocksMHz = append(d.SMClocksMHz, e.SMClocksMHz...)
	d.Reasons = Value[uint64]{d.Reasons.V | e.Reasons.V, d.Reasons.Known || e.Reasons.Known}
	if d.PIDs == nil || e.PIDs == nil {
		d.PIDs = nil
	} else {
		d.PIDs = union(d.PIDs, e.PIDs)
	}
	if d.Problem == "" {
		d.Problem = e.Problem
	}
}

func (p *ProcessChange) add(q ProcessChange) {
	p.IntervalNs += q.IntervalNs
	p.CPUNs = p.CPUNs.plus(q.CPUNs)
	p.MajorFaults = p.MajorFaults.plus(q.MajorFaults)
	p.InvoluntarySwitches = p.InvoluntarySwitches.plus(q.InvoluntarySwitches)
	p.RSSBytes = q.RSSBytes // the latest
	p.Ended += q.Ended
	p.PIDs = union(p.PIDs, q.PIDs)
}

func median(xs []float64) Value[float64] {
	if len(xs) == 0 {
		return Value[float64]{}
	}
	sorted := slices.Clone(xs)
	slices.Sort(sorted)
	return Of(stats.Median(sorted))
}
