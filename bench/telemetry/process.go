package telemetry

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"
)

// ProcessReading is one process and all below it.
type ProcessReading struct {
	PID     int      `json:"pid"`
	Members []Member `json:"members"` // the process itself first; none if it ended
	// Partial: not all children could be found, so that sums over the members
	// say nothing of the tree.
	Partial bool `json:"partial,omitempty"`
}

// Member is one process of a tree.
type Member struct {
	PID         int          `json:"pid"`
	AtNs        int64        `json:"at_ns"` // when CPUNs was read
	CPUNs       Value[int64] `json:"cpu_ns"`
	RSSBytes    Value[int64] `json:"rss_bytes"`
	MajorFaults Value[int64] `json:"major_faults"`
	// Switches are the involuntary context switches of each thread by its id;
	// nil: not known.
	Switches map[int]int64 `json:"switches"`
}

// Process reads the tree below pid, thread by thread. That takes some 25 µs a
// thread: it is for the ends of an interval, not for the middle of a measurement.
//
// gopsutil is not asked for children, for which it runs pgrep, nor for context
// switches, of which it gives the main thread's only.
func (h *Host) Process(pid int) ProcessReading {
	pids, partial := h.tree(pid)
	r := ProcessReading{PID: pid, Partial: partial}
	for _, p := range pids {
		m, ok := h.member(p)
		switch {
		case ok:
			r.Members = append(r.Members, m)
		case p == pid:
			return ProcessReading{PID: pid}
		}
	}
	return r
}

// tree lists a process and all below it, itself first; none if it ended.
func (h *Host) tree(root int) (pids []int, partial bool) {
	queue := []int{root}
	// Ids may be used anew during the walk, so it could come in a circle.
	seen := map[int]bool{root: true}
	for ; len(queue) > 0; queue = queue[1:] {
		pid := queue[0]
		threads, err := h.threads(pid)
		if gone(err) {
			continue
		}
		pids = append(pids, pid)
		partial = partial || err != nil
		for _, tid := range threads {
			// Needs CONFIG_PROC_CHILDREN, which comes with CHECKPOINT_RESTORE.
			text, err := readThread(h.threadFile(pid, tid, "children"))
			if err != nil {
				partial = partial || exists(h.threadFile(pid, tid, "status"))
				continue
			}
			for field := range strings.FieldsSeq(text) {
				if child, err := strconv.Atoi(field); err == nil && !seen[child] {
					seen[child] = true
					queue = append(queue, child)
				}
			}
		}
	}
	if len(pids) > 0 && pids[0] != root {
		return nil, false
	}
	return pids, partial
}

// member reads one process; ok is false if it ended.
func (h *Host) member(pid int) (m Member, ok bool) {
	m = Member{PID: pid, Switches: h.switches(pid), RSSBytes: h.rss(pid)}
	m.AtNs, m.CPUNs = h.CPUNs(pid)
	// Not NewProcess, which asks the live system whether it exists.
	faults, err := (&process.Process{Pid: int32(pid)}).PageFaultsWithContext(h.ctx)
	if err == nil {
		m.MajorFaults = Of(int64(faults.MajorFaults))
	}
	return m, !gone(err)
}

// CPUNs is the CPU time of one process without those below it, and the moment at
// which it was read. It takes a few microseconds: for use between two bursts.
func (h *Host) CPUNs(pid int) (atNs int64, used Value[int64]) {
	atNs = nowNs()
	if h.cpuClock != nil {
		if ns, err := h.cpuClock(pid); err == nil {
			used = Of(ns)
		}
		return atNs, used
	}
	if t, err := (&process.Process{Pid: int32(pid)}).TimesWithContext(h.ctx); err == nil {
		used = Of(int64((t.User + t.System) * 1e9))
	}
	return atNs, used
}

// rss is the memory that a process has resident.
func (h *Host) rss(pid int) Value[int64] {
	mem, err := (&process.Process{Pid: int32(pid)}).MemoryInfoWithContext(h.ctx)
	if err != nil {
		return Value[int64]{}
	}
	return Of(int64(mem.RSS))
}

// switches is nil if a thread's count cannot be read.
func (h *Host) switches(pid int) map[int]int64 {
	threads, err := h.threads(pid)
	if err != nil {
		return nil
	}
	counts := map[int]int64{}
	for _, tid := range threads {
		n, err := involuntary(h.threadFile(pid, tid, "status"))
		switch {
		case err == nil:
			counts[tid] = n
		case !gone(err):
			return nil
		}
	}
	return counts
}

var errNoLine = errors.New("no such line")

func involuntary(name string) (int64, error) {
	text, err := readThread(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "nonvoluntary_ctxt_switches:"); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errNoLine
}

// readThread is os.ReadFile with half the system calls, which is most of what
// reading a thread costs.
func readThread(name string) (string, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var text []byte
	for buf := make([]byte, 4096); ; {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		text = append(text, buf[:n]...)
		// The kernel gives as many whole lines as there is room for.
		if n < len(buf)/2 {
			return string(text), nil
		}
	}
}

func (h *Host) threads(pid int) ([]int, error) {
	entries, err := os.ReadDir(h.procFile(strconv.Itoa(pid), "task"))
	var tids []int
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids, err
}

func (h *Host) threadFile(pid, tid int, name string) string {
	return h.procFile(strconv.Itoa(pid), "task", strconv.Itoa(tid), name)
}

// gone: the process or thread ended, before its file was opened or after.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
