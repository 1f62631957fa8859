"""Calls _C::rotary_embedding before and after a variant's library is loaded.

Prints one JSON object: whether the outputs are equal bit by bit, and what the
library counted for an op of its own and for another's.
"""

import ctypes
import json
import sys

import torch
import vllm._custom_ops  # noqa: F401
from vllm.platforms import current_platform


def outputs():
    torch.manual_seed(1)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        cache = torch.randn(128, 64).to(dtype)
        for neox in (True, False):
            query, key = torch.randn(33, 9 * 64).to(dtype), torch.randn(33, 3 * 64).to(dtype)
            torch.ops._C.rotary_embedding(torch.arange(33), query, key, 64, cache, neox)
            results += [query, key]
    return results


current_platform.import_kernels()
stock = outputs()
torch.ops.load_library(sys.argv[1])
library = ctypes.CDLL(sys.argv[1])
calls = library.stepbench_override_calls
calls.restype = ctypes.c_ulonglong
before = calls(b"_C::rotary_embedding")
variant = outputs()
print(
    json.dumps(
        {
            "equal": all(torch.equal(a, b) for a, b in zip(stock, variant, strict=True)),
            "before": before,
            "after": calls(b"_C::rotary_embedding"),
            "unknown": calls(b"_C::silu_and_mul") == 2**64 - 1,
        }
    )
)
