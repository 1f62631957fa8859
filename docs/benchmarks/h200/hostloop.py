"""Is a slow process slow because of its core, of itself, or of the moment?

A fixed loop of pure Python in fresh processes, median of 25, in ms:
python hostloop.py PYTHON
"""

import os
import subprocess
import sys

LOOP = """
import time
def one():
    seen = {}
    total = 0
    for i in range(20000):
        seen[i & 255] = i
        total += seen[i & 127] if (i & 127) in seen else 0
    return total
times = []
for _ in range(25):
    start = time.perf_counter()
    one()
    times.append(time.perf_counter() - start)
print(sorted(times)[12] * 1e3)
"""


def run(*prefix):
    done = subprocess.run([*prefix, sys.argv[1], "-c", LOOP], capture_output=True, text=True, check=True)
    return f"{float(done.stdout):.3f}"


cores = [str(core) for core in range(os.cpu_count())]
rounds = [[run("taskset", "-c", core) for core in cores] for _ in range(4)]
for core, times in zip(cores, zip(*rounds, strict=True), strict=True):
    print("core", core, *times)
print("one core", *(run("taskset", "-c", "5") for _ in range(12)))
print("fixed addresses", *(run("setarch", "-R", "taskset", "-c", "5") for _ in range(12)))
print("any core", *(run() for _ in range(12)))
