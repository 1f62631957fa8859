"""What is asked of vLLM for ranks, and how their answers become one."""

import os
import pickle
import time
import unittest
from multiprocessing import Process
from types import SimpleNamespace as Bag
from unittest import mock

from stepbench_adapter import profile, ranks, session, spawned


class Arguments(unittest.TestCase):
    def args(self, **config):
        return session.engine_args({"model": {"path": "m"}, **config})

    def test_one_device_leaves_vllm_alone(self):
        args = self.args(tp=1, pp=1)
        self.assertFalse(
            {"tensor_parallel_size", "distributed_executor_backend", "worker_extension_cls"} & args.keys()
        )

    def test_several_are_processes_with_our_extension(self):
        args = self.args(tp=2)
        got = [
            args[k]
            for k in ("tensor_parallel_size", "pipeline_parallel_size", "distributed_executor_backend")
        ]
        self.assertEqual(got, [2, 1, "mp"])
        self.assertEqual(args["worker_extension_cls"], "stepbench_adapter.rank.Rank")

    def test_ray_is_passed_on_with_what_the_user_gives_it(self):
        args = self.args(tp=8, pp=2, executor="ray", extra={"ray_workers_use_nsight": True})
        self.assertEqual((args["tensor_parallel_size"], args["pipeline_parallel_size"]), (8, 2))
        self.assertEqual(args["distributed_executor_backend"], "ray")
        self.assertTrue(args["ray_workers_use_nsight"])
        self.assertNotIn("worker_extension_cls", args)


class Collectives(unittest.TestCase):
    def test_names(self):
        for name in (
            "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
            "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(vllm::RankData*)",
            "void flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<>()",
            "_C::shm_allreduce",
            "_C::shm_recv_tensor_list",
            "vllm::all_reduce",
            "gloo:all_reduce",
            "c10d::allgather_",
        ):
            self.assertTrue(profile.collective(name), name)
        for name in (
            "aten::mm",
            "void vllm::act_and_mul_kernel<>",
            "_C::onednn_mm",
            "reduce_kernel",
            "aten::sum",
        ):
            self.assertFalse(profile.collective(name), name)

    def test_sum(self):
        rows = [("aten::mm", 0, 4, 4), ("_C::shm_allreduce", 5, 8, 3)]
        self.assertEqual(profile.summarize("op", rows, [(0, 10)])["collective_ns"], 3)


def executor(answers=()):
    workers = [Bag(proc=Process(target=time.sleep, args=(60,), daemon=True)) for _ in range(2)]
    for w in workers:
        w.proc.start()
    return Bag(workers=workers, collective_rpc=lambda method, args: list(answers))


def end(executor):
    executor.shutting_down = True
    for w in executor.workers:
        w.proc.kill()
        w.proc.join()


class Together(unittest.TestCase):
    def test_no_ranks_in_one_process(self):
        self.assertIsNone(ranks.of(Bag(driver_worker=None)))

    def test_the_table_is_of_the_rank_with_most_work_of_its_own(self):
        def one(total, collective):
            return {"sum_ns": total, "busy_ns": total, "collective_ns": collective, "rows": [total]}

        e = executor([one(100, 80), one(90, 10)])
        self.addCleanup(end, e)
        got = ranks.of(e).stop([])
        self.assertEqual(got["rows"], [90])
        self.assertEqual([r["collective_ns"] for r in got["ranks"]], [80, 10])

    def test_a_dead_rank_ends_the_others_and_is_named(self):
        def step():
            raise RuntimeError("cancelled")

        e = executor()
        self.addCleanup(end, e)
        r = ranks.of(e)
        with self.assertRaisesRegex(RuntimeError, "^cancelled$"):
            r.guard(step)()
        r.processes[1].kill()
        for p in r.processes:
            p.join(30)
            self.assertEqual(p.exitcode, -9)
        with self.assertRaisesRegex(
            RuntimeError, f"^rank 1 .process {r.pids[1]}. was killed by signal 9: cancelled$"
        ):
            r.guard(step)()

    def test_a_rank_killed_while_opening_is_named(self):
        def make(rank):
            return Bag(proc=Bag(pid=50 + rank, exitcode=[-15, -9][rank]))

        vllm = Bag(make_worker_process=make)
        with (
            self.assertRaisesRegex(RuntimeError, "^rank 1 .process 51. was killed by signal 9: failed$"),
            ranks.opening(vllm),
        ):
            for rank in range(2):
                vllm.make_worker_process(rank)
            raise ValueError("failed")
        with self.assertRaisesRegex(ValueError, "^failed$"), ranks.opening(vllm):
            vllm.make_worker_process(0)
            raise ValueError("failed")

    def test_an_orderly_end_is_no_death(self):
        e = executor()
        r = ranks.of(e)
        r.end()
        self.assertEqual([p.exitcode for p in r.processes], [-9, -9])
        self.assertEqual(r.died, "")

    def test_the_least_calls_count(self):
        self.assertEqual(session.fewest([{"a": 3, "b": 2}, {"a": 4, "b": 0}]), {"a": 3, "b": 0})


class CPUTime(unittest.TestCase):
    def test_of_another_process_without_asking_it(self):
        e = executor()
        self.addCleanup(end, e)
        r = ranks.of(e)
        r.pids = [os.getpid()]
        before = r.cpu_ns()
        sum(range(200_000))
        self.assertGreater(r.cpu_ns(), before)
        r.pids = [2**22 + 1]
        self.assertEqual(r.cpu_ns(), 0)


class FirstThing(unittest.TestCase):
    def test_a_new_process_dies_with_its_parent_and_knows_the_variant(self):
        prctl = mock.Mock()
        text = pickle.dumps(spawned.Start({"name": "v"}))
        with (
            mock.patch.object(spawned.ctypes, "CDLL", return_value=prctl),
            mock.patch.object(spawned.os, "getppid", return_value=os.getpid()),
            mock.patch.dict(os.environ, {spawned.TAG: ""}),
        ):
            start = pickle.loads(text)
        prctl.prctl.assert_called_once_with(spawned.PR_SET_PDEATHSIG, 9)
        self.assertEqual(start.variant, {"name": "v"})


if __name__ == "__main__":
    unittest.main()
