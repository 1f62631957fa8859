package encode

import (
	"stepbench/bench/micro"
	"stepbench/bench/trace"
	"stepbench/engine"
)

// Trace is the steps that were played for it: of each cell some without
// profiler, then some under it with their kernels or ops. Tracks beside them name
// the cells and what each step was for.
func Trace(res *micro.Results) trace.Trace {
	t := trace.Trace{
		Metadata: map[string]string{
			"model": res.Model.Name, "device": res.Info.Device, "dtype": res.Info.DType,
			"vllm": res.Info.VLLMVersion, "profile": res.Rules.Name,
			"note": "steps marked profiled are slower than others: the profiler delays the host at each launch",
		},
	}
	for i := range res.Traced {
		tr := &res.Traced[i]
		t.Requests = append(t.Requests, tr.Requests...)
		for _, e := range tr.Events {
			t.Events = append(t.Events, trace.Event{
				Process: tr.Unit + "s", Track: e.Track, Name: e.Name, StartNs: e.StartNs, EndNs: e.StartNs + e.DurationNs,
			})
		}
		t.Counters = append(t.Counters, telemetry(tr.At)...)
	}
	for i := range res.Traced {
		tr := &res.Traced[i]
		for k := range tr.Steps {
			s := &tr.Steps[k]
			role := string(s.Role)
			if tr.Profiled[s.Op] {
				role += ", profiled"
			}
			t.Steps = append(t.Steps, s.Step)
			for _, track := range []struct{ name, value string }{{"cell", s.Cell}, {"role", role}} {
				t.Events = extend(t.Events, track.name, track.value, &s.Step)
			}
		}
	}
	return t
}

// telemetry is what was known before and after a cell's steps, and how busy the
// CPUs were between. What is not known has no series.
func telemetry(at []micro.Conditions) []trace.Counter {
	var out []trace.Counter
	add := func(name string, atNs int64, value float64) {
		if value > 0 && atNs > 0 {
			out = append(out, trace.Counter{Name: name, AtNs: atNs, Value: value})
		}
	}
	for i := range at {
		c := &at[i]
		add("SM clock (MHz)", c.AtNs, c.SMClockMHz)
		add("temperature (°C)", c.AtNs, c.TemperatureC)
		add("power (W)", c.AtNs, c.PowerW)
		if i == 0 {
			continue
		}
		before := &at[i-1]
		ns := float64(c.AtNs - before.AtNs)
		add("worker CPU (% of one core)", before.AtNs, 100*float64(c.ProcessCPUNs-before.ProcessCPUNs)/ns)
		if c.HostCPUs > 0 {
			add("host CPU (% of all cores)", before.AtNs, 100*float64(c.HostCPUNs-before.HostCPUNs)/ns/float64(c.HostCPUs))
		}
	}
	return out
}

// extend lengthens the last slice of a track to the end of s, or begins one.
func extend(events []trace.Event, track, name string, s *engine.Step) []trace.Event {
	for i := len(events) - 1; i >= 0; i-- {
		e := &events[i]
		if e.Track != track {
			continue
		}
		if e.Name == name {
			e.EndNs = s.ExitNs
			return events
		}
		break
	}
	return append(events, trace.Event{Process: "benchmark", Track: track, Name: name, StartNs: s.EnterNs, EndNs: s.ExitNs})
}
