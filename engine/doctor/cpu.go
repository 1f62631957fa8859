package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// cpuInfo is what /proc/cpuinfo says of the first processor, and how many there
// are.
type cpuInfo struct {
	err        error // why it cannot be read; the rest is then empty
	model      string
	flags      []string
	processors int
	sockets    int // 0: not told
}

func readCPU(h host) cpuInfo {
	all, err := text(h.proc, "cpuinfo")
	if err != nil {
		return cpuInfo{err: err}
	}
	var c cpuInfo
	sockets := map[string]bool{}
	for line := range strings.Lines(all) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "processor":
			c.processors++
		case "physical id":
			sockets[value] = true
		case "model name":
			c.model = value
		case "flags":
			if c.flags == nil {
				c.flags = strings.Fields(value)
			}
		}
	}
	c.sockets = len(sockets)
	if c.processors == 0 {
		c.err = fmt.Errorf("cpuinfo: no processor line")
	}
	return c
}

// has says whether the processor has all these features.
func (c cpuInfo) has(flags ...string) bool {
	for _, f := range flags {
		if !slices.Contains(c.flags, f) {
			return false
		}
	}
	return true
}

func cpuChecks(h host, cpu cpuInfo, build string) []Check {
	usable, quota := usableCheck(h)
	return []Check{modelCheck(cpu), usable, threadsCheck(h, build, quota), numaCheck(h), smtCheck(h), virtualCheck(h, cpu)}
}

func modelCheck(cpu cpuInfo) Check {
	const name = "cpu"
	if cpu.err != nil {
		return notAvailable(name, cpu.err)
	}
	c := Check{
		Name: name, Status: OK, Value: cpu.model, Detail: plural(cpu.processors, "processor"),
		Facts: map[string]any{"processors": cpu.processors},
	}
	if c.Value == "" {
		c.Value = "unnamed"
	}
	if cpu.sockets > 0 {
		c.Detail += ", " + plural(cpu.sockets, "socket")
		c.Facts["sockets"] = cpu.sockets
	}
	return c
}

// usableCheck is about affinity and quota: how many processors this process may
// use at once. quota is 0 if there is none.
func usableCheck(h host) (c Check, quota float64) {
	const name = "usable cpus"
	list, err := field(h.proc, "self/status", "Cpus_allowed_list")
	if err != nil {
		return notAvailable(name, err), 0
	}
	allowed, err := countList(list)
	if err != nil {
		return notAvailable(name, fmt.Errorf("self/status: Cpus_allowed_list: %w", err)), 0
	}
	c = Check{
		Name: name, Status: OK, Value: strconv.Itoa(allowed), Detail: "affinity " + list,
		Facts: map[string]any{"affinity": list, "affinity_cpus": allowed},
	}
	if online, err := text(h.sys, "devices/system/cpu/online"); err == nil {
		if n, err := countList(online); err == nil {
			c.Detail += fmt.Sprintf(" of %d online", n)
			c.Facts["online_cpus"] = n
		}
	}
	group, err := findCgroup(h, "cpu")
	if err != nil {
		c.Detail += "; quota " + NotAvailable
		return c, 0
	}
	if quota = group.cpuQuota(); quota == 0 {
		c.Detail += ", no quota"
		return c, 0
	}
	c.Facts["quota_cpus"] = quota
	c.Detail += fmt.Sprintf(", quota %.4g CPUs", quota)
	if quota < float64(allowed) {
		c.Status, c.Value = Warn, fmt.Sprintf("%.4g", quota)
		c.Detail += "; threads are stopped when it is used up, which shows as outliers"
		c.Remedy = "lift the container's CPU quota and limit its processors instead (docker run --cpuset-cpus)"
	}
	return c, quota
}

// threadsCheck is about OpenMP, which runs vLLM's CPU kernels. A worker sets the
// number of its threads to that of the processors unless the user did.
func threadsCheck(h host, build string, quota float64) Check {
	const name = "threads"
	usable := h.numCPU
	if quota > 0 {
		usable = min(usable, max(1, int(quota)))
	}
	c := Check{Name: name, Status: OK}
	threads := h.numCPU
	switch set, ok := h.env("OMP_NUM_THREADS"); {
	case ok && set != "":
		first, _, _ := strings.Cut(set, ",") // the others are for nested regions
		n, err := strconv.Atoi(strings.TrimSpace(first))
		if err != nil || n < 1 {
			c.Status, c.Value = Warn, "OMP_NUM_THREADS="+set
			c.Detail = "not a number of threads, so OpenMP ignores it"
			c.Remedy = fmt.Sprintf("OMP_NUM_THREADS=%d", usable)
			return c
		}
		threads, c.Value = n, "OMP_NUM_THREADS="+set
	case build == "cpu":
		c.Value, c.Detail = fmt.Sprintf("OMP_NUM_THREADS=%d", threads), "set for the worker, one a processor"
	default:
		c.Value = "OMP_NUM_THREADS is not set"
		return c
	}
	c.Facts = map[string]any{"omp_threads": threads, "usable_cpus": usable}
	for _, key := range []string{"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "VLLM_CPU_OMP_THREADS_BIND"} {
		if value, ok := h.env(key); ok {
			c.Detail = strings.TrimPrefix(c.Detail+"; "+key+"="+value, "; ")
			c.Facts[strings.ToLower(key)] = value
		}
	}
	if threads > usable {
		c.Status = Warn
		c.Detail = strings.TrimPrefix(fmt.Sprintf("%s; more threads than the %d usable CPUs wait for each other", c.Detail, usable), "; ")
		c.Remedy = fmt.Sprintf("OMP_NUM_THREADS=%d", usable)
	}
	return c
}

func numaCheck(h host) Check {
	const name = "numa nodes"
	online, err := text(h.sys, "devices/system/node/online")
	if err != nil {
		return notAvailable(name, err)
	}
	n, err := countList(online)
	if err != nil {
		return notAvailable(name, fmt.Errorf("devices/system/node/online: %w", err))
	}
	c := Check{Name: name, Status: OK, Value: strconv.Itoa(n), Facts: map[string]any{"numa_nodes": n}}
	if n > 1 {
		c.Detail = "memory of another node is slower: bind with numactl for repeatable timing"
	}
	return c
}

func smtCheck(h host) Check {
	const name = "smt"
	active, err := text(h.sys, "devices/system/cpu/smt/active")
	if err != nil {
		return notAvailable(name, err)
	}
	c := Check{Name: name, Status: OK}
	switch active {
	case "1":
		c.Value, c.Detail = "active", "two processors share a core"
	case "0":
		c.Value = "not active"
	default:
		return notAvailable(name, fmt.Errorf("devices/system/cpu/smt/active: %.40q is neither 0 nor 1", active))
	}
	if control, err := text(h.sys, "devices/system/cpu/smt/control"); err == nil && control != "on" {
		c.Detail = strings.TrimPrefix(c.Detail+"; control: "+control, "; ")
	}
	return c
}

// virtualCheck asks the processor (CPUID's hypervisor bit), and for a name the
// firmware tables.
func virtualCheck(h host, cpu cpuInfo) Check {
	const name = "virtual machine"
	if cpu.err != nil || len(cpu.flags) == 0 {
		return notAvailable(name, fmt.Errorf("cpuinfo: no flags"))
	}
	if !cpu.has("hypervisor") {
		return Check{Name: name, Status: Absent, Value: "none seen"}
	}
	c := Check{Name: name, Status: OK, Value: "yes", Detail: "neighbours on the host add noise"}
	vendor, err1 := text(h.sys, "class/dmi/id/sys_vendor")
	product, err2 := text(h.sys, "class/dmi/id/product_name")
	if err1 == nil || err2 == nil {
		c.Value = strings.TrimSpace(vendor + " " + product)
	} else if kind, err := text(h.sys, "hypervisor/type"); err == nil {
		c.Value = kind
	}
	return c
}

// countList counts the members of a list such as "0-3,8".
func countList(list string) (int, error) {
	n := 0
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.ParseUint(from, 10, 31)
		b, err2 := strconv.ParseUint(to, 10, 31)
		if err1 != nil || err2 != nil || b < a {
			return 0, fmt.Errorf("%.40q is not a list of processors", list)
		}
		n += int(b-a) + 1
	}
	return n, nil
}
