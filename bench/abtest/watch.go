package abtest

import (
	"fmt"
	"maps"
	"slices"

	"stepbench/bench/telemetry"
	"stepbench/engine"
)

// stealFailFrac is the share of stolen CPU time that voids a comparison. Below,
// more than the 1 % of telemetry's rule is a flag: the medians that verdicts on
// a CPU rest on hardly feel it, and the intervals show what they feel.
const stealFailFrac = 0.05

// spinningFrac of a core is what an idle arm uses at least if its threads spin
// instead of sleeping. Below, housekeeping of vLLM's threads beyond telemetry's
// rule is a flag: it costs the other arm a few percent of one core at most, alike
// in both, and kernels on a GPU nothing; work on the device has its own gate.
const spinningFrac = 0.2

// residentFrac of a core is what a worker that waits for its launch may use.
const residentFrac = 0.02

// machineWatch is a Watch over telemetry: snapshots between bursts, samples
// within.
type machineWatch struct {
	machine *telemetry.Machine
	sampler *telemetry.Sampler
	pids    [2]int
	ranks   []int // processes of the arms' ranks
	cuda    bool

	host      *telemetry.Host
	residents map[int]cpuTime // later launches' workers, at the start

	last telemetry.Snapshot
	arms [2][]telemetry.Change // of each arm's own bursts
	idle [2][]telemetry.Change // of the other arm's bursts
}

// cpuTime is what a process had used at a moment.
type cpuTime struct {
	atNs int64
	used telemetry.Value[int64]
}

// WatchMachine watches the machine and the arms' processes during a launch. The
// sampler may be nil: clocks are then unknown.
func WatchMachine(m *telemetry.Machine, sampler *telemetry.Sampler) func(arms [2]Arm, info [2]engine.Info, residents []int) Watch {
	return func(arms [2]Arm, info [2]engine.Info, residents []int) Watch {
		w := &machineWatch{
			machine: m, sampler: sampler, cuda: info[ArmA].Platform == "cuda",
			pids: [2]int{arms[ArmA].PID(), arms[ArmB].PID()}, ranks: append(ranks(&info[ArmA]), ranks(&info[ArmB])...),
			host: telemetry.NewHost(), residents: map[int]cpuTime{},
		}
		for _, pid := range residents {
			at, used := w.host.CPUNs(pid)
			w.residents[pid] = cpuTime{at, used}
		}
		m.Watch(w.pids[:]...)
		w.last = m.Snapshot()
		return w
	}
}

// Burst implements Watch. It drops a burst that the device's protection slowed
// down, and a timing burst that the host held up; a CPU's own bursts are all
// host, and are left to the medians.
func (w *machineWatch) Burst(b *Burst) {
	now := w.machine.Snapshot()
	var change telemetry.Change
	if w.sampler != nil {
		change = w.sampler.Change(w.last, now)
	} else {
		change = now.Since(w.last, nil)
	}
	w.last = now
	if b.Quad == 0 {
		return
	}
	w.arms[b.Arm] = append(w.arms[b.Arm], change)
	w.idle[1-b.Arm] = append(w.idle[1-b.Arm], change)
	if !w.cuda || b.Drop != "" {
		return
	}
	if g := telemetry.ThermalGate(change); g.Status == Fail {
		b.Drop = "thermal"
	} else if g := telemetry.QuietGate(change, w.pids[b.Arm]); b.Kind == Timing && g.Status == Fail {
		b.Drop = "host"
	}
}

// End implements Watch.
func (w *machineWatch) End() []Gate {
	a, b := telemetry.Merge(w.arms[ArmA]...), telemetry.Merge(w.arms[ArmB]...)
	all := telemetry.Merge(a, b)
	gates := []Gate{w.steal(all)}
	if w.cuda {
		gates = append(gates, telemetry.ClocksGate(a, b), telemetry.PowerGate(a, b), telemetry.ForeignGate(all, w.known()...))
	} else {
		frequency := telemetry.FrequencyGate(all)
		if frequency.Status == Fail {
			frequency.Status = Flag
		}
		gates = append(gates, frequency)
	}
	for _, arm := range []Which{ArmA, ArmB} {
		idle := telemetry.Merge(w.idle[arm]...)
		g := telemetry.IdleGate(idle, w.pids[arm])
		if p, ok := idle.Process(w.pids[arm]); ok && g.Status == Fail {
			if used := p.CPUFrac(); used.Known && used.V < spinningFrac {
				g.Status = Flag
			}
		}
		g.Name += " " + arm.String()
		gates = append(gates, g)
	}
	if len(w.residents) > 0 {
		gates = append(gates, w.idleResidents())
	}
	return gates
}

// known are the processes that may be on the device beside the arms' own.
func (w *machineWatch) known() []int {
	return append(slices.Collect(maps.Keys(w.residents)), w.ranks...)
}

func ranks(info *engine.Info) []int {
	var pids []int
	for _, r := range info.Ranks {
		pids = append(pids, r.PID)
	}
	return pids
}

// idleResidents: the workers of later launches did nothing in the meantime. What
// they use is alike for both arms, so it is a doubt about wall time, not a fault.
func (w *machineWatch) idleResidents() Gate {
	g := Gate{Name: "idle residents", Rule: "waiting workers use at most 2 % of a core each (flag)", Status: Pass}
	most := 0.0
	for pid, before := range w.residents {
		at, used := w.host.CPUNs(pid)
		if !used.Known || !before.used.Known || at <= before.atNs {
			g.Status, g.Detail = Unknown, fmt.Sprintf("CPU time of process %d not known", pid)
			return g
		}
		most = max(most, float64(used.V-before.used.V)/float64(at-before.atNs))
	}
	if most > residentFrac {
		g.Status = Flag
	}
	g.Detail = fmt.Sprintf("%d workers, at most %.2f %% of a core", len(w.residents), 100*most)
	return g
}

func (w *machineWatch) steal(c telemetry.Change) Gate {
	g := telemetry.StealGate(c)
	if share := c.StealFrac(); g.Status == Fail && share.Known && share.V < stealFailFrac {
		g.Status = Flag
	}
	return g
}
