"""What may disturb a measurement: counts since the engine opened, and the
device's clock and temperature now. A source that is not there gives 0."""

import gc
import resource


class Conditions:
    def __init__(self, platform):
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
        clock, temperature = self.device() if self.device else (0, 0)
        return {
            "sm_clock_mhz": clock,
            "temperature_c": temperature,
            "collections": self.collections,
            "throttles": throttles(),
            "major_faults": resource.getrusage(resource.RUSAGE_SELF).ru_majflt,
            "compiles": self.compiles,
        }


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
    """A function giving (SM clock in MHz, temperature in °C) of this process's
    device, found by its UUID; None without NVML."""
    try:
        import vllm.third_party.pynvml as nvml
        from vllm.platforms import current_platform

        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(current_platform.get_device_uuid())
        nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)
    except Exception:
        return None

    def read():
        return (
            nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        )

    return read
