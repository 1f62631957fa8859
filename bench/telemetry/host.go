package telemetry

import (
	"cmp"
	"context"
	"os"
	"path/filepath"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/cpu"
)

// Host reads this machine's CPUs and processes. It keeps nothing between reads
// and may be used by several goroutines.
type Host struct {
	proc, sys string                       // the trees at /proc and /sys
	ctx       context.Context              //nolint:containedctx // how gopsutil is told of the two
	cpuClock  func(pid int) (int64, error) // nil: only ticks from proc
}

// NewHost reads /proc and /sys, or what HOST_PROC and HOST_SYS name, which are
// gopsutil's own variables.
func NewHost() *Host {
	proc, sys := cmp.Or(os.Getenv("HOST_PROC"), "/proc"), cmp.Or(os.Getenv("HOST_SYS"), "/sys")
	h := hostAt(proc, sys)
	if proc == "/proc" {
		h.cpuClock = processCPUNs
	}
	return h
}

func hostAt(proc, sys string) *Host {
	env := common.EnvMap{common.HostProcEnvKey: proc, common.HostSysEnvKey: sys}
	return &Host{proc: proc, sys: sys, ctx: context.WithValue(context.Background(), common.EnvKey, env)}
}

// CPUTime is what one CPU did since the machine started, in seconds. The kernel
// counts in ticks, of 10 ms nearly everywhere.
type CPUTime struct {
	CPU    string  `json:"cpu"` // "cpu0"
	WorkS  float64 `json:"work_s"`
	StealS float64 `json:"steal_s"` // it had work, and the hypervisor ran something else
	IdleS  float64 `json:"idle_s"`
}

// CPUs is nil if they cannot be read. A hypervisor that reports no stolen time
// cannot be told from one that stole none.
func (h *Host) CPUs() []CPUTime {
	// gopsutil returns no error, only an empty list.
	times, _ := cpu.TimesWithContext(h.ctx, true)
	var all []CPUTime
	for _, t := range times {
		all = append(all, CPUTime{
			CPU:    t.CPU,
			WorkS:  t.User + t.Nice + t.System + t.Irq + t.Softirq, // User holds Guest
			StealS: t.Steal,
			IdleS:  t.Idle + t.Iowait,
		})
	}
	return all
}

// cpuUse is what CPUs did during an interval, in seconds summed over them.
type cpuUse struct{ workS, stealS, idleS Value[float64] }

// cpusSince compares CPUs of the same name; those that came or went in between
// are left out. busy is called with each one's share of time at work.
func cpusSince(after, before []CPUTime, busy func(name string, frac Value[float64])) cpuUse {
	var u cpuUse
	was := map[string]CPUTime{}
	for _, c := range before {
		was[c.CPU] = c
	}
	for _, c := range after {
		b, ok := was[c.CPU]
		// The kernel's counters of idle time may go back a little.
		work, steal, idle := c.WorkS-b.WorkS, c.StealS-b.StealS, max(0, c.IdleS-b.IdleS)
		if !ok || work < 0 || steal < 0 {
			continue
		}
		u.workS, u.stealS, u.idleS = Of(u.workS.V+work), Of(u.stealS.V+steal), Of(u.idleS.V+idle)
		busy(c.CPU, over(Of(work), Of(work+steal+idle)))
	}
	return u
}

func (h *Host) procFile(names ...string) string {
	return filepath.Join(append([]string{h.proc}, names...)...)
}
