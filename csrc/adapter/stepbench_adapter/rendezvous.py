"""Where the ranks of an engine find each other and talk.

vLLM gives torch a TCP port, which listens on all addresses of the machine: whoever
writes there first says where a rank is, and ranks unpickle what they are sent. Here
it is a file in memory that only processes of this user can open. Gloo, which torch
talks through on a CPU, has no other way than ports; they stay on this machine.
"""

import importlib
import os

MODULES = {"uni": "vllm.v1.executor.uniproc_executor", "mp": "vllm.v1.executor.multiproc_executor"}


def private(executor):
    """For the engine that is opened next. Ray's ranks, on other hosts, need the network."""
    name = MODULES.get(executor or "uni")
    if name:
        importlib.import_module(name).get_distributed_init_method = in_memory
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")


def in_memory(_, port):
    """The file stays as long as this process. vLLM takes what follows the last colon
    for the name of memory that ranks share (vllm/v1/worker/cpu_worker.py)."""
    fd = os.memfd_create("stepbench-ranks")
    os.fchmod(fd, 0o600)
    return f"file:///proc/{os.getpid()}/fd/{fd}?name=:{port}"
