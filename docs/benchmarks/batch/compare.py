"""The same rows through `stepbench batch`, `vllm run-batch` and `LLM.chat`, in turns.

    python compare.py --device cpu  --model models/smollm2-135m-instruct --out results/peers
    python compare.py --device cuda --model llama-2-7b:8 --max-seconds 250 --out results/peers

Python is one that has vLLM; stepbench is on PATH, or --stepbench. Each round runs every
side once, in an order that turns from round to round. A run begins with an open engine
that has seen no request; all sides get the same arguments of EngineArgs, and caches of
their own for what they compile. On a GPU the three engines of a round start side by
side, each with a KV cache of fixed size, and wait; one at a time is then let through.
On a CPU they start one after the other, since they share its cores.

What is measured, on every side: from the moment a waiting program gets its rows until
the last answer's text is in a file. That holds reading and parsing the rows, the chat
template, encoding, all steps, decoding, and writing. Two differences remain:

- stepbench gets its rows through standard input. It reads the first 100 before it opens
  the engine, to know their format, so parsing these is outside; encoding them is inside.
- stepbench writes each answer to its journal as soon as it is there, and the run ends with
  the last of these writes. After that it closes its engine and turns the journal into the
  output file: seconds_to_exit ends when the program is gone, with all of that. vLLM writes
  one file at the end, before it closes its engine, and nothing of what it does after that
  is measured.

A round in which the sides' numbers of tokens differ, in or out, does not count.

Writes OUT/runs.jsonl, a line a run, and prints a table: rows/s, and stepbench's to each
other's, with the geometric mean over rounds and its 95 % interval (Student's t over the
rounds' log ratios). After --max-seconds everything is killed; whole rounds count.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
STEPBENCH, RUN_BATCH, CHAT = SIDES = ("stepbench batch", "vllm run-batch", "LLM.chat")
HEAD_ROWS = 100  # that stepbench reads of a file to know its format
POLL_S = 0.002
GRACE_S = 15  # for a program to end after its answers are written

# Fields of EngineArgs, the same on every side.
ENGINE = {
    "cpu": {
        "dtype": "float32",
        "enforce_eager": True,
        "max_model_len": 512,
        "max_num_seqs": 64,
        "max_num_batched_tokens": 2048,
        "kv_cache_memory_bytes": 1 << 30,
        "async_scheduling": False,
    },
    "cuda": {
        "dtype": "float16",
        "max_model_len": 2048,
        "max_num_seqs": 256,
        "max_num_batched_tokens": 8192,
        "kv_cache_memory_bytes": 16 << 30,
        # This share must be free at the start, beside the other two engines.
        "gpu_memory_utilization": 0.2,
        "async_scheduling": True,
    },
}
COMMON = {"enable_prefix_caching": True, "generation_config": "vllm"}
ROWS = {
    "cpu": {"rows": 120, "input_len": (32, 192), "output_len": (8, 32)},
    "cuda": {"rows": 1000, "input_len": (32, 1024), "output_len": (16, 256)},
}
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_USE_FLASHINFER_SAMPLER": "0",  # stepbench's default, without influence on greedy sampling
    # vLLM's engine process would leave a core to its parent, which is idle while steps run.
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
}
# Engines that start together must not look for free ports at the same place.
FIRST_PORT, PORTS = 21000, 1000
# For presets, whose made-up tokenizers have no template.
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


class TimeUp(Exception):
    pass


class Run:
    """One side's program, from its start until it is gone."""

    def __init__(self, side, job, folder):
        self.side, self.job, self.folder = side, job, folder
        self.begin_ns = self.end_ns = 0
        self.gate = threading.Event()
        folder.mkdir(parents=True)
        self.log = folder / "log.txt"
        self.output = folder / "output.jsonl"
        environment = {
            "STEPBENCH_PYTHON": sys.executable,
            **os.environ,
            **ENVIRONMENT,
            "VLLM_CACHE_ROOT": str(job.out / "cache" / side.replace(" ", "-")),
            "VLLM_PORT": str(FIRST_PORT + PORTS * SIDES.index(side)),
        }
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.stepbench() if side == STEPBENCH else self.peer(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        if side == STEPBENCH:
            threading.Thread(target=self.feed, daemon=True).start()

    def stepbench(self):
        command = [self.job.stepbench, "batch", "--model", self.job.model]
        for name, value in self.job.engine.items():
            if name == "enable_prefix_caching":
                command += [] if value else ["--no-prefix-caching"]
            elif name != "load_format":  # which a preset has anyway
                command += ["--engine-arg", f"{name}={json.dumps(value)}"]
        if self.job.template:
            command += ["--chat-template", self.job.template]
        return [
            *command,
            "--output-format",
            "openai",
            "--part-rows",
            "1000000",
            "-",
            str(self.folder / "out"),
        ]

    def peer(self):
        way = "run-batch" if self.side == RUN_BATCH else "chat"
        engine = json.dumps({"model": self.job.folder, **self.job.engine})
        files = [str(self.folder), str(self.job.rows), str(self.output), self.job.template]
        return [sys.executable, str(HERE / "peer.py"), way, *files, engine]

    def feed(self):
        """Gives stepbench its rows, those after the head once the gate is open."""
        lines = self.job.rows.read_bytes().splitlines(keepends=True)
        with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
            pipe.writelines(lines[:HEAD_ROWS])
            pipe.flush()
            self.gate.wait()
            pipe.writelines(lines[HEAD_ROWS:])

    def ready(self):
        if self.side == STEPBENCH:
            return b"engine open after" in self.log.read_bytes()
        return (self.folder / "ready").exists()

    def open_gate(self):
        self.begin_ns = time.time_ns()
        self.gate.set()
        (self.folder / "gate").touch()

    def ended(self):
        """Whether the last answer is in a file; notes when that was."""
        if self.side != STEPBENCH:
            with contextlib.suppress(FileNotFoundError):
                self.end_ns = (self.folder / "done").stat().st_mtime_ns
            return self.end_ns > 0
        for journal in (self.folder / "out").glob("journal-*.jsonl"):
            with contextlib.suppress(FileNotFoundError):
                self.end_ns = max(self.end_ns, journal.stat().st_mtime_ns)
        return self.process.poll() is not None

    def check(self):
        if self.process.poll() not in (None, 0):
            tail = self.log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{self.side}: exit {self.process.returncode}:\n{tail}")

    def record(self, number):
        """What is kept of a run that has ended."""
        left_ns = time.time_ns()
        if self.side == STEPBENCH:
            (self.output,) = (self.folder / "out").glob("part-*.jsonl")
        seconds = (self.end_ns - self.begin_ns) / 1e9
        usage = []
        for line in self.output.read_text().splitlines():
            body = (json.loads(line)["response"] or {}).get("body") or {}
            if "usage" not in body:
                raise RuntimeError(f"{self.side}: {line[:2000]}")
            usage.append(body["usage"])
        tokens_in = sum(u["prompt_tokens"] for u in usage)
        tokens_out = sum(u["completion_tokens"] for u in usage)
        result = {
            "round": number,
            "side": self.side,
            "rows": len(usage),
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "seconds": round(seconds, 4),
            "rows_per_s": round(len(usage) / seconds, 3),
            "output_tokens_per_s": round(tokens_out / seconds, 2),
        }
        if self.side == STEPBENCH:
            result["seconds_to_exit"] = round((left_ns - self.begin_ns) / 1e9, 4)
        return result

    def kill(self):
        """Ends its process group: by itself where it can, for what is killed leaves its
        shared memory behind. Who has answered is about to end anyway, and a signal
        would meet vLLM where it takes its processes down."""
        if self.end_ns and self.gone():
            return
        self.process.terminate()
        if not self.gone():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def gone(self):
        """Whether nothing of the group is left, within GRACE_S."""
        until = time.monotonic() + GRACE_S
        while time.monotonic() < until:
            self.process.poll()
            try:
                os.killpg(self.process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.1)
        return False


class Job:
    def __init__(self, args):
        self.out, self.device, self.stepbench = args.out.resolve(), args.device, args.stepbench
        self.deadline = time.monotonic() + args.max_seconds
        self.out.mkdir(parents=True)
        self.engine = {**ENGINE[args.device], **COMMON}
        self.model, self.folder, self.template = args.model, args.model, ""
        if not pathlib.Path(args.model).is_dir():
            self.folder = preset_folder(self.stepbench, args.model, self.out)
            self.engine["load_format"] = "dummy"
            self.template = str(self.out / "template.jinja")
            pathlib.Path(self.template).write_text(TEMPLATE)
        self.rows = self.out / "rows.jsonl"
        shape = {**ROWS[args.device], **({"rows": args.rows} if args.rows else {})}
        command = [
            sys.executable,
            str(HERE / "rows.py"),
            self.folder,
            str(self.rows),
            "--rows",
            str(shape["rows"]),
        ]
        for name in ("input_len", "output_len"):
            command += ["--" + name.replace("_", "-"), *map(str, shape[name])]
        subprocess.run(command, check=True)

    def wait(self, runs, condition):
        """Until condition holds for every run."""
        while not all(condition(run) for run in runs):
            if time.monotonic() > self.deadline:
                raise TimeUp
            for run in runs:
                run.check()
            time.sleep(POLL_S)

    def round(self, number):
        """One run of each side; none is left when it returns."""
        order = [SIDES[(number - 1 + i) % len(SIDES)] for i in range(len(SIDES))]
        runs, records = [], []
        try:
            for sides in [order] if self.device == "cuda" else [[side] for side in order]:
                started = [
                    Run(side, self, self.out / f"round-{number}" / side.replace(" ", "-")) for side in sides
                ]
                runs += started
                self.wait(started, Run.ready)
                for run in started:
                    run.open_gate()
                    self.wait([run], Run.ended)
                    run.check()
                    if run.side != STEPBENCH:
                        run.kill()  # its answers are written
                    records.append(run.record(number))
                    print(json.dumps(records[-1]), flush=True)
        finally:
            for run in runs:
                run.kill()
        totals = {(r["rows"], r["input_tokens"], r["output_tokens"]) for r in records}
        if len(totals) != 1:
            raise RuntimeError(f"round {number}: the sides did not do the same: {records}")
        return records


def preset_folder(stepbench, model, out):
    """The folder of a preset, which stepbench makes before it looks at its input."""
    missing = str(out / "missing.jsonl")
    subprocess.run([stepbench, "batch", "--model", model, missing, str(out / "none")], capture_output=True)
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    found = sorted(
        (cache / "stepbench" / "models").glob(model.replace(":", "-") + "-*"),
        key=lambda path: path.stat().st_mtime,
    )
    if not found:
        raise SystemExit(f"--model {model}: no folder, and no preset of stepbench")
    return str(found[-1])


# Student's t, 97.5 % quantile, by degrees of freedom from 1.
T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201)


def table(rounds):
    lines = [
        "| round | " + " | ".join(f"{side}, rows/s" for side in SIDES) + " | to run-batch | to LLM.chat |",
        "|---|" + "---:|" * (len(SIDES) + 2),
    ]
    logs = {RUN_BATCH: [], CHAT: []}
    for records in rounds:
        rate = {r["side"]: r["rows_per_s"] for r in records}
        for peer in logs:
            logs[peer].append(math.log(rate[STEPBENCH] / rate[peer]))
        cells = [f"{rate[side]:.2f}" for side in SIDES] + [f"{math.exp(logs[peer][-1]):.3f}" for peer in logs]
        lines.append(f"| {records[0]['round']} | " + " | ".join(cells) + " |")
    lines.append("")
    for peer, values in logs.items():
        lines.append(f"stepbench batch to {peer}: {geometric_mean(values)}")
    return "\n".join(lines)


def geometric_mean(logs):
    """Of ratios, from their logarithms, with its 95 % interval."""
    mean = statistics.fmean(logs)
    text = f"geometric mean {math.exp(mean):.3f}"
    if 1 < len(logs) <= len(T975) + 1:
        half = T975[len(logs) - 2] * statistics.stdev(logs) / math.sqrt(len(logs))
        text += f", 95 % interval {math.exp(mean - half):.3f} to {math.exp(mean + half):.3f}"
    return text


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=ENGINE, required=True)
    parser.add_argument("--model", required=True, help="folder, or a preset of stepbench")
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="new folder for rows, logs and runs.jsonl"
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--rows", type=int, help=f"at least {HEAD_ROWS}; 120 on a CPU, else 1000")
    parser.add_argument("--max-seconds", type=float, default=3600)
    parser.add_argument("--stepbench", default=shutil.which("stepbench") or "out/stepbench")
    args = parser.parse_args()
    if args.rows is not None and args.rows < HEAD_ROWS:
        parser.error(f"--rows: stepbench waits for {HEAD_ROWS} rows before it opens its engine")
    return args


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = arguments()
    job = Job(args)
    rounds, failed = [], False
    for number in range(1, args.rounds + 1):
        try:
            rounds.append(job.round(number))
        except TimeUp:
            print(f"time up after {len(rounds)} of {args.rounds} rounds", flush=True)
            break
        except RuntimeError as error:
            failed = True
            print(f"round {number} does not count: {error}", file=sys.stderr, flush=True)
            continue
        with open(job.out / "runs.jsonl", "a") as f:
            f.writelines(json.dumps(record) + "\n" for record in rounds[-1])
    if rounds:
        print(table(rounds))
    sys.exit(failed or not rounds)


if __name__ == "__main__":
    main()
