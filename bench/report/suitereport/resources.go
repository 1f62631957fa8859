package suitereport

import (
	"fmt"
	"maps"
	"slices"

	"stepbench/bench/analysis"
)

func (v view) models() []block {
	t := newTable(columnsOf([]column{textColumn("model"), textColumn("configuration")}, "layers", "parameters M", "weights GiB", "KV cache GiB", "achieved req/s", "output tok/s", "prefill ms", "TPOT ms", "E2E p50")...)
	for _, p := range v.axes("model") {
		e := v.engine(p)
		layers, parameters := missing("the model's shape is not known"), missing("the model's shape is not known")
		if s := e.Config.Model.Shape; s != nil {
			layers, parameters = count(s.Layers), num(float64(s.Parameters)/1e6)
		}
		t.add(say(modelName(e)), say(name(p)), layers, parameters, gib(e.WeightBytes, "the model's shape is not known"), gib(e.KVBytes, "the model's shape is not known"),
			rate(p.Achieved, p), rate(p.OutputTokens, p), mean(p, "prefill"), mean(p, "tpot"), percentile(p, "e2e", "p50"))
	}
	return []block{text("Weights and KV cache are computed from the model's shape, for one device."), t.block()}
}

func modelName(e *analysis.Engine) string {
	if e.Config.Model.Synthetic {
		return e.Config.Model.Name + " (random weights)"
	}
	return e.Config.Model.Name
}

func (v view) scaling() []block {
	if len(v.Scaling) == 0 {
		return []block{text("Not run: fewer than two numbers of devices were measured, so there is no speed-up and no efficiency to give.")}
	}
	t := newTable(columnsOf([]column{textColumn("configuration")}, "devices", "output tok/s", "speed-up", "efficiency %", "Karp–Flatt %", "Amdahl serial %")...)
	indicative := false
	for _, s := range v.Scaling {
		t.add(say(s.Label), count(s.Devices), value(&s.Throughput, 1, ""), value(&s.SpeedUp, 1, ""), percent(&s.Efficiency, ""),
			percent(s.KarpFlatt, "it compares with one device"), percent(s.Amdahl, "too few numbers of devices"))
		indicative = indicative || s.Indicative
	}
	blocks := []block{text("Speed-up is against the smallest number of devices, and efficiency is the speed-up for each of them. The Karp–Flatt metric is the serial share that would explain one row: constant over rows it is serial work, rising it is communication. Amdahl's serial share is fitted over all rows."), t.block()}
	if s := v.Scaling[0].Amdahl; s != nil && s.V > 0 {
		blocks = append(blocks, text(fmt.Sprintf("With a serial share of %s %%, no number of devices gives more than %s times the throughput.", number(100*s.V), number(1/s.V))))
	}
	if indicative {
		blocks = append(blocks, text("Indicative: from fewer than three numbers of devices."))
	}
	return blocks
}

// parts of a step that run on the host, with what they are for.
var parts = []struct{ name, head string }{
	{"schedule", "scheduling: schedule"}, {"update", "scheduling: update"}, {"execute", "launch: execute"}, {"sample", "launch: sample"},
	{"output", "output: output"}, {"stats", "output: stats"}, {"core", "engine core"}, {"bridge", "bridge"},
}

func (v view) cpu() []block {
	use := newTable(columnsOf([]column{textColumn("configuration")}, "worker cores", "stepbench cores", "threads", "involuntary switches/s", "sampling % of a core", "utilisation %")...)
	times := newTable(textColumn("configuration"))
	used := v.componentNames()
	for _, c := range used {
		times.Columns = append(times.Columns, column{Head: c.head + " µs"})
	}
	device := newTable(columnsOf([]column{textColumn("configuration")}, "busy %", "in a step, device idle %", "between steps %", "no request %")...)
	device.Columns = append(device.Columns, textColumn("source"))
	for _, p := range v.all() {
		noUse := why(p, "no telemetry was sampled")
		if c := p.CPU; c != nil {
			use.add(say(name(p)), num(c.WorkerCores), num(c.ParentCores), count(c.Threads), num(c.SwitchesPerS), num(100*c.SamplerFrac), percent(p.Utilisation, why(p, "no counter was sampled")))
			row := []cell{say(name(p))}
			for _, part := range used {
				if us, ok := c.ByComponent[part.name]; ok {
					row = append(row, num(us))
				} else {
					row = append(row, missing("not in these records"))
				}
			}
			times.add(row...)
		} else {
			m := missing(noUse)
			use.add(say(name(p)), m, m, m, m, m, percent(p.Utilisation, noUse))
		}
		if d := p.Device; d != nil {
			source := "profiled bursts"
			if d.Coarse {
				source = "coarse"
			}
			device.add(say(name(p)), num(100*d.Busy), num(100*d.Host), num(100*d.BetweenSt), num(100*d.Empty), say(source))
		} else {
			m := missing(why(p, "no attribution and no device counter"))
			device.add(say(name(p)), m, m, m, m, m)
		}
	}
	what := "Utilisation is the mean of the device's own counter."
	if v.onCPU() {
		what = "There was no GPU: utilisation is the process's share of all CPUs."
	}
	blocks := []block{
		text("CPU use of the worker, which holds the engine, and of stepbench itself. " + what), use.block(),
		heading("How the window was spent"), text("Busy is the time in which a kernel (on a CPU: an op) runs."), device.block(),
	}
	blocks = append(blocks, v.counters()...)
	if len(used) > 0 && len(times.Rows) > 0 {
		blocks = append(blocks, heading("CPU use by component"),
			text("Time a step of the parts that run on the host. Prompts are handed over as token ids, so tokenising is outside the step and not in this table; on a CPU, execute and sample also hold the computing itself."), times.block())
	}
	return blocks
}

// componentNames are the parts that some point has, known ones first.
func (v view) componentNames() []struct{ name, head string } {
	have := map[string]bool{}
	for _, p := range v.all() {
		if p.CPU != nil {
			for k := range p.CPU.ByComponent {
				have[k] = true
			}
		}
	}
	var out []struct{ name, head string }
	for _, p := range parts {
		if have[p.name] {
			out = append(out, p)
			delete(have, p.name)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(have)) {
		out = append(out, struct{ name, head string }{k, k})
	}
	return out
}
