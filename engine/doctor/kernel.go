package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

const leastStack = 8 << 20

// stackCheck reads the soft limit, which the main thread's stack grows to and
// which glibc takes as the size of the threads that vLLM's libraries start.
func stackCheck(h host) Check {
	const name = "stack limit"
	limits, err := field(h.proc, "self/limits", "Max stack size")
	if err != nil {
		return notAvailable(name, err)
	}
	soft, _, _ := strings.Cut(limits, " ")
	if soft == "unlimited" {
		return Check{
			Name: name, Status: OK, Value: soft,
			Detail: "threads other than the main one then get glibc's 2 MiB",
		}
	}
	bytes, err := strconv.ParseUint(soft, 10, 64)
	if err != nil {
		return notAvailable(name, fmt.Errorf("self/limits: Max stack size is %.40q", limits))
	}
	c := Check{Name: name, Status: OK, Value: size(bytes), Facts: map[string]any{"stack_bytes": bytes}}
	if bytes < leastStack {
		c.Status = Warn
		c.Detail = "deep recursion while compiling a model may crash"
		c.Remedy = "ulimit -s 8192"
	}
	return c
}

// clockCheck wants a source that the vDSO reads: with others every time stamp
// is a system call of up to a microsecond.
func clockCheck(h host) Check {
	const name = "clock source"
	const folder = "devices/system/clocksource/clocksource0/"
	source, err := text(h.sys, folder+"current_clocksource")
	if err == nil && source == "" {
		err = fmt.Errorf("%scurrent_clocksource: empty", folder)
	}
	if err != nil {
		return notAvailable(name, err)
	}
	c := Check{Name: name, Status: OK, Value: source}
	switch source {
	case "tsc", "kvm-clock", "hyperv_clocksource_tsc_page":
		return c
	}
	c.Status = Warn
	c.Detail = "reading it is a system call, which every time stamp pays"
	c.Remedy = "boot with clocksource=tsc if the processor's counter is stable"
	if others, err := text(h.sys, folder+"available_clocksource"); err == nil {
		c.Detail += "; available: " + others
	}
	return c
}
