"""What may disturb a measurement: counts since the engine opened, the device's
clock, temperature and power now, and CPU time spent so far. A source that is not
there gives 0."""

import gc
import os
import resource
from time import monotonic_ns, process_time_ns


class Conditions:
    def __init__(self, platform, ranks=None):
        self.ranks = ranks  # of the engine, if they are other processes
        self.measuring = False  # a script runs, with the collector off
        self.collections = 0
        self.compiles = 0
        self.device = nvml_device() if platform == "cuda" else None
        gc.callbacks.append(self._collected)
        self._watch_jit()

    def _collected(self, phase, _info):
        if phase == "stop" and self.measuring:
            self.collections += 1

    def _watch_jit(self):
        """vLLM's monitor sees kernels that are compiled after warm-up."""
        try:
            from vllm.utils import jit_monitor
        except ImportError:
            return
        inner = getattr(jit_monitor, "_handle_jit_event", None)
        if inner is None:
            return

        def counted(*args, **kwargs):
            self.compiles += 1
            return inner(*args, **kwargs)

        jit_monitor._handle_jit_event = counted

    def now(self):
        clock, temperature, watts = self.device() if self.device else (0, 0, 0)
        return {
            "at_ns": monotonic_ns(),
            "sm_clock_mhz": clock,
            "temperature_c": temperature,
            "power_w": watts,
            "process_cpu_ns": process_time_ns() + (self.ranks.cpu_ns() if self.ranks else 0),
            "host_cpu_ns": host_cpu_ns(),
            "host_cpus": os.cpu_count(),
            "collections": self.collections,
            "throttles": throttles(),
            "major_faults": resource.getrusage(resource.RUSAGE_SELF).ru_majflt,
            "compiles": self.compiles,
        }


def host_cpu_ns(stat="/proc/stat"):
    """CPU time that the host's processes spent since it started, of all CPUs
    together, counted in ticks of some 10 ms (proc_stat(5): user, nice, system,
    idle, iowait, irq, softirq)."""
    try:
        with open(stat) as f:
            ticks = [int(n) for n in f.readline().split()[1:8]]
    except OSError:
        return 0
    return (sum(ticks) - sum(ticks[3:5])) * (10**9 // os.sysconf("SC_CLK_TCK"))


def throttles():
    """Periods in which the control group ran out of its CPU quota."""
    for path in ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat"):
        try:
            with open(path) as f:
                for line in f:
                    key, _, value = line.partition(" ")
                    if key == "nr_throttled":
                        return int(value)
        except OSError:
            continue
    return 0


def nvml_device():
    """A function giving (SM clock in MHz, temperature in °C, power in W) of this
    process's device, found by its UUID; None without NVML."""
    try:
        import vllm.third_party.pynvml as nvml
        from vllm.platforms import current_platform

        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(current_platform.get_device_uuid())
        nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)
        nvml.nvmlDeviceGetPowerUsage(handle)
    except Exception:
        return None

    def read():
        return (
            nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            nvml.nvmlDeviceGetPowerUsage(handle) / 1e3,
        )

    return read
