package telemetry

import "slices"

// Change is what happened between two snapshots, or in several such intervals
// together (Merge).
type Change struct {
	IntervalNs int64          `json:"interval_ns"`
	Devices    []DeviceChange `json:"devices"`

	// Of all CPUs together.
	CPUWorkS  Value[float64] `json:"cpu_work_s"`
	CPUStealS Value[float64] `json:"cpu_steal_s"`
	CPUIdleS  Value[float64] `json:"cpu_idle_s"`

	Throttling     Throttling      `json:"throttling"`
	FrequenciesMHz []float64       `json:"frequencies_mhz"` // of the working CPUs, once a second while sampled
	Processes      []ProcessChange `json:"processes"`

	// Unsampled: no sampler ran, or it no longer holds all of the interval.
	Unsampled bool `json:"unsampled,omitempty"`
}

// DeviceChange is what happened on one device.
type DeviceChange struct {
	UUID       string         `json:"uuid"`
	IntervalNs int64          `json:"interval_ns"`
	EnergyJ    Value[float64] `json:"energy_j"`

	// Time with a lowered clock, as in Counters.
	PowerCapNs   Value[int64] `json:"power_cap_ns"`
	SWThermalNs  Value[int64] `json:"sw_thermal_ns"`
	HWThermalNs  Value[int64] `json:"hw_thermal_ns"`
	PowerBrakeNs Value[int64] `json:"power_brake_ns"`

	SMClocksMHz []float64     `json:"sm_clocks_mhz"` // samples within the interval
	Reasons     Value[uint64] `json:"reasons"`       // all bits seen at the ends or in samples
	PIDs        []int         `json:"pids"`          // all seen on the device; nil: not known
	Problem     string        `json:"problem,omitempty"`
}

// ProcessChange is what a process and all below it did.
type ProcessChange struct {
	PID        int   `json:"pid"`
	IntervalNs int64 `json:"interval_ns"`

	CPUNs       Value[int64] `json:"cpu_ns"`
	MajorFaults Value[int64] `json:"major_faults"`
	// InvoluntarySwitches lack those of threads that ended in the interval.
	InvoluntarySwitches Value[int64] `json:"involuntary_switches"`
	RSSBytes            Value[int64] `json:"rss_bytes"` // at the end

	// Ended counts the processes below that ended; what they did after the
	// first snapshot is in no sum.
	Ended int   `json:"ended"`
	PIDs  []int `json:"pids"` // all that were seen in the tree
}

// StealFrac is the share that the hypervisor took of the time in which the CPUs
// had work. (Of all time, as top gives it, many idle CPUs would hide it.)
func (c *Change) StealFrac() Value[float64] {
	return over(c.CPUStealS, c.CPUStealS.plus(c.CPUWorkS))
}

// SMClockMHz is the median of the samples.
func (d *DeviceChange) SMClockMHz() Value[float64] { return median(d.SMClocksMHz) }

// PowerCapFrac is the share of time in which the power limit lowered the clock.
func (d *DeviceChange) PowerCapFrac() Value[float64] {
	if !d.PowerCapNs.Known {
		return Value[float64]{}
	}
	return over(Of(float64(d.PowerCapNs.V)), Of(float64(d.IntervalNs)))
}

// CPUFrac is the mean number of CPUs that the tree kept busy: 0.01 is one
// hundredth of a core.
func (p *ProcessChange) CPUFrac() Value[float64] {
	if !p.CPUNs.Known {
		return Value[float64]{}
	}
	return over(Of(float64(p.CPUNs.V)), Of(float64(p.IntervalNs)))
}

// Process finds a watched process.
func (c *Change) Process(pid int) (*ProcessChange, bool) {
	for i := range c.Processes {
		if c.Processes[i].PID == pid {
			return &c.Processes[i], true
		}
	}
	return nil, false
}

// Since compares two snapshots. samples are those taken in between, if any
// (Sampler.Change finds them).
func (after Snapshot) Since(before Snapshot, samples []Sample) Change {
	c := Change{IntervalNs: middle(after.BeforeNs, after.AfterNs) - middle(before.BeforeNs, before.AfterNs), Unsampled: len(samples) == 0}
	u := cpusSince(after.CPUs, before.CPUs, func(string, Value[float64]) {})
	c.CPUWorkS, c.CPUStealS, c.CPUIdleS = u.workS, u.stealS, u.idleS
	c.Throttling = Throttling{
		Periods:   rise(before.Throttling.Periods, after.Throttling.Periods),
		StoppedNs: rise(before.Throttling.StoppedNs, after.Throttling.StoppedNs),
	}
	for _, s := range samples {
		if s.FrequencyMHz.Known {
			c.FrequenciesMHz = append(c.FrequenciesMHz, s.FrequencyMHz.V)
		}
	}
	for _, d := range after.Devices {
		i := slices.IndexFunc(before.Devices, func(b DeviceReading) bool { return b.UUID == d.UUID })
		if i < 0 {
			continue
		}
		var between []DeviceReading
		for _, s := range samples {
			for _, r := range s.Devices {
				if r.UUID == d.UUID {
					between = append(between, r)
				}
			}
		}
		c.Devices = append(c.Devices, d.since(before.Devices[i], between))
	}
	for _, p := range after.Processes {
		i := slices.IndexFunc(before.Processes, func(b ProcessReading) bool { return b.PID == p.PID })
		if i < 0 {
			continue
		}
		change := p.since(before.Processes[i])
		for _, s := range samples {
			for _, r := range s.Processes {
				if r.PID == p.PID {
					change.PIDs = union(change.PIDs, r.PIDs)
				}
			}
		}
		c.Processes = append(c.Processes, change)
	}
	return c
}

func (d DeviceReading) since(before DeviceReading, between []DeviceReading) DeviceChange {
	c := DeviceChange{
		UUID:         d.UUID,
		IntervalNs:   middle(d.BeforeNs, d.AfterNs) - middle(before.BeforeNs, before.AfterNs),
		EnergyJ:      rise(before.Counters.EnergyJ, d.Counters.EnergyJ),
		PowerCapNs:   rise(before.Counters.PowerCapNs, d.Counters.PowerCapNs),
		SWThermalNs:  rise(before.Counters.SWThermalNs, d.Counters.SWThermalNs),
		HWThermalNs:  rise(before.Counters.HWThermalNs, d.Counters.HWThermalNs),
		PowerBrakeNs: rise(before.Counters.PowerBrakeNs, d.Counters.PowerBrakeNs),
	}
	for _, r := range between {
		if r.Gauges.SMClockMHz.Known {
			c.SMClocksMHz = append(c.SMClocksMHz, r.Gauges.SMClockMHz.V)
		}
	}
	for _, r := range append([]DeviceReading{before, d}, between...) {
		if r.Gauges.Reasons.Known {
			c.Reasons = Of(c.Reasons.V | r.Gauges.Reasons.V)
		}
		c.PIDs = union(c.PIDs, r.Processes.PIDs)
		for _, problem := range []string{r.Unanswered, r.Gauges.Problem, r.Processes.Problem, r.Counters.Problem} {
			if c.Problem == "" {
				c.Problem = problem
			}
		}
	}
	if before.Processes.PIDs == nil || d.Processes.PIDs == nil {
		c.PIDs = nil
	}
	return c
}

func (r ProcessReading) since(before ProcessReading) ProcessChange {
	c := ProcessChange{PID: r.PID, CPUNs: Of[int64](0), MajorFaults: Of[int64](0), InvoluntarySwitches: Of[int64](0), RSSBytes: Of[int64](0)}
	was := map[int]Member{}
	for _, m := range before.Members {
		was[m.PID] = m
		c.PIDs = union(c.PIDs, []int{m.PID})
		if !slices.ContainsFunc(r.Members, func(n Member) bool { return n.PID == m.PID }) {
			c.Ended++
		}
	}
	if len(before.Members) == 0 || len(r.Members) == 0 || before.Partial || r.Partial {
		return ProcessChange{PID: c.PID, Ended: c.Ended, PIDs: c.PIDs}
	}
	c.IntervalNs = r.Members[0].AtNs - before.Members[0].AtNs
	for _, m := range r.Members {
		c.PIDs = union(c.PIDs, []int{m.PID})
		b, ok := was[m.PID]
		if !ok { // born since: all that it did counts
			b = Member{CPUNs: Of[int64](0), MajorFaults: Of[int64](0), Switches: map[int]int64{}}
		}
		c.CPUNs = c.CPUNs.plus(rise(b.CPUNs, m.CPUNs))
		c.MajorFaults = c.MajorFaults.plus(rise(b.MajorFaults, m.MajorFaults))
		c.InvoluntarySwitches = c.InvoluntarySwitches.plus(switched(b.Switches, m.Switches))
		c.RSSBytes = c.RSSBytes.plus(m.RSSBytes)
	}
	return c
}

func switched(before, after map[int]int64) Value[int64] {
	if before == nil || after == nil {
		return Value[int64]{}
	}
	sum := Of[int64](0)
	for tid, n := range after {
		sum = sum.plus(rise(Of(before[tid]), Of(n))) // a new thread began at 0
	}
	return sum
}

func middle(a, b int64) int64 { return a + (b-a)/2 }

// union is sorted, and nil only if both are.
func union(a, b []int) []int {
	if b == nil {
		return a
	}
	all := append(append(make([]int, 0, len(a)+len(b)), a...), b...)
	slices.Sort(all)
	return slices.Compact(all)
}
