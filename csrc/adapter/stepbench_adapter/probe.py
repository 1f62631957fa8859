"""Times the parts of LLMEngine.step and learns what each step was made of.

The parts are wrapped on the instances after the engine is built; vLLM resolves
them per call (vllm/v1/engine/core.py, EngineCore.step, and llm_engine.py,
LLMEngine.step). A wrapper adds two clock reads and one addition. Composition is
computed after the step, outside its wall time, from the SchedulerOutput that
update_from_output was given.

What EngineCore does between its parts is a part of its own, "core": whether there
are requests, the grammar bitmask, the contexts for iteration details and errors,
the queue of aborts. Each is too short to wrap alone, so it is timed from the stamp
that ends one part to the stamp that begins the next, within EngineCore only. It is
no remainder of the step: what LLMEngine.step does outside its parts stays
unaccounted for.
"""

import sys
from array import array
from time import monotonic_ns

from vllm.v1.utils import compute_iteration_details

from . import graphs

# The order is the ABI between this module and package engine, which compares it
# at open. Durations in ns; kv_usage_ppb is parts per billion of the KV blocks.
COUNTERS = (
    "schedule_ns",
    "execute_ns",
    "sample_ns",
    "update_ns",
    "output_ns",
    "stats_ns",
    "ctx_reqs",
    "ctx_tokens",
    "gen_reqs",
    "gen_tokens",
    "running",
    "waiting",
    "preempted",
    "token_budget",
    "seq_budget",
    "kv_usage_ppb",
    "core_ns",
    "graph_mode",  # graphs.MODES; 0 where it is not known
    "padded_tokens",  # that the model ran on; 0 where it is not known
)
CELLS = 24  # SB_COUNTERS: room to grow without a new ABI
INDEX = {name: i for i, name in enumerate(COUNTERS)}


def composition(so):
    """(context requests, context tokens, generation requests, generation tokens).

    A request counts as context until it has an output token, chunks included
    (vllm.v1.utils.compute_iteration_details). A step of decodes only, the common
    case, is recognised without walking its requests.
    """
    outputs = so.scheduled_cached_reqs.num_output_tokens
    if not so.scheduled_new_reqs and outputs and min(outputs) > 0:
        return 0, 0, len(so.num_scheduled_tokens), so.total_num_scheduled_tokens
    d = compute_iteration_details(so)
    return (
        d.num_ctx_requests,
        d.num_ctx_tokens,
        d.num_generation_requests,
        d.num_generation_tokens,
    )


class Probe:
    """Installs the wrappers and fills the counters of each step."""

    def __init__(self, engine):
        self.cells = array("q", [0] * CELLS)
        core = engine.engine_core.engine_core
        self.scheduler = core.scheduler
        self.executed = []  # SchedulerOutputs whose results arrived in this step
        self.preempted = 0
        self.base_tokens = self.scheduler.max_num_scheduled_tokens
        self.base_seqs = self.scheduler.max_num_running_reqs
        self.end = 0  # of the last part inside EngineCore

        self._time_core(engine.engine_core)
        self._time_in_core(self.scheduler, "schedule", "schedule_ns")
        self._time_in_core(core.model_executor, "execute_model", "execute_ns")
        if getattr(core, "batch_queue", None) is None:
            self._time_wait(core.model_executor)
        self._time_in_core(core.model_executor, "sample_tokens", "sample_ns")
        self._keep_outputs()
        self._time_in_core(self.scheduler, "update_from_output", "update_ns")
        self._time(engine.output_processor, "process_outputs", "output_ns")
        self._time(engine.engine_core, "abort_requests", "output_ns")
        if engine.logger_manager is not None:
            self._time(sys.modules[type(engine).__module__], "IterationStats", "stats_ns")
            self._time(engine.logger_manager, "record", "stats_ns")
            self._time(engine, "do_log_stats_with_interval", "stats_ns")
        self._watch_preemption()
        graphs.watch(core.model_executor, self.cells, INDEX["graph_mode"], INDEX["padded_tokens"])

    def _time(self, owner, name, counter):
        """Times what LLMEngine.step calls itself."""
        cells, i, inner = self.cells, INDEX[counter], getattr(owner, name)

        def timed(*args, **kwargs):
            start = monotonic_ns()
            try:
                return inner(*args, **kwargs)
            finally:
                cells[i] += monotonic_ns() - start

        setattr(owner, name, timed)

    def _time_core(self, client):
        """Times EngineCore's own code: from its start to its first part, from
        each part to the next, and from the last to its end."""
        cells, i, inner = self.cells, INDEX["core_ns"], client.get_output

        def get_output():
            self.end = monotonic_ns()
            try:
                return inner()
            finally:
                cells[i] += monotonic_ns() - self.end

        client.get_output = get_output

    def _time_in_core(self, owner, name, counter):
        cells, i, between, inner = self.cells, INDEX[counter], INDEX["core_ns"], getattr(owner, name)

        def timed(*args, **kwargs):
            start = monotonic_ns()
            cells[between] += start - self.end
            try:
                return inner(*args, **kwargs)
            finally:
                self.end = end = monotonic_ns()
                cells[i] += end - start

        setattr(owner, name, timed)

    def _time_wait(self, executor):
        """Ranks in other processes are asked and give a future: waiting for it is
        part of the execution."""
        cells, i, between, inner = self.cells, INDEX["execute_ns"], INDEX["core_ns"], executor.execute_model

        def execute_model(*args, **kwargs):
            future = inner(*args, **kwargs)
            if not hasattr(future, "result") or future.done():
                return future
            wait = future.result

            def result(*args, **kwargs):
                start = monotonic_ns()
                cells[between] += start - self.end
                try:
                    return wait(*args, **kwargs)
                finally:
                    self.end = end = monotonic_ns()
                    cells[i] += end - start
                    del future.result  # no cycle for the collector, which is off

            future.result = result
            return future

        executor.execute_model = execute_model

    def _keep_outputs(self):
        """Notes what was executed, for fill. Wrapped before the time is, so that
        the note counts as update."""
        inner, executed = self.scheduler.update_from_output, self.executed

        def update_from_output(scheduler_output, model_output):
            result = inner(scheduler_output, model_output)
            executed.append(scheduler_output)
            return result

        self.scheduler.update_from_output = update_from_output

    def _watch_preemption(self):
        inner = self.scheduler._preempt_request

        def preempt(*args, **kwargs):
            self.preempted += 1
            return inner(*args, **kwargs)

        self.scheduler._preempt_request = preempt

    def set_limits(self, tokens, seqs):
        """Limits of the next schedule(), which reads both attributes each time.

        0 restores the engine's own. seqs must not fall below the requests
        running now: the scheduler asserts that.
        """
        for name, limit, base in (
            ("token", tokens, self.base_tokens),
            ("sequence", seqs, self.base_seqs),
        ):
            if not 0 <= limit <= base:
                raise ValueError(f"{name} limit {limit} is outside 0..{base}")
        self.scheduler.max_num_scheduled_tokens = tokens or self.base_tokens
        self.scheduler.max_num_running_reqs = seqs or self.base_seqs

    def fill(self):
        """Completes the counters of the step that just returned."""
        cells, scheduler = self.cells, self.scheduler
        ctx_reqs = ctx_tokens = gen_reqs = gen_tokens = 0
        for so in self.executed:
            a, b, c, d = composition(so)
            ctx_reqs += a
            ctx_tokens += b
            gen_reqs += c
            gen_tokens += d
        self.executed.clear()
        i = INDEX["ctx_reqs"]
        cells[i], cells[i + 1], cells[i + 2], cells[i + 3] = (
            ctx_reqs,
            ctx_tokens,
            gen_reqs,
            gen_tokens,
        )
        i = INDEX["running"]
        cells[i], cells[i + 1] = scheduler.get_request_counts()
        cells[i + 2], self.preempted = self.preempted, 0
        cells[i + 3] = scheduler.max_num_scheduled_tokens
        cells[i + 4] = scheduler.max_num_running_reqs
        cells[i + 5] = round(scheduler.kv_cache_manager.usage * 1e9)
