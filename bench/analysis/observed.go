package analysis

import (
	"cmp"
	"slices"

	"stepbench/bench/bottleneck"
	"stepbench/bench/record"
	"stepbench/bench/stats"
	"stepbench/bench/telemetry"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// observed is what was seen of the machine during a run; everything is nil or
// empty where nobody looked.
type observed struct {
	utilisation []bottleneck.Sample // of the devices together
	// utilisationFrac is the mean over the window: of the devices' counter, or
	// without devices of the CPUs that the worker kept busy.
	utilisationFrac *workload.Estimate
	memory          map[string]DeviceMemory // by UUID
	gpm             gpmSeen
	rssBytes        int64
	cpu             *CPUUse
}

func observe(rec *record.Record) observed {
	var o observed
	t := rec.Manifest.Telemetry
	if t == nil {
		return o
	}
	from, to := bottleneck.Window(*rec.Manifest.Workload, rec.Manifest.StartNs, rec.Requests)
	var busy, cores []float64
	o.memory = map[string]DeviceMemory{}
	for _, s := range rec.Samples {
		inside := s.BeforeNs > from && s.AfterNs <= to
		if u, ok := o.devices(s.Devices); ok {
			o.utilisation = append(o.utilisation, bottleneck.Sample{AtNs: s.AfterNs, Frac: u})
			if inside {
				busy = append(busy, u)
			}
		}
		for i := range s.Devices {
			o.counters(&s.Devices[i].GPM, s.BeforeNs, inside, from)
		}
		for _, p := range s.Processes {
			if p.CPUFrac.Known && inside {
				cores = append(cores, p.CPUFrac.V)
			}
		}
	}
	switch cpus := rec.Manifest.Host.CPUs; {
	case len(busy) > 0:
		o.utilisationFrac = &workload.Estimate{Value: stats.Mean(busy)}
	case len(o.memory) == 0 && len(cores) > 0 && cpus > 0:
		o.utilisationFrac = &workload.Estimate{Value: min(1, stats.Mean(cores)/float64(cpus))}
	}
	if t.RSSBytes.Known {
		o.rssBytes = t.RSSBytes.V
	}
	o.cpu = used(t)
	return o
}

// counters takes a reading that began at atNs, or why there is none.
func (o *observed) counters(g *telemetry.GPM, atNs int64, inside bool, from int64) {
	if o.gpm.problem == "" {
		o.gpm.problem = g.Problem
	}
	if inside && g.PeriodNs.Known && atNs-g.PeriodNs.V >= from {
		o.gpm.add(g)
	}
}

// devices notes the memory, and gives the mean of the devices' counter.
func (o *observed) devices(readings []telemetry.DeviceReading) (mean float64, ok bool) {
	n := 0
	for _, d := range readings {
		if d.Gauges.MemoryUsedBytes.Known {
			o.memory[d.UUID] = o.memory[d.UUID].or(DeviceMemory{UUID: d.UUID, UsedBytes: d.Gauges.MemoryUsedBytes.V, TotalBytes: d.Gauges.MemoryTotalBytes.V})
		}
		if d.Gauges.SMUtilFrac.Known {
			mean += d.Gauges.SMUtilFrac.V
			n++
		}
	}
	return mean / float64(max(1, n)), n > 0
}

// used is the CPU of the worker over the whole run; nil if its process was not
// watched.
func used(t *record.Telemetry) *CPUUse {
	seconds := float64(t.Change.IntervalNs) / 1e9
	if len(t.Change.Processes) == 0 || seconds <= 0 {
		return nil
	}
	p := &t.Change.Processes[0]
	if !p.CPUFrac().Known {
		return nil
	}
	u := &CPUUse{
		WorkerCores: p.CPUFrac().V, ParentCores: float64(t.ParentCPUNs.V) / 1e9 / seconds, Threads: int(t.Threads.V),
		SwitchesPerS: float64(p.InvoluntarySwitches.V) / seconds, SamplerFrac: t.SamplerCPUFrac.V,
	}
	for _, thread := range t.WorkerThreads {
		u.ByThread = append(u.ByThread, ThreadUse{Name: thread.Name, Threads: thread.Threads, Cores: float64(thread.CPUNs) / 1e9 / seconds})
	}
	return u
}

// cpuUse is the mean over repeats, with the host's part of a step.
func cpuUse(runs []*run) *CPUUse {
	var sum *CPUUse
	n := 0.0
	threads := map[string]*ThreadUse{}
	for _, r := range runs {
		u := r.seen.cpu
		if u == nil {
			continue
		}
		if sum == nil {
			sum = &CPUUse{}
		}
		n++
		sum.WorkerCores += u.WorkerCores
		sum.ParentCores += u.ParentCores
		sum.SwitchesPerS += u.SwitchesPerS
		sum.SamplerFrac += u.SamplerFrac
		sum.Threads = max(sum.Threads, u.Threads)
		for _, t := range u.ByThread {
			if threads[t.Name] == nil {
				threads[t.Name] = &ThreadUse{Name: t.Name}
			}
			threads[t.Name].Threads = max(threads[t.Name].Threads, t.Threads)
			threads[t.Name].Cores += t.Cores
		}
	}
	if sum == nil {
		return nil
	}
	sum.WorkerCores, sum.ParentCores, sum.SwitchesPerS, sum.SamplerFrac = sum.WorkerCores/n, sum.ParentCores/n, sum.SwitchesPerS/n, sum.SamplerFrac/n
	for _, t := range threads {
		t.Cores /= n
		sum.ByThread = append(sum.ByThread, *t)
	}
	slices.SortFunc(sum.ByThread, func(a, b ThreadUse) int {
		return cmp.Or(cmp.Compare(b.Cores, a.Cores), cmp.Compare(a.Name, b.Name))
	})
	sum.ByComponent = components(runs)
	return sum
}

// components is the mean time of each part of a step in µs, over all steps that
// did work. execute holds the launch of the model's forward pass; on a CPU, the
// pass itself.
func components(runs []*run) map[string]float64 {
	parts := map[string]func(*engine.Step) int64{
		"schedule": func(s *engine.Step) int64 { return s.ScheduleNs },
		"execute":  func(s *engine.Step) int64 { return s.ExecuteNs },
		"sample":   func(s *engine.Step) int64 { return s.SampleNs },
		"update":   func(s *engine.Step) int64 { return s.UpdateNs },
		"output":   func(s *engine.Step) int64 { return s.OutputNs },
		"stats":    func(s *engine.Step) int64 { return s.StatsNs },
		"core":     func(s *engine.Step) int64 { return s.CoreNs },
		"bridge":   func(s *engine.Step) int64 { return s.BridgeNs },
	}
	sums, n := map[string]float64{}, 0.0
	for _, r := range runs {
		if i := r.rec.Manifest.Info; i != nil && i.QueuedBatches > 0 {
			continue // its calls are no steps
		}
		for i := range r.rec.Steps {
			s := &r.rec.Steps[i]
			if s.CtxTokens+s.GenReqs == 0 {
				continue
			}
			n++
			for name, ns := range parts {
				sums[name] += float64(ns(s))
			}
		}
	}
	if n == 0 {
		return nil
	}
	for name := range sums {
		sums[name] /= 1e3 * n
	}
	return sums
}

// or is the larger use of one device, and its size if one of the two knows it.
func (m DeviceMemory) or(n DeviceMemory) DeviceMemory {
	return DeviceMemory{UUID: n.UUID, UsedBytes: max(m.UsedBytes, n.UsedBytes), TotalBytes: max(m.TotalBytes, n.TotalBytes)}
}

// see keeps the largest use of memory over all runs of an engine.
func (e *Engine) see(runs []*run) {
	for _, r := range runs {
		e.RSSBytes = max(e.RSSBytes, r.seen.rssBytes)
		for uuid, seen := range r.seen.memory {
			i := slices.IndexFunc(e.Memory, func(m DeviceMemory) bool { return m.UUID == uuid })
			if i < 0 {
				e.Memory = append(e.Memory, DeviceMemory{UUID: uuid})
				i = len(e.Memory) - 1
			}
			e.Memory[i] = e.Memory[i].or(seen)
		}
	}
	slices.SortFunc(e.Memory, func(a, b DeviceMemory) int { return cmp.Compare(a.UUID, b.UUID) })
}
