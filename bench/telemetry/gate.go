package telemetry

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"stepbench/bench/stats"
)

// Status is the outcome of a gate.
type Status string

const (
	Pass    Status = "pass"
	Flag    Status = "flag" // the result stands, with a label
	Fail    Status = "fail"
	Unknown Status = "unknown" // the readings do not tell: never a pass
)

// Gate is a condition under which a comparison means what it says.
type Gate struct {
	Name   string `json:"name"`
	Rule   string `json:"rule"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
}

const (
	clockFlagFrac = 0.005 // the size of effect that a comparison is to find
	clockFailFrac = 0.01

	powerCapFrac     = 0.05 // of time: the result is one at the power limit
	powerCapArmsFrac = 0.02 // difference between the arms

	stealFrac       = 0.01
	stealLeastS     = 1.0 // with 10 ms ticks less work cannot show 1 % of stolen time
	frequencySpread = 0.02
	frequencyLeast  = 3 // readings

	// Of one core. An idle vLLM worker uses 0.9 to 1.6 %: each of its gloo process
	// groups has a thread that wakes every 10 ms (epoll_wait in
	// gloo/transport/tcp/loop.cc).
	idleFlagFrac = 0.02
	idleFailFrac = 0.05

	switchesAtMost = 5
)

// ClocksGate compares the median SM clocks of two arms.
func ClocksGate(a, b Change) Gate {
	g := Gate{Name: "clocks", Rule: "arms' median SM clocks within 0.5 % (flag), 1 % (fail)"}
	return g.eachPair(a, b, func(a, b DeviceChange) (Status, string) {
		x, y := a.SMClockMHz(), b.SMClockMHz()
		if !x.Known || !y.Known || x.V <= 0 {
			return Unknown, fmt.Sprintf("%s and %s MHz over %d and %d samples", x, y, len(a.SMClocksMHz), len(b.SMClocksMHz))
		}
		diff := y.V/x.V - 1
		return grade(math.Abs(diff), clockFlagFrac, clockFailFrac), fmt.Sprintf("%.0f and %.0f MHz, %+.2f %%", x.V, y.V, 100*diff)
	})
}

// ThermalGate: neither heat nor the power supply lowered the clocks.
func ThermalGate(c Change) Gate {
	g := Gate{Name: "thermal", Rule: "no thermal slowdown and no power brake (NVML fields 269, 270, 271)"}
	return g.each(c, func(d DeviceChange) (Status, string) {
		var unread, lowered []string
		for _, counter := range []struct {
			name  string
			value Value[int64]
		}{{"software thermal", d.SWThermalNs}, {"hardware thermal", d.HWThermalNs}, {"power brake", d.PowerBrakeNs}} {
			switch {
			case !counter.value.Known:
				unread = append(unread, counter.name)
			case counter.value.V > 0:
				lowered = append(lowered, fmt.Sprintf("%s %.3g ms", counter.name, float64(counter.value.V)/1e6))
			}
		}
		// A driver without the counters still shows a slowdown that a sample hits.
		if seen := d.Reasons.V & reasonsThermal; len(lowered) == 0 && seen != 0 {
			lowered = ReasonNames(seen)
		}
		switch {
		case len(lowered) > 0:
			return Fail, strings.Join(lowered, ", ")
		case len(unread) > 0:
			return Unknown, "no counter of " + strings.Join(unread, ", ") + problem(d)
		}
		return Pass, "none"
	})
}

// PowerGate compares how long the power limit lowered the clocks of two arms. It
// never fails: an arm that needs more power is slower for it.
func PowerGate(a, b Change) Gate {
	g := Gate{Name: "power", Rule: "at the power limit for at most 5 % of the time, arms within 2 points (NVML field 74)"}
	return g.eachPair(a, b, func(a, b DeviceChange) (Status, string) {
		x, y := a.PowerCapFrac(), b.PowerCapFrac()
		if !x.Known || !y.Known {
			return Unknown, "no counter of time at the power limit" + problem(a) + problem(b)
		}
		detail := fmt.Sprintf("%.1f %% and %.1f %% of the time", 100*x.V, 100*y.V)
		if max(x.V, y.V) > powerCapFrac || math.Abs(x.V-y.V) > powerCapArmsFrac {
			return Flag, detail
		}
		return Pass, detail
	})
}

// ForeignGate: only this run's processes were seen on its devices: those
// watched with all below them, and residents, which only wait.
func ForeignGate(c Change, residents ...int) Gate {
	g := Gate{Name: "foreign work", Rule: "no other process on the device"}
	own := slices.Clone(residents)
	for _, p := range c.Processes {
		own = union(own, p.PIDs)
	}
	return g.each(c, func(d DeviceChange) (Status, string) {
		if d.PIDs == nil {
			return Unknown, "the driver does not list processes" + problem(d)
		}
		var foreign []int
		for _, pid := range d.PIDs {
			if !slices.Contains(own, pid) {
				foreign = append(foreign, pid)
			}
		}
		switch {
		case len(foreign) == len(d.PIDs):
			// Inside a container the driver may list nothing, or ids that mean
			// nothing there.
			return Unknown, fmt.Sprintf("the driver lists %d processes, and none is this run's", len(d.PIDs))
		case len(foreign) > 0:
			return Fail, fmt.Sprintf("process %v", foreign)
		}
		return Pass, "none"
	})
}

// StealName is that of StealGate's gates.
const StealName = "steal"

// StealGate: the hypervisor ran nothing else in place of this machine's work.
func StealGate(c Change) Gate {
	g := Gate{Name: StealName, Rule: "less than 1 % of the CPUs' working time stolen", Status: Unknown}
	share, work := c.StealFrac(), c.CPUWorkS.plus(c.CPUStealS)
	switch {
	case !share.Known:
		g.Detail = "CPU times not known"
	case work.V < stealLeastS:
		g.Detail = fmt.Sprintf("%.2f s of CPU time are too few for ticks of 10 ms to tell", work.V)
	default:
		g.Status, g.Detail = passIf(share.V < stealFrac), fmt.Sprintf("%.2f %% of %.1f s", 100*share.V, work.V)
	}
	return g
}

// FrequencyGate: the working CPUs' clock kept still. Spread is (p95-p5)/median
// over the readings.
func FrequencyGate(c Change) Gate {
	g := Gate{Name: "cpu frequency", Rule: "spread less than 2 %", Status: Unknown}
	if len(c.FrequenciesMHz) < frequencyLeast {
		g.Detail = fmt.Sprintf("%d readings: the machine does not tell, or was sampled for less than %d s", len(c.FrequenciesMHz), frequencyLeast)
		return g
	}
	sorted := slices.Sorted(slices.Values(c.FrequenciesMHz))
	mid := stats.Median(sorted)
	spread := (stats.Percentile(sorted, 0.95) - stats.Percentile(sorted, 0.05)) / mid
	g.Status, g.Detail = passIf(spread < frequencySpread), fmt.Sprintf("%.2f %% around %.0f MHz, %d readings", 100*spread, mid, len(sorted))
	return g
}

// IdleGate: the process, with all below it, did nothing while the other arm was
// measured.
func IdleGate(c Change, pid int) Gate {
	g := Gate{Name: "idle arm", Rule: "at most 2 % of a core (flag), 5 % (fail)", Status: Unknown}
	p, ok := c.Process(pid)
	if !ok {
		g.Detail = fmt.Sprintf("process %d was not watched", pid)
		return g
	}
	used := p.CPUFrac()
	if !used.Known {
		g.Detail = fmt.Sprintf("CPU time of process %d not known", pid)
		return g
	}
	g.Status = grade(used.V, idleFlagFrac, idleFailFrac)
	g.Detail = fmt.Sprintf("%.2f %% of a core", 100*used.V)
	if p.Ended > 0 {
		g.Detail += fmt.Sprintf("; %d of its processes ended, whose time is not known", p.Ended)
		if g.Status != Fail {
			g.Status = Unknown
		}
	}
	return g
}

// QuietGate: nothing held up the process in one burst. It matters for wall time,
// not for device time.
func QuietGate(c Change, pid int) Gate {
	g := Gate{Name: "host", Rule: "no throttling by the control group, no major fault, at most 5 involuntary switches", Status: Unknown}
	p, ok := c.Process(pid)
	if !ok {
		g.Detail = fmt.Sprintf("process %d was not watched", pid)
		return g
	}
	throttled := c.Throttling.Periods
	g.Detail = fmt.Sprintf("%s throttled periods, %s major faults, %s involuntary switches", throttled, p.MajorFaults, p.InvoluntarySwitches)
	switch {
	case throttled.V > 0 || p.MajorFaults.V > 0 || p.InvoluntarySwitches.V > switchesAtMost:
		g.Status = Fail
	case throttled.Known && p.MajorFaults.Known && p.InvoluntarySwitches.Known:
		g.Status = Pass
	}
	return g
}

// each judges every device; the worst counts.
func (g Gate) each(c Change, judge func(DeviceChange) (Status, string)) Gate {
	g.Status, g.Detail = Unknown, "no device"
	for i, d := range c.Devices {
		if status, detail := judge(d); i == 0 || severity(status) > severity(g.Status) {
			g.Status, g.Detail = status, detail
			if len(c.Devices) > 1 {
				g.Detail = d.UUID + ": " + detail
			}
		}
	}
	return g
}

// eachPair judges every device of two arms. A device that only one arm knows
// leaves the whole unknown.
func (g Gate) eachPair(a, b Change, judge func(a, b DeviceChange) (Status, string)) Gate {
	byUUID := map[string]DeviceChange{}
	for _, d := range b.Devices {
		byUUID[d.UUID] = d
	}
	if len(a.Devices) != len(b.Devices) {
		g.Status, g.Detail = Unknown, fmt.Sprintf("%d devices in one arm, %d in the other", len(a.Devices), len(b.Devices))
		return g
	}
	return g.each(a, func(d DeviceChange) (Status, string) {
		e, ok := byUUID[d.UUID]
		if !ok {
			return Unknown, "not in both arms"
		}
		return judge(d, e)
	})
}

func severity(s Status) int { return slices.Index([]Status{Pass, Flag, Unknown, Fail}, s) }

// grade: x up to flag passes, up to fail is flagged.
func grade(x, flag, fail float64) Status {
	switch {
	case x > fail:
		return Fail
	case x > flag:
		return Flag
	}
	return Pass
}

func passIf(ok bool) Status {
	if ok {
		return Pass
	}
	return Fail
}

func problem(d DeviceChange) string {
	if d.Problem == "" {
		return ""
	}
	return " (" + d.Problem + ")"
}
