"""Runs the shards of a batch as tasks of a Ray cluster.

Reads one line of JSON from standard input, writes one to standard output at its
end, and ends at once when standard input does. Each task runs the command of one
shard on its node. A shard keeps a journal: wherever Ray tries it again, it goes
on where it was stopped.
"""

import collections
import json
import os
import socket
import subprocess
import sys
import threading
import time

# Exit codes of stepbench.
OK, FAILED_ROWS, USAGE, ENVIRONMENT, INTERNAL = 0, 5, 64, 69, 70

CONNECT_S = 30


class Refusal(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def main():
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is log
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_input, daemon=True).start()
    try:
        result = run(job)
    except Refusal as e:
        result = {"exit": e.code, "error": str(e)}
    report.write(json.dumps(result) + "\n")
    report.flush()


def end_with_input():
    sys.stdin.read()
    os._exit(INTERNAL)  # Ray then ends the tasks


def run(job):
    ray = connect(job["address"])
    shards, cpus, gpus = divide(job, [n["Resources"] for n in ray.nodes() if n["Alive"]])
    say(f"{shards} shards as Ray tasks, each with {cpus:g} CPUs and {gpus:g} GPUs")
    # Ray itself tries again when a node or a worker process dies.
    task = ray.remote(
        num_cpus=cpus,
        num_gpus=gpus,
        max_retries=job["retries"],
        retry_exceptions=True,
        scheduling_strategy="SPREAD",
    )(shard)
    running = {task.options(name=f"shard {i}").remote(job, i, shards): i for i in range(shards)}
    failed = {}
    while running:
        (ref,), _ = ray.wait(list(running))
        index = running.pop(ref)
        try:
            code, error = ray.get(ref)
        except ray.exceptions.RayError as e:
            code, error = INTERNAL, str(e).strip()
        if code not in (OK, FAILED_ROWS):
            failed[index] = code, error
        outcome = f"failed for good: {error}" if error else "is done"
        say(f"shard {index} of {shards} {outcome}; {len(running)} to go")
    if not failed:
        return {"shards": shards}
    codes = {code for code, _ in failed.values()}
    which = "; ".join(f"shard {i}: {error}" for i, (_, error) in sorted(failed.items()))
    return {"exit": codes.pop() if len(codes) == 1 else INTERNAL, "error": which}


def connect(address):
    try:
        import ray
    except ImportError as e:
        raise Refusal(
            ENVIRONMENT,
            f"{sys.executable} has no Ray ({e}): run make ray, or give --ray-python the cluster's python",
        ) from None
    try:
        knock(address)
        ray.init(address=address, logging_level="error")
    except Exception as e:
        raise Refusal(
            ENVIRONMENT,
            f"no Ray cluster at {address}: {str(e).strip()}\n"
            "start one with ray start --head, name its address, and run this command on one of its nodes, "
            "with the cluster's Python and Ray (--ray-python)",
        ) from None
    return ray


def knock(address):
    """Ray itself would try an address where nobody listens for many minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()


def divide(job, nodes):
    """The number of shards, and the CPUs and GPUs of each: a GPU with its share of the
    node, or without GPUs a whole node."""
    gpus = job["gpus"]
    if gpus is None:
        gpus = 1 if any(n.get("GPU") for n in nodes) else 0
    cpus = job["cpus"]
    nodes = [n for n in nodes if n.get("GPU", 0) >= gpus and n.get("CPU", 0) >= (cpus or 1)]
    if not nodes:
        raise Refusal(ENVIRONMENT, f"no node of the cluster has {cpus or 1:g} CPUs and {gpus:g} GPUs")
    places = [int(n["GPU"] // gpus) if gpus else 1 for n in nodes]
    if cpus is None:
        cpus = max(1, min(n["CPU"] // p for n, p in zip(nodes, places)))
    return job["shards"] or sum(places), cpus, gpus


def shard(job, index, shards):
    """The task: exit code and error of a shard that another try would not help. Any
    other failure is raised."""
    missing = unseen(job)
    if missing:
        import ray

        return ENVIRONMENT, f"node {ray.util.get_node_ip_address()} does not see {missing}"
    env = os.environ | job["env"]
    if env.get("VIRTUAL_ENV") == sys.prefix:
        del env["VIRTUAL_ENV"]  # Ray's, not vLLM's
    child = subprocess.Popen(
        [*job["command"], "--shard", f"{index}/{shards}", "--", *job["paths"], f"{job['out']}/shard-{index}"],
        cwd=job["folder"],
        env=env,
        stdin=subprocess.PIPE,  # ends with this process, and the child with it
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    last = collections.deque(maxlen=5)
    for line in child.stderr:
        print(line, end="", flush=True)  # Ray brings it to the driver
        last.append(line)
    code = child.wait()
    if code in (OK, FAILED_ROWS):
        return code, ""
    error = f"exit code {code}: {''.join(last).strip()}"
    if code in (USAGE, ENVIRONMENT):
        return code, error
    raise RuntimeError(error)


def unseen(job):
    """What this node lacks and all must share. A network file system may take a while
    to show a new file."""
    deadline = time.monotonic() + 10
    while not os.path.exists(job["token"]):
        if time.monotonic() > deadline:
            return f"{job['out']}: put the output on storage that all nodes share under one path"
        time.sleep(0.2)
    if not os.path.isdir(job["folder"]):
        return f"{job['folder']}: start the command in a folder that all nodes share"
    if not os.access(job["command"][0], os.X_OK):
        return f"{job['command'][0]}: install stepbench there, or start it from storage that all nodes share"
    return ""


def say(text):
    print(f"stepbench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
