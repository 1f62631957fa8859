"""A step of an engine on a Ray cluster ends when a rank does, and says which."""

import threading
import time
import unittest
from types import SimpleNamespace as Bag
from unittest import mock

from stepbench_adapter import rayranks


class Queue:
    """vLLM's MessageQueue, as a reader on another host has it."""

    def __init__(self):
        self.answer = threading.Event()

    def dequeue(self, timeout=None, indefinite=False):
        if not self.answer.wait(timeout):
            raise TimeoutError
        return "answer"


class Executor:
    def __init__(self):
        self.ray_worker_handles = [Bag(rank=i, run_ref=f"run{i}", node_id=f"node{i}") for i in range(2)]
        self.response_mqs = [Queue(), Queue()]
        self.is_failed = False
        self.ended = 0

    def shutdown(self):
        self.ended += 1


class Ray:
    """A cluster on which rank 1 has died."""

    def nodes(self):
        return [{"NodeID": "node1", "NodeManagerAddress": "10.0.0.2"}]

    def wait(self, refs, timeout):
        return [r for r in refs if r == "run1"], []

    def get(self, ref, timeout):
        raise RuntimeError("The actor died.\n\tclass_name: RayWorkerProc")


class Deaths(unittest.TestCase):
    def setUp(self):
        for patch in (mock.patch.dict("sys.modules", ray=Ray()), mock.patch.object(rayranks, "LOOK_S", 0.01)):
            patch.start()
            self.addCleanup(patch.stop)
        self.executor = Executor()
        self.ranks = rayranks.of(self.executor)

    def test_other_executors_are_left_alone(self):
        self.assertIsNone(rayranks.of(Bag(workers=[])))

    def test_a_waiting_step_ends_and_names_the_rank(self):
        def fail():  # vLLM's monitor
            self.executor.is_failed = True
            self.executor.shutdown()

        threading.Timer(0.1, fail).start()
        with self.assertRaisesRegex(
            RuntimeError,
            r"^rank 1 on Ray node 10\.0\.0\.2 ended \(The actor died\.\): the step has no answer$",
        ):
            self.ranks.guard(self.executor.response_mqs[0].dequeue)()
        self.assertEqual(self.executor.ended, 1)

    def test_an_answer_comes_through_however_late(self):
        queue = self.executor.response_mqs[1]
        threading.Timer(0.1, queue.answer.set).start()
        self.assertEqual(queue.dequeue(timeout=60), "answer")
        self.assertEqual(queue.dequeue(), "answer")

    def test_a_limit_holds(self):
        begin = time.monotonic()
        with self.assertRaises(TimeoutError):
            self.executor.response_mqs[0].dequeue(timeout=0.05)
        self.assertGreaterEqual(time.monotonic() - begin, 0.05)

    def test_an_orderly_end_is_no_death(self):
        self.executor.shutdown()
        self.assertEqual((self.executor.ended, self.ranks.died), (1, ""))


if __name__ == "__main__":
    unittest.main()
