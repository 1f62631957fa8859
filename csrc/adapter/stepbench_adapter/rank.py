"""One rank of a model that is spread over processes: vLLM mixes Rank into its
worker (worker_extension_cls), and its methods are called in all ranks at once.

vLLM imports this module before it makes the worker, so before it loads the model.
"""

import os
import time

import torch

from . import describe, memory, spawned, variant
from .profile import Profiler

LOADED = variant.load(spawned.this.variant if spawned.this else None)


def mark_groups():
    """vLLM's shared memory between the ranks of a CPU is named by a port; with the
    tag before it, it can be found when no rank is left to remove it."""
    tag = os.environ.get(spawned.TAG)
    try:
        from vllm.distributed.device_communicators.cpu_communicator import _CPUSHMDistributed as group
    except ImportError:
        return
    inner = getattr(group, "make_group_name", None)
    if tag and inner:
        group.make_group_name = staticmethod(lambda communicator: tag + "-" + inner(communicator))


mark_groups()


class Rank:
    def stepbench_facts(self):
        """What stays as it is while the engine is open."""
        from vllm.distributed.parallel_state import get_pp_group, get_tp_group
        from vllm.platforms import current_platform

        cuda = current_platform.device_type == "cuda"
        return {
            "rank": self.rank,
            "tp": get_tp_group().rank_in_group,
            "pp": get_pp_group().rank_in_group,
            "pid": os.getpid(),
            "device": self.device.index or 0 if cuda else self.rank,
            "device_uuid": str(current_platform.get_device_uuid(self.device.index or 0)) if cuda else "",
            "attention_backend": describe.attention_backend(self.model_runner),
            "threads": torch.get_num_threads(),
            "cpus": cpus(),
            "variant": LOADED.describe() if LOADED else None,
            "modules": describe.loaded_modules(),
            "memory": memory.of(self),
        }

    def stepbench_use(self):
        free = total = 0
        if self.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self.device)
        return {
            "rank": self.rank,
            "cpu_ns": time.process_time_ns(),
            "rss_bytes": rss_bytes(),
            "device_used_bytes": total - free,
            "device_reserved_bytes": torch.cuda.memory_reserved(self.device) if total else 0,
        }

    def stepbench_variant_calls(self):
        return LOADED.calls() if LOADED else {}

    def stepbench_ceilings(self, dtype):
        from . import ceilings

        return ceilings.measure(self.device.type, dtype)

    def stepbench_profile_start(self):
        self.stepbench_profiler = Profiler(self.device.type)
        self.stepbench_profiler.start()

    def stepbench_profile_stop(self, windows, events):
        # vLLM takes the output of one rank; the others may be at work when the step returns.
        return self.stepbench_profiler.stop(windows, events, lags=True)


def cpus():
    """Where the rank's OpenMP threads are bound, else where they may run."""
    text = os.environ.get("GOMP_CPU_AFFINITY", "").replace(",", " ")
    if text and all(part.isdigit() for part in text.split()):
        return [int(part) for part in text.split()]
    return sorted(os.sched_getaffinity(0))


def rss_bytes(statm="/proc/self/statm"):
    try:
        with open(statm) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
