"""The ranks of an engine, seen from the process that schedules: each is a process of
its own (vllm/v1/executor/multiproc_executor.py), asked through collective_rpc."""

import contextlib
import os
import shutil
import signal
import time
from glob import glob
from multiprocessing.connection import wait
from threading import Thread

from . import spawned

SUMS = ("sum_ns", "busy_ns", "collective_ns")


def of(executor):
    """None where the one rank is in this process, or ranks are on other hosts."""
    workers = getattr(executor, "workers", None)
    return Ranks(executor, workers) if workers and hasattr(workers[0], "proc") else None


class Watched:
    died = ""  # which rank, and how, once one has

    def guard(self, step):
        """step, whose error names the rank that ended, if one did: vLLM's own says
        only that a call was cancelled."""

        def guarded():
            try:
                return step()
            except Exception as error:
                if self.died:
                    raise RuntimeError(f"{self.died}: {error}") from error
                raise

        return guarded


class Ranks(Watched):
    def __init__(self, executor, workers):
        self.executor = executor
        self.processes = [w.proc for w in workers]
        self.pids = [p.pid for p in self.processes]
        Thread(target=self.watch, daemon=True, name="stepbench-ranks").start()

    def ask(self, method, *args):
        """Answers in order of rank."""
        return self.executor.collective_rpc("stepbench_" + method, args=args)

    def start(self):
        self.ask("profile_start")

    def stop(self, windows, with_events=False):
        """The profiles of all ranks as one: the table is that of the rank with most
        work of its own, which the others wait for in collectives; "ranks" has the sums
        of each."""
        profiles = self.ask("profile_stop", windows, with_events)
        longest = max(profiles, key=lambda p: p["sum_ns"] - p["collective_ns"])
        sums = [{"rank": i, **{k: p[k] for k in SUMS}} for i, p in enumerate(profiles)]
        return {**longest, "ranks": sums}

    def forget_names(self):
        """Removes the names of what the ranks share, now that all have it open: then
        nothing of it can be left behind. Those that multiprocessing looks after stay;
        its tracker removes them after the last process."""
        tag = os.environ.get(spawned.TAG)
        if not tag:
            return
        for path in glob(f"/dev/shm/{tag}-*"):
            os.unlink(path)
        if tag in (base := os.environ.get("VLLM_RPC_BASE_PATH", "")):
            shutil.rmtree(base, ignore_errors=True)

    def cpu_ns(self):
        """CPU time of all ranks so far, read from their clocks without asking them:
        clock_getcpuclockid(3) gives (~pid << 3) | CPUCLOCK_SCHED."""
        total = 0
        for pid in self.pids:
            with contextlib.suppress(OSError):  # it has ended
                total += time.clock_gettime_ns((~pid << 3) | 2)
        return total

    def end(self):
        """Ends all ranks at once. They hold nothing that must be saved, and vLLM's own
        way takes six seconds and more: it first waits for ranks to go by themselves."""
        self.executor.shutting_down = True
        for p in self.processes:
            p.kill()
        for p in self.processes:
            p.join()

    def watch(self):
        """Ends all ranks when one has ended: the others wait for it, in collectives
        that nothing else interrupts."""
        ended = wait([p.sentinel for p in self.processes])
        if getattr(self.executor, "shutting_down", False):
            return
        rank = next(i for i, p in enumerate(self.processes) if p.sentinel == ended[0])
        process = self.processes[rank]
        process.join()
        self.died = f"rank {rank} (process {process.pid}) {how(process.exitcode)}"
        for other in self.processes:
            if other is not process:
                other.kill()


@contextlib.contextmanager
def opening(executor):
    """Names ranks that were killed while an engine opens: vLLM's error says only that
    one failed. Those that end after it are told to by SIGTERM."""
    started = []
    make = executor.make_worker_process

    def made(*args, **kwargs):
        handle = make(*args, **kwargs)
        started.append(handle.proc)
        return handle

    executor.make_worker_process = staticmethod(made)
    try:
        yield
    except Exception as error:
        codes = [p.exitcode for p in started]
        killed = [i for i, c in enumerate(codes) if c is not None and c < 0 and c != -signal.SIGTERM]
        if not killed:
            raise
        who = ", ".join(f"rank {i} (process {started[i].pid}) {how(codes[i])}" for i in killed)
        raise RuntimeError(f"{who}: {error}") from error
    finally:
        executor.make_worker_process = staticmethod(make)


def how(code):
    if code is None:  # another thread has just learned it
        return "ended"
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
