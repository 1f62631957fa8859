"""Loads a library and prints the ops that have a kernel for the given dispatch key."""

import json
import sys

import torch
import vllm._custom_ops  # noqa: F401
from vllm.platforms import current_platform

library, key, *ops = sys.argv[1:]
current_platform.import_kernels()
torch.ops.load_library(library)
print(json.dumps([op for op in ops if torch._C._dispatch_has_kernel_for_dispatch_key(op, key)]))
