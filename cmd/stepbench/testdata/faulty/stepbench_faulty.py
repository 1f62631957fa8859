"""A logits processor that breaks real vLLM on demand.

It does what STEPBENCH_FAULT names: in the first step after the file STEPBENCH_FAULT_AT
exists, or when the engine opens or takes a request.
"""

import contextlib
import ctypes
import os
import struct
import time

import torch
from vllm.v1.sample.logits_processor import LogitsProcessor

REPORTS = 4  # the pipe on which a worker answers
MAGIC = 0x62707473


def raises():
    raise RuntimeError("the sampler broke")


def exits():
    raise SystemExit("the sampler wants to leave")


def dies():
    os._exit(3)


def segfaults():
    ctypes.string_at(8)


def hungry():
    torch.ones(1 << 31)


def garbage():
    os.write(REPORTS, b"not what was agreed on " * 8)
    time.sleep(60)


def half_frame():
    os.write(REPORTS, struct.pack("<II", MAGIC, 1000) + b"half")
    os._exit(0)


def huge_frame():
    os.write(REPORTS, struct.pack("<II", MAGIC, 0xFFFFFFFF))
    time.sleep(60)


def sleeps():
    time.sleep(1)


def clock_jumps():
    """As a correction of the clock would: by an hour, back."""
    now = time.time
    time.time = lambda: now() - 3600


IN_STEP = (raises, exits, dies, segfaults, hungry, garbage, half_frame, huge_frame, sleeps, clock_jumps)


class Faulty(LogitsProcessor):
    seen = 0

    @classmethod
    def validate_params(cls, params):
        cls.seen += 1
        how = {"refuses": ValueError, "submit": RuntimeError}.get(os.environ["STEPBENCH_FAULT"])
        if how and cls.seen == 7:
            raise how("the processor broke")

    def __init__(self, vllm_config, device, is_pin_memory):
        fault = os.environ["STEPBENCH_FAULT"]
        if fault == "open":
            raise RuntimeError("the processor does not open")
        self.break_it = {f.__name__: f for f in IN_STEP}.get(fault)

    def is_argmax_invariant(self):
        return False

    def update_state(self, batch_update):
        pass

    def apply(self, logits):
        if self.break_it:
            # Once: a worker started again after the fault finds no file.
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.environ["STEPBENCH_FAULT_AT"])
                self.break_it()
        return logits
