"""What a host costs, from the bursts of `stepbench ab stock@plain stock@HOST`.

    make .readers/stepbench-readers
    PYTHONPATH=.readers .venv/bin/python docs/benchmarks/h200/hosts.py hosts-go.parquet

Prints B's step over A's for each launch, by the median burst and by the fastest, which
neighbours on the machine disturb least; then the geometric means over launches with
their 95 % intervals (Student's t over log ratios).
"""

import math
import statistics
import sys

import duckdb

T975 = {5: 2.571, 7: 2.365, 9: 2.262}  # by degrees of freedom

rows = duckdb.execute(
    """select launch, median(wall_ns) filter (arm = 'A'), median(wall_ns) filter (arm = 'B'),
              min(wall_ns) filter (arm = 'A'), min(wall_ns) filter (arm = 'B')
       from read_parquet(?) where kind = 'timing' and quad > 0 and coalesce("drop", '') = ''
       group by launch order by launch""",
    [sys.argv[1]],
).fetchall()
print("launch  median A µs  median B µs  ratio  fastest A µs  fastest B µs  ratio")
logs = {"median": [], "fastest": []}
for launch, median_a, median_b, fastest_a, fastest_b in rows:
    logs["median"].append(math.log(median_b / median_a))
    logs["fastest"].append(math.log(fastest_b / fastest_a))
    print(
        f"{launch:6}  {median_a / 1e3:11.0f}  {median_b / 1e3:11.0f}  {median_b / median_a:5.3f}"
        f"  {fastest_a / 1e3:12.0f}  {fastest_b / 1e3:12.0f}  {fastest_b / fastest_a:5.3f}"
    )
for name, values in logs.items():
    half = T975[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.mean(values)
    print(f"{name}: {math.exp(mean):.3f} ({math.exp(mean - half):.3f}…{math.exp(mean + half):.3f})")
