#!/usr/bin/env python3
"""Tests that all scripts say what they are for, and find mistakes in their options, before they install anything.

Run: python3 scripts/test_help.py
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# No scripts of their own.
MODULES = {"libtorch_fakes.py", "peer_env.py", "peer_discriminator.py", "peers.py", "trained.py"}
TESTS = {"test_help.py", "test_package.py", "test_with_libtorch.py"}
# A package counts as one script.
FILES = {path.name for path in FOLDER.iterdir() if path.is_file() or (path / "__main__.py").exists()}
SCRIPTS = sorted(FILES - MODULES - TESTS)


class Help(unittest.TestCase):
    def run_script(self, script, *arguments):
        with tempfile.NamedTemporaryFile() as blocker:
            # No folder can be made there, so that a script that installs first fails at once.
            environment = {**os.environ, "TCH_LOSSES_CACHE": blocker.name}
            # -S: no package that this Python has makes an installation needless.
            command = [sys.executable, "-S", FOLDER / script, *arguments]
            run = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return run.returncode, run.stdout, run.stderr

    def test_help(self):
        self.assertLessEqual({"bench_peers.py", "fixtures"}, set(SCRIPTS))
        for script in SCRIPTS:
            with self.subTest(script):
                code, out, err = self.run_script(script, "--help")
                self.assertEqual((code, err), (0, ""))
                self.assertIn("usage:", out)
                self.assertNotIn("peer_env:", out)

    def test_unknown_options(self):
        for script in SCRIPTS:
            with self.subTest(script):
                code, out, err = self.run_script(script, "--no-such-option")
                self.assertEqual((code, out), (2, ""))
                self.assertIn("usage:", err)

    def test_unknown_families_of_fixtures(self):
        code, out, err = self.run_script("fixtures", "pixel", "no_such_family")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("no_such_family", err)
        self.assertIn("classification", err)


if __name__ == "__main__":
    unittest.main()
