"""Arithmetic of attribution: self times, busy and idle time, and what is left over."""

import unittest

from stepbench_adapter import profile


class Nested(unittest.TestCase):
    def test_self_time_is_without_the_ops_called(self):
        spans = [("a", 0, 100), ("b", 10, 20), ("c", 40, 30), ("d", 45, 5), ("e", 200, 10)]
        rows = profile.nested(sorted((start, -length, name) for name, start, length in spans))
        self.assertEqual({row[0]: row[3] for row in rows}, {"a": 50, "b": 20, "c": 25, "d": 5, "e": 10})

    def test_an_op_that_starts_where_another_ends_is_not_inside_it(self):
        rows = profile.nested([(0, -10, "a"), (10, -10, "b")])
        self.assertEqual([row[3] for row in rows], [10, 10])


class Union(unittest.TestCase):
    def check(self, intervals, windows, busy, gap):
        self.assertEqual(profile.union(sorted(intervals), windows), (busy, gap))

    def test_overlap_counts_once_and_is_clipped(self):
        self.check([(0, 10), (5, 20), (30, 40), (90, 120)], [(2, 50), (100, 110)], 38, 20)

    def test_a_long_interval_hides_short_ones_inside_it(self):
        self.check([(0, 100), (10, 20), (30, 40)], [(0, 50)], 50, 0)

    def test_an_interval_that_spans_two_windows_counts_in_both(self):
        self.check([(0, 100), (1, 2)], [(0, 10), (20, 30)], 20, 0)

    def test_nothing_ran(self):
        self.check([], [(0, 10)], 0, 10)


class Summary(unittest.TestCase):
    def test_rows_sums_and_leftovers(self):
        rows = [("k", 0, 4, 4), ("k", 5, 7, 2), ("Memcpy DtoD", 7, 8, 1), ("late", 20, 23, 3)]
        s = profile.summarize("kernel", rows, [(0, 10)])
        first = s["rows"][0]
        self.assertEqual((first["name"], first["calls"], first["self_ns"]), ("k", 2, 6))
        self.assertEqual((s["sum_ns"], s["busy_ns"], s["gap_ns"], s["unassigned_ns"]), (9, 7, 3, 3))
        self.assertTrue(next(r for r in s["rows"] if r["name"].startswith("Memcpy"))["copy"])


class UntilNext(unittest.TestCase):
    def test_a_step_of_a_rank_goes_on_until_the_next(self):
        windows = [(0, 60), (100, 160), (200, 260)]
        self.assertEqual(profile.until_next(windows, 290), [(0, 100), (100, 200), (200, 290)])
        self.assertEqual(profile.until_next(windows, 250), [(0, 100), (100, 200), (200, 260)])
        self.assertEqual(profile.until_next([], 10), [])

    def test_what_a_rank_does_after_the_step_returned_belongs_to_it(self):
        rows = [("k", 10, 50, 40), ("late", 70, 80, 10), ("k", 110, 150, 40), ("late", 165, 180, 15)]
        windows = profile.until_next([(0, 60), (100, 160)], 180)
        s = profile.summarize("op", rows, windows)
        self.assertEqual((s["busy_ns"], s["gap_ns"], s["unassigned_ns"]), (105, 75, 0))


STEPS = [(0, 100), (100, 200), (200, 300)]


class Typical(unittest.TestCase):
    def typical(self, *calls):
        return profile.typical(list(calls), STEPS)

    def test_places_are_apart_and_a_disturbed_call_does_not_count(self):
        steps = [(0, 30), (50, 2), (100, 90), (150, 2), (200, 31), (250, 3)]
        self.assertEqual(self.typical(*steps), 31 + 2)

    def test_unequal_steps_take_the_median_of_all_calls(self):
        self.assertEqual(self.typical((0, 10), (100, 10), (150, 10), (200, 40)), 10 * 4 // 3)

    def test_calls_outside_the_steps_do_not_count(self):
        self.assertEqual(self.typical((0, 5), (100, 5), (200, 5), (300, 99)), 5)
        self.assertEqual(self.typical((400, 5)), 0)


class Event:
    """The part of torch's _KinetoEvent that is read."""

    def __init__(self, name, start, duration, where, kind="DeviceType.CPU"):
        self.name, self.start_ns, self.duration_ns = lambda: name, lambda: start, lambda: duration
        self.start_thread_id = self.device_resource_id = lambda: where
        self.device_index, self.device_type = lambda: 0, lambda: kind


class Timeline(unittest.TestCase):
    def rows(self, events, cuda):
        return [tuple(e.values()) for e in profile.timeline(events, cuda, 1000)]

    def test_ops_are_on_their_threads_with_the_caller_first(self):
        events = [Event("inner", 1010, 5, 71), Event("outer", 1010, 20, 71), Event("other", 1005, 1, 99)]
        self.assertEqual(
            self.rows(events, False),
            [("other", "thread 2", 5, 1), ("outer", "thread 1", 10, 20), ("inner", "thread 1", 10, 5)],
        )

    def test_kernels_are_on_their_streams_without_the_host(self):
        cuda = "DeviceType.CUDA"
        events = [
            Event("launch", 1000, 3, 71),
            Event("k", 1020, 5, 7, cuda),
            Event("Memcpy DtoH", 1010, 2, 13, cuda),
        ]
        self.assertEqual(
            self.rows(events, True),
            [("Memcpy DtoH", "GPU 0 stream 13", 10, 2), ("k", "GPU 0 stream 7", 20, 5)],
        )


if __name__ == "__main__":
    unittest.main()
