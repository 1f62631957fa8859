package report

import (
	"fmt"
	"slices"
	"strings"

	"stepbench/bench/record"
	"stepbench/bench/stats"
	"stepbench/bench/telemetry"
	"stepbench/bench/workload"
)

// machine says what the worker and the devices used from the run's first moment to
// its last.
func machine(b *strings.Builder, rec *record.Record, sum *workload.Summary) {
	t := rec.Manifest.Telemetry
	if t == nil {
		return
	}
	b.WriteString("## Machine\n\n")
	seconds := float64(t.Change.IntervalNs) / 1e9
	var rows [][]string
	add := func(name string, v telemetry.Value[float64], unit float64) {
		rows = append(rows, []string{name, reading(v, unit)})
	}
	if len(t.Change.Processes) > 0 {
		add("Worker, CPUs busy", t.Change.Processes[0].CPUFrac(), 1)
		threads := absent
		if t.Threads.Known {
			threads = fmt.Sprint(t.Threads.V)
		}
		rows = append(rows, []string{"Worker, threads", threads})
		add("Worker, memory at most, MiB", real64(t.RSSBytes), 1<<20)
	}
	add("stepbench itself, CPUs busy", real64(t.ParentCPUNs), 1e9*seconds)
	if t.SampleHz > 0 {
		add("of which sampling", t.SamplerCPUFrac, 1)
	}
	add("CPU time stolen, % of the time with work", t.Change.StealFrac(), 0.01)
	if stopped := t.Change.Throttling.StoppedNs; stopped.V > 0 {
		add("Stopped by a CPU quota, s", real64(stopped), 1e9)
	}
	table(b, true, []string{"", fmt.Sprintf("in %s s", number(seconds))}, rows)
	devices(b, rec, sum)
	if t.Truncated {
		b.WriteString("The first samples are lost: the run was longer than the sampler keeps.\n\n")
	}
}

// devices is a table of the GPUs, if there are any.
func devices(b *strings.Builder, rec *record.Record, sum *workload.Summary) {
	changes := rec.Manifest.Telemetry.Change.Devices
	if len(changes) == 0 {
		return
	}
	tokens := 0.0
	if sum.WholeRun != nil {
		tokens = sum.WholeRun.OutputTokensPerS * sum.WholeRun.Seconds
	}
	var rows [][]string
	var problems []string
	for _, d := range changes {
		var clocks, busy []float64
		memory := telemetry.Value[float64]{}
		for _, s := range rec.Samples {
			for _, g := range s.Devices {
				if g.UUID != d.UUID {
					continue
				}
				if g.Gauges.SMClockMHz.Known {
					clocks = append(clocks, g.Gauges.SMClockMHz.V)
				}
				if g.Gauges.SMUtilFrac.Known {
					busy = append(busy, g.Gauges.SMUtilFrac.V)
				}
				if used := real64(g.Gauges.MemoryUsedBytes); used.Known && used.V >= memory.V {
					memory = used
				}
			}
		}
		slices.Sort(clocks)
		heat := real64(d.SWThermalNs)
		if hot := real64(d.HWThermalNs); heat.Known && hot.Known {
			heat.V += hot.V
		}
		rows = append(rows, []string{
			plain(d.UUID), reading(d.EnergyJ, 1), reading(d.EnergyJ, float64(d.IntervalNs)/1e9), reading(d.EnergyJ, tokens),
			reading(known(busy, stats.Mean), 0.01), reading(known(clocks, stats.Median), 1), reading(memory, 1<<30),
			reading(d.PowerCapFrac(), 0.01), reading(heat, float64(d.IntervalNs)/100),
		})
		if d.Problem != "" {
			problems = append(problems, plain(d.UUID+": "+d.Problem))
		}
	}
	table(b, true, []string{
		"device", "energy, J", "mean power, W", "J an output token", "busy, %", "SM clock, MHz", "memory at most, GiB",
		"slowed by the power limit, %", "slowed by heat, %",
	}, rows)
	b.WriteString("Busy is the share of time with a kernel running, as NVML says; the clock is the median of the samples.\n\n")
	for _, p := range problems {
		fmt.Fprintf(b, "**A device could not be read:** %s\n\n", p)
	}
}

// reading prints v in units of unit, or that it is not known.
func reading(v telemetry.Value[float64], unit float64) string {
	if !v.Known || unit == 0 {
		return absent
	}
	return number(v.V / unit)
}

func real64(v telemetry.Value[int64]) telemetry.Value[float64] {
	return telemetry.Value[float64]{V: float64(v.V), Known: v.Known}
}

// known is a figure of samples, if there are any.
func known(samples []float64, figure func([]float64) float64) telemetry.Value[float64] {
	if len(samples) == 0 {
		return telemetry.Value[float64]{}
	}
	return telemetry.Of(figure(samples))
}
