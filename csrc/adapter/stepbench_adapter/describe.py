"""Facts about an open engine, for the manifest of a run."""

import hashlib
import os
import platform
import threading

ENV_PREFIXES = ("VLLM_", "CUDA_", "OMP_", "GOMP_", "KMP_", "TORCH", "NCCL_", "PYTHONHASHSEED", "LD_PRELOAD")


def engine(eng, open_s, ranks=None):
    import torch
    import vllm
    from vllm.platforms import current_platform

    from . import memory
    from .probe import COUNTERS

    config = eng.vllm_config
    model, cache, sched = config.model_config, config.cache_config, config.scheduler_config
    core = eng.engine_core.engine_core
    facts = ranks.ask("facts") if ranks else []
    return {
        "counters": list(COUNTERS),
        "vllm_version": vllm.__version__,
        "torch_version": torch.__version__,
        "python_version": platform.python_version(),
        "platform": current_platform.device_type,
        "device": device_name(current_platform),
        "device_uuid": device_uuid(current_platform),
        "dtype": str(model.dtype).removeprefix("torch."),
        "attention_backend": facts[0]["attention_backend"] if facts else attention_backend(runner(core)),
        "graph_mode": str(getattr(config.compilation_config.cudagraph_mode, "name", "NONE")),
        "max_graph_tokens": getattr(config.compilation_config, "max_cudagraph_capture_size", None) or 0,
        "max_model_len": model.max_model_len,
        "max_num_seqs": sched.max_num_seqs,
        "max_num_batched_tokens": sched.max_num_batched_tokens,
        "vocab_size": model.get_vocab_size(),
        "kv_blocks": cache.num_gpu_blocks or 0,
        "kv_block_size": cache.block_size or 0,
        "async_scheduling": bool(sched.async_scheduling),
        "queued_batches": 0 if getattr(core, "batch_queue", None) is None else core.batch_queue_size,
        "prefix_caching": bool(cache.enable_prefix_caching),
        "gpu_memory_utilization": cache.gpu_memory_utilization,
        "memory": {} if facts else memory.of(worker(core)),
        "open_s": open_s,
        "compile_s": float(getattr(config.compilation_config, "compilation_time", 0.0)),
        "modules": facts[0]["modules"] if facts else loaded_modules(),
        "ranks": facts,
        "python_threads": threads(),
        "env": {k: v for k, v in sorted(os.environ.items()) if k.startswith(ENV_PREFIXES)},
    }


def platform_name():
    """cpu or cuda."""
    from vllm.platforms import current_platform

    return current_platform.device_type


def device_name(platform_):
    if platform_.device_type == "cpu":
        return cpu_model() or platform.processor() or platform.machine()
    return platform_.get_device_name()


def device_uuid(platform_):
    return platform_.get_device_uuid() if platform_.device_type == "cuda" else ""


def cpu_model():
    try:
        with open("/proc/cpuinfo") as f:
            for line in f:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""


def worker(core):
    """The worker in this process; None where the workers are others."""
    return getattr(getattr(core.model_executor, "driver_worker", None), "worker", None)


def runner(core):
    return getattr(worker(core), "model_runner", None)


def attention_backend(runner):
    """Name of the backend of the first attention layer."""
    for group in getattr(runner, "attn_groups", None) or []:
        for part in group:
            return part.backend.get_name()
    return ""


def loaded_modules():
    import vllm

    return modules(os.path.realpath(os.path.dirname(vllm.__file__)))  # as maps have it


def modules(package):
    """The package's extension modules that are mapped into this process: what
    was really loaded, not what could have been."""
    paths = set()
    with open("/proc/self/maps") as maps:
        for line in maps:
            path = line[line.find("/") :].strip() if "/" in line else ""
            if path.startswith(package + os.sep) and path.endswith(".so"):
                paths.add(path)
    return [{"name": os.path.relpath(p, package), "path": p, "sha256": sha256(p)} for p in sorted(paths)]


def sha256(path):
    with open(path, "rb") as f:
        return (
            hashlib.file_digest(f, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else (hashlib.sha256(f.read()).hexdigest())
        )


def threads():
    return sorted(t.name for t in threading.enumerate())
