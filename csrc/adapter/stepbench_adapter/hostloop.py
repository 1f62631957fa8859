"""A fixed piece of pure Python: how fast the interpreter of this process runs,
apart from anything that vLLM does."""

import statistics
from time import perf_counter_ns

ROUNDS = 25
ITERATIONS = 20_000


def measure():
    """Median ns of one round."""
    return statistics.median(one() for _ in range(ROUNDS))


def one():
    table, total = {}, 0
    start = perf_counter_ns()
    for i in range(ITERATIONS):
        table[i & 255] = i
        total += len(table) ^ i
    return perf_counter_ns() - start
