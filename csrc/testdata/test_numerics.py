"""Driving the engine for logprobs: what is asked, what is answered and what is left behind."""

import base64
import math
import os
import struct
import sys
import unittest
from types import SimpleNamespace as Bag
from unittest import mock

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "fake"))

from stepbench_adapter import numerics

VOCAB = 100


class Flat:
    """The parts of vllm.logprobs.FlatLogprobs that are read."""

    def __init__(self, positions):
        self.start_indices, self.end_indices, self.token_ids, self.logprobs = [], [], [], []
        for pairs in positions:
            self.start_indices.append(len(self.token_ids))
            for token, logprob in pairs:
                self.token_ids.append(token)
                self.logprobs.append(logprob)
            self.end_indices.append(len(self.token_ids))


class Engine:
    """Finishes one request a step. A token t is followed by t+1, with logprob -t."""

    def __init__(self):
        config = Bag(logprobs_mode="raw_logprobs", get_vocab_size=lambda: VOCAB)
        self.vllm_config = Bag(model_config=config)
        self.waiting, self.aborted, self.lost, self.breaks_at = [], [], False, None

    def has_unfinished_requests(self):
        return bool(self.waiting)

    def add_request(self, request_id, prompt, params):
        if 13 in prompt["prompt_token_ids"]:
            raise ValueError("refused")
        self.waiting.append((request_id, prompt["prompt_token_ids"], params))

    def abort_request(self, ids):
        self.aborted += ids
        self.waiting = [w for w in self.waiting if w[0] not in ids]

    def step(self):
        if self.lost:
            return []
        if self.breaks_at == len(self.waiting):
            raise RuntimeError("the kernel failed")
        request_id, tokens, params = self.waiting.pop()
        width = params.get("prompt_logprobs") or params.get("logprobs")
        rows = [[]] + [[(t, -float(t)), *self.top(t, width)] for t in tokens[1:]]
        out = [tokens[-1] + 1 + i for i in range(params["max_tokens"])]
        flat = Flat([[(t, -float(t)), *self.top(t, width)] for t in out])
        return [
            Bag(
                request_id=request_id, finished=True, prompt_logprobs=Flat(rows), outputs=[Bag(logprobs=flat)]
            )
        ]

    def top(self, token, width):
        return [(token + k, -float(token) - k) for k in range(width)]


class Session:
    def __init__(self):
        self.engine, self.filled = Engine(), 0
        self.counters = [9] * 24
        self.limits = None

    def step(self):
        return self.engine.step()

    def after(self):
        self.filled += 1
        self.counters[numerics.INDEX["ctx_reqs"]] = 0 if self.engine.lost else 1

    def set_limits(self, *limits):
        self.limits = limits


def floats(text):
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // 8}d", data))


class Run(unittest.TestCase):
    def setUp(self):
        stub = Bag(RequestOutputKind=Bag(FINAL_ONLY="final"), SamplingParams=dict)
        patch = mock.patch.dict(sys.modules, {"vllm.sampling_params": stub})
        patch.start()
        self.addCleanup(patch.stop)
        self.session = Session()
        self.engine = self.session.engine

    def test_generate_answers_in_the_order_of_the_prompts(self):
        got = numerics.run(self.session, "generate", [[1, 2], [5]], top_k=2, max_tokens=2)
        first, second = got["sequences"]
        self.assertEqual((first["tokens"], second["tokens"]), ([3, 4], [6, 7]))
        self.assertEqual(first["top"], [3, 4, 4, 5])
        self.assertEqual(floats(first["logprobs"]), [-3.0, -4.0])
        self.assertEqual(floats(first["top_logprobs"]), [-3.0, -4.0, -4.0, -5.0])
        self.assertEqual(got["steps"], [[1, 0, 0, 0, 0]] * 2)
        self.assertEqual((self.session.filled, self.session.limits), (2, (0, 0)))

    def test_generation_is_greedy_and_of_exact_length(self):
        with mock.patch.object(numerics, "drive", return_value=([], [])) as drive:
            numerics.run(self.session, "generate", [], top_k=5, max_tokens=7)
        params = drive.call_args.args[2]
        self.assertEqual(
            (params["temperature"], params["max_tokens"], params["ignore_eos"], params["logprobs"]),
            (0, 7, True, 5),
        )
        self.assertEqual((params["detokenize"], params["skip_reading_prefix_cache"]), (False, True))

    def test_score_answers_for_the_continuation_alone(self):
        args = {"prompts": [[1, 2], [5]], "continuations": [[30, 40], [50, 60]]}
        first, second = numerics.run(self.session, "score", top_k=1, **args)["sequences"]
        self.assertEqual((first["tokens"], second["tokens"]), ([30, 40], [50, 60]))
        self.assertEqual(floats(first["logprobs"]), [-30.0, -40.0])

    def test_refusals(self):
        cases = (
            ("mode", {"mode": "guess", "prompts": [[1]]}, "no mode 'guess'"),
            ("vocabulary", {"mode": "generate", "prompts": [[1], [VOCAB]]}, "prompt 1 has a token outside"),
            ("negative", {"mode": "generate", "prompts": [[-1]]}, "prompt 0 has a token outside"),
            (
                "continuation",
                {"mode": "score", "prompts": [[1]], "continuations": [[VOCAB]]},
                "prompt 0 has a token",
            ),
            ("lengths", {"mode": "score", "prompts": [[1]], "continuations": []}, "shorter"),
        )
        for name, args, text in cases:
            with self.subTest(name), self.assertRaisesRegex(ValueError, text):
                numerics.run(self.session, top_k=1, **args)
        self.assertFalse(self.engine.waiting)

    def test_the_answer_says_what_its_values_are(self):
        for mode, kind in (("raw_logprobs", "logprobs"), ("raw_logits", "logits")):
            self.engine.vllm_config.model_config.logprobs_mode = mode
            self.assertEqual(numerics.run(self.session, "generate", [[1]], top_k=1)["kind"], kind)

    def test_other_requests_in_flight_are_refused_and_stay(self):
        self.engine.waiting = [("7", [1], {})]
        with self.assertRaisesRegex(RuntimeError, "in flight"):
            numerics.run(self.session, "generate", [[1]], top_k=1)
        self.assertEqual(len(self.engine.waiting), 1)

    def test_nothing_stays_behind(self):
        cases = (
            ("a refused prompt", [[1], [2], [13]], {}, ["numerics-0", "numerics-1", "numerics-2"]),
            ("a step that fails", [[1], [2]], {"breaks_at": 1}, ["numerics-0"]),
            ("requests that got lost", [[1]], {"lost": True}, ["numerics-0"]),
        )
        for name, prompts, faults, aborted in cases:
            with self.subTest(name):
                session = Session()
                vars(session.engine).update(faults)
                with self.assertRaises((ValueError, RuntimeError)):
                    numerics.run(session, "generate", prompts, top_k=1)
                self.assertEqual((session.engine.aborted, session.engine.waiting), (aborted, []))

    def test_the_probe_is_emptied_after_a_step_that_fails(self):
        self.engine.breaks_at = 1
        with self.assertRaisesRegex(RuntimeError, "kernel failed"):
            numerics.run(self.session, "generate", [[1]], top_k=1)
        self.assertEqual(self.session.filled, 1)


class Bits(unittest.TestCase):
    def test_every_float_survives(self):
        values = [-0.0, -1.401298464324817e-45, -0.1, math.inf, -math.inf]
        self.assertEqual(floats(numerics.bits(values)), values)
        self.assertTrue(math.isnan(floats(numerics.bits([math.nan]))[0]))

    def test_a_missing_logprob_is_noticed(self):
        with self.assertRaisesRegex(RuntimeError, "2 logprobs, want 3"):
            numerics.sequence(Flat([[(1, -1.0), (2, -2.0)]]), 0, 2)


if __name__ == "__main__":
    unittest.main()
