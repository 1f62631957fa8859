"""What counts as which part of a step, on a clock that only the parts move."""

import sys
import unittest
from types import ModuleType
from types import SimpleNamespace as Bag
from unittest import mock

with mock.patch.dict(sys.modules, {n: ModuleType(n) for n in ("vllm", "vllm.v1", "vllm.v1.utils")}):
    sys.modules["vllm.v1.utils"].compute_iteration_details = None
    from stepbench_adapter import probe

clock = 0


def takes(ns, answer=None):
    def part(*_args, **_kwargs):
        global clock
        clock += ns
        return answer

    return part


class IterationStats:
    def __init__(self):
        takes(7)()


class Engine:
    """LLMEngine.step and EngineCore.step in outline."""

    def __init__(self):
        so = Bag(
            scheduled_new_reqs=[],
            scheduled_cached_reqs=Bag(num_output_tokens=[3, 4]),
            num_scheduled_tokens={"a": 1, "b": 1},
            total_num_scheduled_tokens=2,
        )
        self.scheduler = Bag(
            schedule=takes(1_000, so),
            update_from_output=takes(5_000),
            _preempt_request=None,
            max_num_scheduled_tokens=64,
            max_num_running_reqs=8,
            get_request_counts=lambda: (2, 1),
            kv_cache_manager=Bag(usage=0.5),
        )
        self.executor = Bag(execute_model=takes(2_000), sample_tokens=takes(3_000))
        self.engine_core = Bag(
            engine_core=Bag(scheduler=self.scheduler, model_executor=self.executor),
            get_output=self.core_step,
            abort_requests=takes(11),
        )
        self.output_processor = Bag(process_outputs=takes(6_000))
        self.logger_manager = Bag(record=takes(4_000))
        self.do_log_stats_with_interval = takes(13)

    def core_step(self):
        takes(100)()  # has_requests
        so = self.scheduler.schedule()
        future = self.executor.execute_model(so)
        takes(200)()  # the grammar bitmask, contexts
        if future:
            future.result()
        self.executor.sample_tokens(None)
        takes(300)()  # aborts
        self.scheduler.update_from_output(so, None)
        takes(400)()

    def step(self):
        takes(17)()  # in no part
        self.engine_core.get_output()
        IterationStats()
        self.output_processor.process_outputs()
        self.engine_core.abort_requests([])
        self.logger_manager.record()
        self.do_log_stats_with_interval()


class Future:
    """Of ranks in other processes, asked at the call and done when waited for."""

    def done(self):
        return False

    def result(self):
        takes(7_000)()


class Parts(unittest.TestCase):
    def setUp(self):
        patch = mock.patch.object(probe, "monotonic_ns", lambda: clock)
        patch.start()
        self.addCleanup(patch.stop)
        original = globals()["IterationStats"]
        self.addCleanup(globals().__setitem__, "IterationStats", original)

    def test_parts_and_composition(self):
        engine = Engine()
        p = probe.Probe(engine)
        for _ in range(2):  # nothing of a step is left to the next
            p.cells[:] = type(p.cells)("q", [0] * len(p.cells))
            start = clock
            engine.step()
            p.fill()
            got = {name: p.cells[i] for name, i in probe.INDEX.items()}
            self.assertEqual(
                got,
                {
                    "schedule_ns": 1_000,
                    "execute_ns": 2_000,
                    "sample_ns": 3_000,
                    "update_ns": 5_000,
                    "output_ns": 6_000 + 11,
                    "stats_ns": 4_000 + 7 + 13,
                    "core_ns": 100 + 200 + 300 + 400,
                    "ctx_reqs": 0,
                    "ctx_tokens": 0,
                    "gen_reqs": 2,
                    "gen_tokens": 2,
                    "running": 2,
                    "waiting": 1,
                    "preempted": 0,
                    "token_budget": 64,
                    "seq_budget": 8,
                    "kv_usage_ppb": 500_000_000,
                    "graph_mode": 0,
                    "padded_tokens": 0,
                },
            )
            parts = sum(v for name, v in got.items() if name.endswith("_ns"))
            self.assertEqual(clock - start - parts, 17)

    def test_waiting_for_ranks_is_execution(self):
        engine = Engine()
        engine.executor.execute_model = takes(2_000, Future())
        p = probe.Probe(engine)
        engine.step()
        got = {name: p.cells[i] for name, i in probe.INDEX.items()}
        self.assertEqual((got["execute_ns"], got["core_ns"]), (9_000, 1_000))

    def test_with_batches_in_flight_a_call_waits_for_an_earlier_one(self):
        engine = Engine()
        engine.engine_core.engine_core.batch_queue = []
        engine.executor.execute_model = takes(2_000, Future())
        p = probe.Probe(engine)
        engine.step()
        self.assertEqual(p.cells[probe.INDEX["execute_ns"]], 2_000)


if __name__ == "__main__":
    unittest.main()
