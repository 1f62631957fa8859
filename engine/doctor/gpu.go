package doctor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// leastFreeShare is vLLM's default gpu_memory_utilization, the share of a GPU's
// memory that must be free when an engine starts (vllm/config/cache.py).
const leastFreeShare = 0.92

// gpuChecks judge the driver, then each device. build is the installed vLLM's;
// only a CUDA build needs either.
func gpuChecks(s gpuState, err error, h host, build, torchCUDA string) []Check {
	driver := driverCheck(s, err, h, build, torchCUDA)
	checks := []Check{driver}
	for i, g := range s.gpus {
		checks = append(checks, gpuCheck(i, g, build))
	}
	return checks
}

func driverCheck(s gpuState, err error, h host, build, torchCUDA string) Check {
	const name = "nvidia driver"
	c := Check{Name: name, Status: OK, Value: s.driver, Facts: map[string]any{"gpus": len(s.gpus)}}
	switch {
	case err != nil:
		c = notAvailable(name, err)
		if errors.Is(err, errNoDriver) {
			c.Value = "none"
		}
	case s.driver == "":
		c.Value = "version " + NotAvailable
	default:
		c.Facts["version"] = s.driver
	}
	if err == nil {
		c.Detail = plural(len(s.gpus), "GPU")
		if s.cuda != "" {
			c.Detail += ", supports CUDA " + s.cuda
			c.Facts["cuda"] = s.cuda
		}
	}
	if build == "cpu" {
		c.Detail += "; the CPU build of vLLM does without"
	}
	if build != "cuda" {
		return c
	}
	visible, hidden := h.env("CUDA_VISIBLE_DEVICES")
	switch {
	case err != nil:
		c.Status = Fail
		c.Detail += "; the CUDA build of vLLM needs one"
		c.Remedy = "install the NVIDIA driver, or set up vLLM's CPU build: STEPBENCH_DEVICE=cpu make setup"
	case len(s.gpus) == 0:
		c.Status = Fail
		c.Remedy = "give the container a GPU (docker run --gpus all), or set up vLLM's CPU build: STEPBENCH_DEVICE=cpu make setup"
	case hidden && (visible == "" || strings.HasPrefix(visible, "-1")):
		c.Status = Fail
		c.Detail += fmt.Sprintf(", hidden by CUDA_VISIBLE_DEVICES=%q", visible)
		c.Remedy = "unset CUDA_VISIBLE_DEVICES, or name a device in it"
	case olderMajor(s.cuda, torchCUDA):
		c.Status = Warn
		c.Detail += ", torch was built for CUDA " + torchCUDA
		c.Remedy = "install a newer driver, or NVIDIA's forward compatibility package (cuda-compat)"
	case hidden:
		c.Detail += ", CUDA_VISIBLE_DEVICES=" + visible
	}
	return c
}

// olderMajor: within a major version CUDA programs run on older drivers.
func olderMajor(driver, torch string) bool {
	a, err1 := strconv.Atoi(strings.SplitN(driver, ".", 2)[0])
	b, err2 := strconv.Atoi(strings.SplitN(torch, ".", 2)[0])
	return err1 == nil && err2 == nil && a < b
}

func gpuCheck(index int, g gpu, build string) Check {
	c := Check{Name: fmt.Sprintf("gpu %d", index), Status: OK, Value: g.name, Facts: map[string]any{"index": index}}
	if g.name == "" {
		c.Value = "name " + NotAvailable
	}
	var details []string
	add := func(known bool, key string, fact any, format string, args ...any) {
		if known {
			c.Facts[key] = fact
			details = append(details, fmt.Sprintf(format, args...))
		}
	}
	add(g.uuid != "", "uuid", g.uuid, "%s", g.uuid)
	add(g.capability != "", "compute_capability", g.capability, "compute capability %s", g.capability)
	if g.totalBytes != nil && g.freeBytes != nil {
		c.Facts["memory_total_bytes"], c.Facts["memory_free_bytes"] = *g.totalBytes, *g.freeBytes
		details = append(details, fmt.Sprintf("%s free of %s", size(*g.freeBytes), size(*g.totalBytes)))
	} else {
		details = append(details, "memory "+NotAvailable)
	}
	if g.smMHz != nil {
		clocks := fmt.Sprintf("SM %d MHz", *g.smMHz)
		if g.smMaxMHz != nil {
			clocks += fmt.Sprintf(" of %d", *g.smMaxMHz)
			c.Facts["sm_clock_max_mhz"] = *g.smMaxMHz
		}
		add(true, "sm_clock_mhz", *g.smMHz, "%s", clocks)
	}
	if g.memoryMHz != nil {
		add(true, "memory_clock_mhz", *g.memoryMHz, "memory %d MHz", *g.memoryMHz)
	}
	if g.persistence != nil {
		add(true, "persistence_mode", *g.persistence, "persistence %s", onOff(*g.persistence))
	}
	if g.mig != nil {
		add(true, "mig_mode", *g.mig, "MIG %s", onOff(*g.mig))
	}
	if build == "cpu" {
		details = append(details, "not used by the CPU build of vLLM")
	}
	c.Detail = strings.Join(details, ", ")
	if build == "cuda" && g.totalBytes != nil && g.freeBytes != nil && float64(*g.freeBytes) < leastFreeShare*float64(*g.totalBytes) {
		c.Status = Warn
		c.Remedy = fmt.Sprintf("end what uses this GPU's memory, or lower gpu_memory_utilization: vLLM wants %.0f %% free", leastFreeShare*100)
	}
	return c
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
