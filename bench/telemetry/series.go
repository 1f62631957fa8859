package telemetry

// series makes samples one after another and remembers what the next needs.
type series struct {
	machine *Machine
	gpm     bool
	cpus    []CPUTime // at the slow sample before
	noMHz   bool      // the CPUs' frequencies are not known here
	trees   []tree
	cpu     map[int]cpuReading // by process id
	slows   int                // slow samples so far
}

type cpuReading struct {
	atNs int64
	used Value[int64]
}

type tree struct {
	root    int
	pids    []int
	partial bool
}

func (s *series) next(slow bool) Sample {
	sample := Sample{BeforeNs: nowNs()}
	rare := slow && s.slows%rareEvery == 0
	gpm := slow && s.slows%gpmEvery == 0 && s.gpm
	for _, d := range s.machine.devices {
		sample.Devices = append(sample.Devices, d.read(parts{processes: slow, counters: rare, gpm: gpm}))
	}
	if slow {
		s.readCPUs(&sample)
		s.findTrees()
	}
	sample.Processes = s.processes(slow, rare)
	if slow {
		s.slows++
	}
	sample.AfterNs = nowNs()
	return sample
}

func (s *series) readCPUs(sample *Sample) {
	cpus := s.machine.host.CPUs()
	use := cpusSince(cpus, s.cpus, func(_ string, busy Value[float64]) {
		sample.CoreBusyFrac = append(sample.CoreBusyFrac, busy.V) // 0 where no tick has passed
	})
	wanted := use.workS.plus(use.stealS)
	sample.CPUBusyFrac = over(use.workS, wanted.plus(use.idleS))
	sample.StealFrac = over(use.stealS, wanted)
	if !s.noMHz {
		mhz := s.machine.host.FrequenciesMHz()
		s.noMHz = len(mhz) == 0
		sample.FrequencyMHz = meanMHz(mhz, cpus, s.cpus)
	}
	s.cpus = cpus
}

func (s *series) findTrees() {
	s.trees = s.trees[:0]
	for _, pid := range s.machine.watched() {
		pids, partial := s.machine.host.tree(pid)
		s.trees = append(s.trees, tree{pid, pids, partial})
	}
}

// processes reads the trees as they were found last: processes born since are
// missing for up to a second, and of those that ended the last moments.
func (s *series) processes(slow, rare bool) []ProcessSample {
	latest := make(map[int]cpuReading, len(s.cpu))
	var samples []ProcessSample
	for _, t := range s.trees {
		p := ProcessSample{PID: t.root}
		if slow {
			p.PIDs = t.pids
		}
		if !t.partial && len(t.pids) > 0 {
			p.CPUFrac, p.RSSBytes = Of(0.0), Value[int64]{Known: slow}
		}
		for _, pid := range t.pids {
			var now cpuReading
			now.atNs, now.used = s.machine.host.CPUNs(pid)
			if !now.used.Known && pid != t.root {
				continue // ended
			}
			latest[pid] = now
			if before, ok := s.cpu[pid]; ok || pid == t.root {
				used := rise(before.used, now.used)
				p.CPUFrac = p.CPUFrac.plus(over(Value[float64]{float64(used.V), used.Known}, Of(float64(now.atNs-before.atNs))))
			}
			if slow {
				p.RSSBytes = p.RSSBytes.plus(s.machine.host.rss(pid))
			}
		}
		if rare && p.RSSBytes.Known {
			p.Threads, p.InvoluntarySwitches = s.machine.host.threadCounts(t.pids)
		}
		samples = append(samples, p)
	}
	s.cpu = latest
	return samples
}
