"""Which CUDA graph ran, as the dispatchers of both model runners answer."""

import unittest
from enum import Enum
from types import SimpleNamespace as Bag

from stepbench_adapter import graphs


class Mode(Enum):  # CUDAGraphMode in vllm/config/compilation.py
    NONE = 0
    PIECEWISE = 1
    FULL = 2


def executor(**runner):
    return Bag(driver_worker=Bag(worker=Bag(model_runner=Bag(**runner))))


class V1:
    def dispatch(self, num_tokens, invalid_modes=None):
        mode = Mode.PIECEWISE if invalid_modes else Mode.FULL if num_tokens <= 8 else Mode.NONE
        return mode, Bag(num_tokens=8 if mode != Mode.NONE else num_tokens)


class V2:
    def dispatch(self, num_reqs, num_tokens, uniform_token_count, num_active_loras):
        return Bag(cg_mode=Mode.PIECEWISE, num_tokens=16, num_reqs=None)


class Watch(unittest.TestCase):
    def cells(self, where):
        cells = [0, 0]
        graphs.watch(where, cells, 0, 1)
        return cells

    def test_v1_answers_a_pair(self):
        d = V1()
        cells = self.cells(executor(cudagraph_dispatcher=d))
        self.assertEqual(d.dispatch(5)[0], Mode.FULL)
        self.assertEqual(cells, [graphs.MODES["FULL"], 8])

    def test_the_first_answer_of_a_step_counts(self):
        d = V1()
        cells = self.cells(executor(cudagraph_dispatcher=d))
        d.dispatch(9)
        d.dispatch(5, invalid_modes={Mode.FULL})
        self.assertEqual(cells, [graphs.MODES["NONE"], 9])
        cells[:] = 0, 0  # as before every step
        d.dispatch(5, invalid_modes={Mode.FULL})
        self.assertEqual(cells, [graphs.MODES["PIECEWISE"], 8])

    def test_v2_answers_a_descriptor(self):
        d = V2()
        cells = self.cells(executor(cudagraph_manager=d))
        d.dispatch(1, 9, None, num_active_loras=0)
        self.assertEqual(cells, [graphs.MODES["PIECEWISE"], 16])

    def test_without_a_dispatcher_nothing_is_known(self):
        for where in (
            Bag(),
            executor(),
            executor(cudagraph_manager=None),
            executor(cudagraph_dispatcher=Bag(dispatch=None)),
        ):
            self.assertEqual(self.cells(where), [0, 0])

    def test_an_answer_of_another_shape_is_not_known(self):
        for answer in (
            None,
            7,
            (Mode.FULL,),
            (Mode.FULL, Bag()),
            (Bag(name="LATER"), Bag(num_tokens=8)),
            Bag(num_tokens=8),
        ):
            d = Bag(dispatch=lambda answer=answer: answer)
            cells = self.cells(executor(cudagraph_dispatcher=d))
            self.assertEqual((d.dispatch(), cells), (answer, [0, 0]))


if __name__ == "__main__":
    unittest.main()
