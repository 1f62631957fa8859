"""Loads a changed build of vLLM's csrc kernels into this process.

A variant is a library whose ops are registered over vLLM's own, the newest
registration of an (op, dispatch key) winning, or files that stand in for whole
extension modules.
"""

import ctypes
import hashlib
import importlib.machinery
import importlib.util
import os
import sys

UNKNOWN = (1 << 64) - 1  # an op that the library does not count


def replace_modules(variant):
    """Makes imports of the variant's modules find its files. vLLM must not have
    been imported yet: a module that is loaded stays."""
    modules = (variant or {}).get("modules") or {}
    for name, path in modules.items():
        check_hash(variant, path)
        if name in sys.modules:
            raise RuntimeError(f"module {name} is loaded already")
    if modules:
        sys.meta_path.insert(0, Finder(modules))


class Finder:
    def __init__(self, modules):
        self.modules = modules

    def find_spec(self, name, path=None, target=None):
        file = self.modules.get(name)
        if file is None:
            return None
        loader = importlib.machinery.ExtensionFileLoader(name, file)
        return importlib.util.spec_from_file_location(name, file, loader=loader)


def load(variant):
    """Loads the variant's library over vLLM's own modules; None for stock."""
    if not variant:
        return None
    import torch
    import vllm._custom_ops  # noqa: F401
    from vllm.platforms import current_platform

    current_platform.import_kernels()
    library = variant.get("library")
    if library:
        check_hash(variant, library)
        torch.ops.load_library(library)
    return Loaded(variant)


class Loaded:
    def __init__(self, variant):
        self.name = variant["name"]
        self.ops = variant.get("ops") or []
        self.files = [f for f in [variant.get("library"), *(variant.get("modules") or {}).values()] if f]
        self.counter = None
        if variant.get("library"):
            library = ctypes.CDLL(variant["library"])
            self.counter = getattr(library, "stepbench_override_calls", None)
        if self.counter is not None:
            self.counter.argtypes = [ctypes.c_char_p]
            self.counter.restype = ctypes.c_ulonglong

    def describe(self):
        """What is mapped into the process now."""
        mapped = set()
        with open("/proc/self/maps") as maps:
            for line in maps:
                if "/" in line:
                    mapped.add(line[line.find("/") :].strip())
        files = [os.path.realpath(f) for f in self.files]
        return {
            "name": self.name,
            "files": [
                {"name": os.path.basename(f), "path": f, "sha256": sha256(f)} for f in files if f in mapped
            ],
            "ops": self.ops,
        }

    def calls(self):
        if self.counter is None:
            return {}
        counts = {op: self.counter(op.encode()) for op in self.ops}
        return {op: n for op, n in counts.items() if n != UNKNOWN}


def check_hash(variant, path):
    want, got = (variant.get("sha256") or {}).get(path), sha256(path)
    if want and want != got:
        raise RuntimeError(
            f"variant {variant['name']}: {path} is not the file that was built "
            f"(sha256 {got[:12]}, its manifest says {want[:12]}): build it again"
        )


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
