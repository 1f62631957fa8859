package doctor

import "fmt"

const (
	leastMemory = 2 << 30 // vLLM and torch alone take more than 1 GiB
	leastShared = 1 << 30
)

// memoryCheck takes the smaller of what the kernel has and what the control
// group still allows.
func memoryCheck(h host) Check {
	const name = "memory"
	total, errTotal := kilobytes(h.proc, "meminfo", "MemTotal")
	free, err := kilobytes(h.proc, "meminfo", "MemAvailable")
	if err != nil {
		return notAvailable(name, err)
	}
	c := Check{Name: name, Status: OK, Facts: map[string]any{"available_bytes": free}}
	bound := "MemAvailable of /proc/meminfo"
	if errTotal == nil {
		c.Facts["total_bytes"] = total
		bound = "of " + size(total)
	}
	if group, err := findCgroup(h, "memory"); err == nil {
		left, limit, limited := group.memoryLeft()
		if limited {
			c.Facts["cgroup_limit_bytes"], c.Facts["cgroup_left_bytes"] = limit, left
		}
		if limited && left < free {
			free, bound = left, fmt.Sprintf("of the control group's %s", size(limit))
		}
	}
	c.Facts["free_bytes"] = free
	c.Value, c.Detail = size(free)+" free", bound
	if free < leastMemory {
		c.Status = Fail
		c.Remedy = fmt.Sprintf("free memory until %s are available, or raise the container's limit", size(leastMemory))
	}
	return c
}

// sharedMemoryCheck looks at /dev/shm, through which vLLM's worker processes
// exchange tensors; an engine in one process does without.
func sharedMemoryCheck(h host) Check {
	const name = "shared memory"
	s, err := h.disk("/dev/shm")
	if err != nil {
		return notAvailable(name, err)
	}
	c := Check{
		Name: name, Status: OK, Value: size(s.freeBytes) + " free", Detail: "/dev/shm of " + size(s.totalBytes),
		Facts: map[string]any{"free_bytes": s.freeBytes, "total_bytes": s.totalBytes},
	}
	if s.freeBytes < leastShared {
		c.Status = Warn
		c.Detail += "; only tensor or pipeline parallel engines need it"
		c.Remedy = "give the container more, as with docker run --shm-size=8g"
	}
	return c
}
