package encode

import (
	"stepbench/bench/micro"
	"stepbench/bench/trace"
	"stepbench/engine"
)

// Trace is the first round of timing: one visit to each cell, set-up included,
// with a track that names the cells.
func Trace(res *micro.Results) trace.Trace {
	t := trace.Trace{
		Requests: res.Requests,
		Metadata: map[string]string{
			"model": res.Model.Name, "device": res.Info.Device, "dtype": res.Info.DType,
			"vllm": res.Info.VLLMVersion, "profile": res.Rules.Name,
		},
	}
	for i := range res.Steps {
		s := &res.Steps[i]
		if s.Stage != micro.Timing || s.Round != 0 {
			continue
		}
		t.Steps = append(t.Steps, s.Step)
		for _, track := range []struct{ name, value string }{{"cell", s.Cell}, {"role", string(s.Role)}} {
			t.Events = extend(t.Events, track.name, track.value, &s.Step)
		}
	}
	return t
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
