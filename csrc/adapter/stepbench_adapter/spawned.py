"""What comes first in the process of a rank: before it imports vLLM.

multiprocessing hands a new process its _config, and unpickles that before what the
process shall run (multiprocessing/process.py: __init__ sets _config before _target).
What travels in it can therefore act while nothing of vLLM is loaded.
"""

import ctypes
import multiprocessing.process
import multiprocessing.shared_memory
import os
import signal

TAG = "STEPBENCH_TAG"  # see engine/footprint.go
PR_SET_PDEATHSIG = 1

this = None  # the Start of this process; None in the engine's own


class Start:
    def __init__(self, variant):
        self.variant = variant

    def __reduce__(self):  # in the process that starts another
        return begin, (self.variant, os.getpid())


def prepare(variant):
    """For all processes that this one starts."""
    config = multiprocessing.process.current_process()._config
    config["stepbench"] = Start(variant)
    if tag := os.environ.get(TAG):
        config["semprefix"] = "/" + tag
        name_segments(tag)


def begin(variant, parent):
    """In a new process. It must not outlive its parent, which may be killed before
    vLLM watches it; the thread that starts ranks lives as long as the engine."""
    global this
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed already
        os._exit(1)
    from . import variant as variants

    variants.replace_modules(variant)
    if tag := os.environ.get(TAG):
        name_segments(tag)
    this = Start(variant)
    return this


def name_segments(tag):
    """Shared memory gets names by which it can be found when nobody is left to
    remove it."""
    multiprocessing.shared_memory._SHM_NAME_PREFIX = "/" + tag
