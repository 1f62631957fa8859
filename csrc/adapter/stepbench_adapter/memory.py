"""What vLLM says its memory went to when it opened, for a rank."""


def of(worker):
    """Bytes, by the names of engine.Memory; vLLM's own figures are those that
    vllm/v1/worker/gpu_worker.py keeps when it sizes the KV cache, and are left out
    where it does not, as on a CPU or with a cache of a given size."""
    runner = getattr(worker, "model_runner", None)
    start = getattr(worker, "init_snapshot", None)
    figures = {
        "total_bytes": getattr(start, "total_memory", 0),
        "free_at_start_bytes": getattr(start, "free_memory", 0),
        "requested_bytes": getattr(worker, "requested_memory", 0),
        "weights_bytes": getattr(runner, "model_memory_usage", 0),
        "parameter_bytes": parameter_bytes(runner),
        "peak_activation_bytes": getattr(worker, "peak_activation_memory", 0),
        "non_torch_bytes": getattr(worker, "non_torch_memory", 0),
        "graph_estimate_bytes": getattr(worker, "cudagraph_memory_estimate", 0),
        "available_kv_bytes": getattr(worker, "available_kv_cache_memory_bytes", 0),
        "kv_cache_bytes": kv_cache_bytes(runner),
        "used_bytes": used_bytes(getattr(worker, "device", None)),
    }
    return {name: int(value) for name, value in figures.items() if value}


def parameter_bytes(runner):
    """Of the model's parameters and buffers, each storage once: tied embeddings are
    one."""
    model = runner.get_model() if hasattr(runner, "get_model") else None
    if not hasattr(model, "parameters"):
        return 0
    storages = {}
    for tensor in (*model.parameters(), *model.buffers()):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def kv_cache_bytes(runner):
    config = getattr(runner, "kv_cache_config", None)
    return sum(tensor.size for tensor in getattr(config, "kv_cache_tensors", None) or [])


def used_bytes(device):
    """Of the device, by whomever, now that the engine is open and its graphs are
    captured."""
    if getattr(device, "type", "") != "cuda":
        return 0
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return total - free
