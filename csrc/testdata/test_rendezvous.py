"""Ranks meet where no other user can."""

import os
import sys
import unittest
from types import SimpleNamespace as Bag
from unittest import mock
from urllib.parse import urlparse

from stepbench_adapter import rendezvous


class Meeting(unittest.TestCase):
    def test_a_file_of_this_user(self):
        address = rendezvous.in_memory("127.0.0.1", 29501)
        path = urlparse(address).path
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(path).st_uid, os.getuid())
        with open(path, "w") as written, open(path) as read:
            written.write("rank 0")
            written.flush()
            self.assertEqual(read.read(), "rank 0")
        self.assertEqual(address.split(":")[-1], "29501")
        self.assertNotEqual(path, urlparse(rendezvous.in_memory("127.0.0.1", 29501)).path)

    def test_which_executors(self):
        for executor, private in ((None, True), ("uni", True), ("mp", True), ("ray", False)):
            modules = {name: Bag(get_distributed_init_method=None) for name in rendezvous.MODULES.values()}
            with mock.patch.dict(sys.modules, modules), mock.patch.dict(os.environ):
                os.environ.pop("GLOO_SOCKET_IFNAME", None)
                rendezvous.private(executor)
                self.assertEqual(os.environ.get("GLOO_SOCKET_IFNAME"), "lo" if private else None)
            changed = [m for m in modules.values() if m.get_distributed_init_method]
            self.assertEqual(len(changed), int(private))


if __name__ == "__main__":
    unittest.main()
