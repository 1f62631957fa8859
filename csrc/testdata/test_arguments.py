"""What vLLM is asked for when strangers wrote the model folder."""

import os
import tempfile
import unittest

from stepbench_adapter import session


def arguments(path="org/name", synthetic=False, **config):
    return session.engine_args({"model": {"path": path, "synthetic": synthetic}, **config})


class Trust(unittest.TestCase):
    def test_no_code_of_the_folder_unless_asked(self):
        self.assertIs(arguments()["trust_remote_code"], False)
        self.assertTrue(arguments(extra={"trust_remote_code": True})["trust_remote_code"])

    def test_no_pickles_unless_asked(self):
        self.assertEqual(arguments()["load_format"], "safetensors")
        self.assertEqual(arguments(synthetic=True)["load_format"], "dummy")
        self.assertEqual(arguments(extra={"load_format": "auto"})["load_format"], "auto")

    def test_mistrals_own_files_go_first(self):
        with tempfile.TemporaryDirectory(prefix="[a]*") as folder:
            open(os.path.join(folder, "model.safetensors"), "w").close()
            self.assertEqual(arguments(folder)["load_format"], "safetensors")
            open(os.path.join(folder, "consolidated.safetensors"), "w").close()
            self.assertEqual(arguments(folder)["load_format"], "mistral")


if __name__ == "__main__":
    unittest.main()
