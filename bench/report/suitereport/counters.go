package suitereport

import "fmt"

// gpmColumns are the performance counters by their names in analysis.Point.GPM.
var gpmColumns = []struct{ name, head string }{
	{"sm_util", "SMs busy %"}, {"sm_occupancy", "SM occupancy %"}, {"tensor_util", "tensor cores %"}, {"dram_bandwidth_util", "DRAM bandwidth %"},
}

// counters is how much of a GPU the kernels used; nothing without a GPU.
func (v view) counters() []block {
	if v.onCPU() {
		return nil
	}
	t := newTable(textColumn("configuration"), column{Head: "utilisation %"})
	for _, c := range gpmColumns {
		t.Columns = append(t.Columns, column{Head: c.head})
	}
	var partly []string
	for _, p := range v.all() {
		row := []cell{say(name(p)), percent(p.Utilisation, why(p, "no counter was sampled"))}
		reason := p.GPMProblem
		switch {
		case len(p.GPM) > 0 && p.GPMProblem != "":
			partly = append(partly, fmt.Sprintf("%s: %s. The means are over the other readings.", name(p), p.GPMProblem))
			fallthrough
		case len(p.GPM) > 0:
			reason = "the device does not return it"
		case reason == "":
			reason = "GPM: no reading of the measured window"
		}
		for _, c := range gpmColumns {
			if value, ok := p.GPM[c.name]; ok {
				row = append(row, percent(&value, ""))
			} else {
				row = append(row, missing(why(p, reason)))
			}
		}
		t.add(row...)
	}
	blocks := []block{heading("GPU counters"),
		text("Utilisation is the time in which a kernel ran, however small. The others are NVML's GPM counters (Hopper and later), means over the devices and the measured window: SMs that were busy, active warps of the most that fit, time with tensor operations, and memory traffic of the theoretical most."), t.block()}
	if len(partly) > 0 {
		blocks = append(blocks, list(partly))
	}
	return blocks
}
