"""CPU time of the host, as proc_stat(5) counts it."""

import os
import tempfile
import unittest

from stepbench_adapter import conditions


class HostCPU(unittest.TestCase):
    def test_idle_and_waiting_time_is_not_spent(self):
        with tempfile.NamedTemporaryFile("w", suffix="stat") as f:
            # user nice system idle iowait irq softirq steal guest guest_nice
            f.write("cpu  100 10 50 9000 800 3 7 60 100 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
            f.flush()
            ticks = conditions.host_cpu_ns(f.name) * os.sysconf("SC_CLK_TCK") // 10**9
        self.assertEqual(ticks, 100 + 10 + 50 + 3 + 7)

    def test_without_the_file_nothing_is_known(self):
        self.assertEqual(conditions.host_cpu_ns("/nowhere/stat"), 0)


if __name__ == "__main__":
    unittest.main()
