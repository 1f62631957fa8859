package telemetry

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// ThreadCPU is what the threads of one name used, over a process and all below it.
type ThreadCPU struct {
	Name    string `json:"name"` // as the kernel keeps it, 15 characters; ", main" on a process's first
	Threads int    `json:"threads"`
	CPUNs   int64  `json:"cpu_ns"`
}

const mainThread = ", main"

// Threads is the CPU time of every thread of a process tree so far, by thread
// id. It costs some 50 µs a thread: it is for the ends of an interval.
//
// Source: proc_pid_schedstat, whose first number is the time on a CPU in ns; nil
// where the kernel keeps none.
func (h *Host) Threads(pid int) map[int]ThreadCPU {
	pids, _ := h.tree(pid)
	out := map[int]ThreadCPU{}
	for _, p := range pids {
		tids, _ := h.threads(p)
		for _, tid := range tids {
			text, err := readThread(h.threadFile(p, tid, "schedstat"))
			if err != nil {
				continue // ended
			}
			onCPU, _, _ := strings.Cut(text, " ")
			ns, err := strconv.ParseInt(onCPU, 10, 64)
			if err != nil {
				continue
			}
			name, _ := readThread(h.threadFile(p, tid, "comm"))
			name = strings.TrimSpace(name)
			if tid == p { // most others inherit its name
				name += mainThread
			}
			out[tid] = ThreadCPU{name, 1, ns}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// ThreadsSince sums what threads used between two readings of Threads by their
// names, most first. Threads that ended in between are left out.
func ThreadsSince(before, after map[int]ThreadCPU) []ThreadCPU {
	byName := map[string]*ThreadCPU{}
	for tid, t := range after {
		sum := byName[t.Name]
		if sum == nil {
			sum = &ThreadCPU{Name: t.Name}
			byName[t.Name] = sum
		}
		sum.Threads++
		sum.CPUNs += max(0, t.CPUNs-before[tid].CPUNs)
	}
	var out []ThreadCPU
	for _, sum := range byName {
		out = append(out, *sum)
	}
	slices.SortFunc(out, func(a, b ThreadCPU) int {
		return cmp.Or(cmp.Compare(b.CPUNs, a.CPUNs), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// threadCounts counts the threads of processes and their involuntary switches.
func (h *Host) threadCounts(pids []int) (threads, involuntary Value[int64]) {
	threads, involuntary = Of[int64](0), Of[int64](0)
	for _, pid := range pids {
		counts := h.switches(pid)
		if counts == nil {
			return Value[int64]{}, Value[int64]{}
		}
		threads.V += int64(len(counts))
		for _, n := range counts {
			involuntary.V += n
		}
	}
	return threads, involuntary
}
