"""The ranks of an engine on a Ray cluster (vllm/v1/executor/ray_executor_v2.py).

vLLM notices when one dies, ends the others and says so in its log. But a step that waits
for the answer of a rank on another host goes on waiting, as long as a step may take.
"""

import time

from . import ranks

LOOK_S = 1.0  # how often a waiting step looks whether a rank has died


def of(executor):
    """None where there is no Ray, or vLLM's older executor, in which Ray raises."""
    return RayRanks(executor) if hasattr(executor, "ray_worker_handles") else None


class RayRanks(ranks.Watched):
    def __init__(self, executor):
        self.executor = executor
        self.shut_down = executor.shutdown
        executor.shutdown = self.shutdown
        for queue in executor.response_mqs:
            queue.dequeue = self.attentive(queue.dequeue)

    def shutdown(self):
        """vLLM calls it when a rank has died, before it ends the others."""
        if self.executor.is_failed and not self.died:
            self.died = ", ".join(self.dead())
        self.shut_down()

    def dead(self):
        import ray

        hosts = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}
        for handle in self.executor.ray_worker_handles:
            ended, _ = ray.wait([handle.run_ref], timeout=0)
            if ended:
                host = hosts.get(handle.node_id, handle.node_id)
                yield f"rank {handle.rank} on Ray node {host} {why(ray, handle)}"

    def attentive(self, dequeue):
        def look(timeout=None, indefinite=False):
            until = None if timeout is None else time.monotonic() + timeout
            while True:
                left = LOOK_S if until is None else min(LOOK_S, until - time.monotonic())
                try:
                    return dequeue(max(left, 0), indefinite)
                except TimeoutError:
                    if self.died:
                        raise RuntimeError("the step has no answer") from None
                    if until is not None and time.monotonic() >= until:
                        raise

        return look


def why(ray, handle):
    """Ray's reason is the first line of its error."""
    try:
        ray.get(handle.run_ref, timeout=1)
    except Exception as error:
        lines = str(error).strip().splitlines()
        return f"ended ({lines[0]})" if lines else "ended"
    return "ended"
