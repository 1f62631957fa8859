"""Attribution: what ran on the device (CUDA) or which ops ran (CPU) in a burst.

torch.profiler records, its raw kineto events are walked here: key_averages()
gives the same self times at ten times the cost.
"""

import statistics
from time import monotonic_ns, time_ns

COPIES = ("Memcpy", "Memset")

# Kernels and ops by which ranks exchange data: NCCL's, vLLM's own all-reduce
# (csrc/custom_all_reduce.cuh), its shared memory between CPU ranks (csrc/cpu/shm.cpp)
# and torch.distributed's. Their time includes waiting for the slowest rank.
COLLECTIVE_STARTS = ("nccl", "_C::shm_", "c10d::", "gloo:")
COLLECTIVE_WORDS = ("allreduce", "allgather", "reducescatter", "crossdevicereduce", "multimem")


class Profiler:
    def __init__(self, platform):
        self.cuda = platform == "cuda"
        self.profile = None

    def start(self):
        from torch.profiler import ProfilerActivity, profile

        if self.profile is not None:
            raise RuntimeError("a profile is running already")
        kind = ProfilerActivity.CUDA if self.cuda else ProfilerActivity.CPU
        self.profile = profile(activities=[kind], acc_events=True)
        self.profile.__enter__()

    def stop(self, windows, with_events=False, lags=False):
        """windows: [start, end] of each step, CLOCK_MONOTONIC ns. with_events adds
        each kernel or op on its own, which is worth its size for a few steps. lags is
        of a rank whose answer the step does not wait for."""
        if self.profile is None:
            raise RuntimeError("no profile is running")
        if self.cuda:
            import torch

            torch.cuda.synchronize()
        p, self.profile = self.profile, None
        p.__exit__(None, None, None)
        offset = wall_offset()
        events = p.profiler.kineto_results.events()
        rows = cuda_rows(events) if self.cuda else cpu_rows(events)
        shifted = [(a + offset, b + offset) for a, b in windows]
        if lags:
            shifted = until_next(shifted, max((end for _, _, end, _ in rows), default=0))
        out = summarize("kernel" if self.cuda else "op", rows, shifted)
        if with_events:
            out["events"] = timeline(events, self.cuda, offset)
        return out


def wall_offset():
    """What to add to CLOCK_MONOTONIC to get the wall clock, on which kineto
    stamps its events; the tightest of a few readings."""
    best = None
    for _ in range(8):
        before = monotonic_ns()
        wall = time_ns()
        after = monotonic_ns()
        if best is None or after - before < best[0]:
            best = after - before, wall - (before + after) // 2
    return best[1]


def cuda_rows(events):
    """(name, start, end, self ns) of each kernel, copy and set."""
    return [
        (e.name(), e.start_ns(), e.start_ns() + e.duration_ns(), e.duration_ns())
        for e in events
        if "CUDA" in str(e.device_type())
    ]


def timeline(events, cuda, offset):
    """Each kernel, copy and set on its device and stream, or each op on its
    thread, in order; stamps on CLOCK_MONOTONIC."""
    if cuda:
        picked = [
            (e, f"GPU {e.device_index()} stream {e.device_resource_id()}")
            for e in events
            if "CUDA" in str(e.device_type())
        ]
    else:
        threads = {}
        for e in events:
            threads.setdefault(e.start_thread_id(), len(threads) + 1)
        picked = [(e, f"thread {threads[e.start_thread_id()]}") for e in events]
    out = [
        {"name": e.name(), "track": track, "start_ns": e.start_ns() - offset, "duration_ns": e.duration_ns()}
        for e, track in picked
    ]
    out.sort(key=lambda e: (e["start_ns"], -e["duration_ns"]))
    return out


def cpu_rows(events):
    """The same for ops: their self time is theirs less that of the ops they
    called, found with a stack over the events of each thread."""
    by_thread = {}
    for e in events:
        by_thread.setdefault(e.start_thread_id(), []).append((e.start_ns(), -e.duration_ns(), e.name()))
    rows = []
    for spans in by_thread.values():
        spans.sort()
        rows += nested(spans)
    return rows


def nested(spans):
    rows, stack = [], []  # stack of [end, index into rows]
    for start, negative, name in spans:
        duration = -negative
        while stack and stack[-1][0] <= start:
            stack.pop()
        if stack:
            parent = rows[stack[-1][1]]
            parent[3] -= duration
        stack.append((start + duration, len(rows)))
        rows.append([name, start, start + duration, duration])
    return rows


def union(intervals, windows):
    """Busy and idle ns inside the windows; both lists are in order."""
    busy = gap = 0
    i = 0
    for begin, end in windows:
        at = begin
        while i < len(intervals) and intervals[i][1] <= begin:
            i += 1
        k = i
        while k < len(intervals) and intervals[k][0] < end:
            a, b = max(intervals[k][0], at), min(intervals[k][1], end)
            if b > a:
                busy += b - a
                gap += a - at
                at = b
            k += 1
        gap += end - at
    return busy, gap


def collective(name):
    plain = name.lower().replace("_", "")
    return name.startswith(COLLECTIVE_STARTS) or any(word in plain for word in COLLECTIVE_WORDS)


def summarize(unit, rows, windows):
    table, places = {}, {}
    for name, start, _, self_ns in rows:
        table.setdefault(name, []).append(self_ns)
        places.setdefault(name, []).append((start, self_ns))
    out = [
        {
            "name": name,
            "calls": len(times),
            "self_ns": sum(times),
            "median_ns": int(statistics.median(times)),
            "typical_ns": typical(places[name], windows),
            "copy": name.startswith(COPIES),
        }
        for name, times in table.items()
    ]
    out.sort(key=lambda r: -r["self_ns"])
    spans = sorted((start, end) for _, start, end, _ in rows)
    busy, gap = union(spans, windows)
    return {
        "unit": unit,
        "rows": out,
        "sum_ns": sum(r["self_ns"] for r in out if not r["copy"]),
        "collective_ns": sum(r["self_ns"] for r in out if collective(r["name"])),
        "busy_ns": busy,
        "gap_ns": gap,
        "unassigned_ns": unassigned(rows, windows),
    }


def typical(calls, windows):
    """A step's self time in one kernel or op, undisturbed: the sum over its places
    in the step of the median over steps. Calls of one op may differ by orders of
    magnitude, as those of matrix products do, so one median of all would see only
    the common ones. Where steps do not call it equally often it is their mean number
    of calls times the median of a call."""
    steps, i = [[] for _ in windows], 0
    for start, self_ns in sorted(calls):
        while i < len(windows) and windows[i][1] <= start:
            i += 1
        if i < len(windows) and windows[i][0] <= start:
            steps[i].append(self_ns)
    counts = {len(s) for s in steps}
    if len(counts) == 1:
        return int(sum(statistics.median(place) for place in zip(*steps)))
    inside = [t for s in steps for t in s]
    return int(statistics.median(inside) * len(inside) / len(steps)) if inside else 0


def until_next(windows, last):
    """Windows that go on until the next one begins, the last until last at least."""
    ends = [begin for begin, _ in windows[1:]] + [max(end, last) for _, end in windows[-1:]]
    return [(begin, end) for (begin, _), end in zip(windows, ends)]


def unassigned(rows, windows):
    """Self time of what started outside every window."""
    total, i = 0, 0
    for _, start, _, self_ns in sorted(rows, key=lambda r: r[1]):
        while i < len(windows) and windows[i][1] <= start:
            i += 1
        if i == len(windows) or start < windows[i][0]:
            total += self_ns
    return total
