"""Which CUDA graph a step ran and on how many tokens, padding included.

vLLM decides it once per step, in a dispatcher of the model runner: V1's is
CudagraphDispatcher.dispatch (vllm/v1/cudagraph_dispatcher.py), V2's
CudaGraphManager.dispatch (vllm/v1/worker/gpu/cudagraph_utils.py). Its answer is
read there, because SchedulerStats.cudagraph_stats exists under V1 only and needs
cudagraph_metrics. Where neither is found, or the workers are other processes, the
counters stay 0: not known.
"""

MODES = {"NONE": 1, "PIECEWISE": 2, "FULL": 3}


def watch(executor, cells, mode, padded):
    """Writes each step's mode and padded tokens into those cells."""
    owner = dispatcher(executor)
    if owner is None:
        return
    inner = owner.dispatch

    def dispatch(*args, **kwargs):
        answer = inner(*args, **kwargs)
        # The first answer of a step is the whole model's; V1 asks again for the
        # layers after those that share their KV cache.
        if not cells[mode]:
            cells[mode], cells[padded] = read(answer)
        return answer

    owner.dispatch = dispatch


def dispatcher(executor):
    worker = getattr(executor, "driver_worker", None)
    runner = getattr(getattr(worker, "worker", None), "model_runner", None)
    for name in ("cudagraph_manager", "cudagraph_dispatcher"):
        owner = getattr(runner, name, None)
        if callable(getattr(owner, "dispatch", None)):
            return owner
    return None


def read(answer):
    """(mode, tokens) of V1's pair (CUDAGraphMode, BatchDescriptor) or V2's
    BatchExecutionDescriptor; (0, 0) of anything else."""
    if isinstance(answer, tuple) and len(answer) == 2:
        kind, shape = answer
    else:
        kind, shape = getattr(answer, "cg_mode", None), answer
    code, tokens = MODES.get(getattr(kind, "name", None), 0), getattr(shape, "num_tokens", None)
    return (code, tokens) if code and isinstance(tokens, int) else (0, 0)
