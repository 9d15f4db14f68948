#!/usr/bin/env python3
"""Tests of scripts/with-libtorch against a pip that makes small wheels and can fail, hang or deliver half.

Run: python3 scripts/test_with_libtorch.py
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from libtorch_fakes import CARGO, NO_LOCKS, PIP

try:
    import tomllib
except ImportError:  # before Python 3.11
    tomllib = None

SCRIPT = Path(__file__).resolve().parent / "with-libtorch"
# So many seconds late, a process hangs. It starts a few interpreters, which takes a busy machine seconds, not minutes.
HANGS = 600


class WithLibtorch(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="with libtorch "))  # a space, as in some home folders
        self.addCleanup(shutil.rmtree, self.folder)
        self.cache = self.folder / "cache"
        self.checkout = self.new_checkout("checkout")
        (self.folder / "bin").mkdir()
        (self.folder / "bin/cargo").write_text(CARGO)
        (self.folder / "bin/cargo").chmod(0o755)
        (self.folder / "modules/pip").mkdir(parents=True)
        (self.folder / "modules/pip/__init__.py").touch()  # else the real one goes first
        (self.folder / "modules/pip/__main__.py").write_text(PIP)
        self.pip_log = self.folder / "pip.log"
        self.environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "modules"),
            "HOME": str(self.folder / "home"),
            "TCH_LOSSES_CACHE": str(self.cache),
            "FAKE_PIP_LOG": str(self.pip_log),
        }

    def new_project(self, name, version=None):
        project = self.folder / name
        (project / "src").mkdir(parents=True)
        (project / "Cargo.toml").touch()
        if version:
            self.lock_torch_sys(project, version)
        return project

    def lock_torch_sys(self, project, version):
        (project / "torch-sys").mkdir(exist_ok=True)
        (project / "torch-sys/build.rs").write_text(f'const TORCH_VERSION: &str = "{version}";')

    def new_checkout(self, name):
        checkout = self.new_project(name, "1.2.3")
        (checkout / "scripts").mkdir()
        shutil.copy(SCRIPT, checkout / "scripts")
        return checkout

    def start(self, *arguments, checkout=None, folder=None, **environment):
        command = [sys.executable, (checkout or self.checkout) / "scripts/with-libtorch", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {**self.environment, **environment}
        # By default from a folder that is in no project.
        return subprocess.Popen(command, cwd=folder or self.folder, env=environment, start_new_session=True, **pipes)

    def run_script(self, *arguments, **options):
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=HANGS)
        return process.returncode, out, err

    def libtorch_of(self, *arguments, **options):
        code, out, err = self.run_script(*arguments, "printenv", "LIBTORCH", **options)
        self.assertEqual(code, 0, err)
        return Path(out.strip())  # COMMAND's own output, and nothing of pip's

    def fetches(self):
        return self.pip_log.read_text().splitlines() if self.pip_log.exists() else []

    def folders(self):
        return sorted(path.name for path in (self.cache / "libtorch").iterdir() if path.is_dir())

    def test_fetches_once_keeps_what_the_cpu_needs_and_configures_cargo(self):
        libtorch = self.libtorch_of()
        self.assertEqual(libtorch, self.cache / "libtorch/1.2.3-cpu/torch")
        self.assertEqual(
            sorted(path.name for path in (libtorch / "lib").iterdir()),
            ["libc10.so", "libgomp.so.1", "libtorch.so", "libtorch_cpu.so"],
        )
        self.assertIn("INPUT", (libtorch / "lib/libtorch.so").read_text())
        self.assertTrue((libtorch / "include/torch/torch.h").exists())
        self.assertFalse((libtorch / "nn").exists())
        self.assertEqual((libtorch / "build-version").read_text(), "1.2.3\n")
        self.assertTrue((libtorch.parent / "nvidia/cu13/lib/libcudart.so.13").exists())
        self.assertIn(f'LIBTORCH = "{libtorch}"', (self.checkout / ".cargo/config.toml").read_text())
        download, install = self.fetches()
        self.assertIn("torch==1.2.3", download)
        self.assertIn("cuda-toolkit[cudart,cupti]==13.0.3", install)

        self.assertEqual(self.libtorch_of(), libtorch)
        self.assertEqual(self.libtorch_of(checkout=self.new_checkout("another")), libtorch)
        self.assertEqual(len(self.fetches()), 2)

    def test_another_version_gets_its_own_folder(self):
        self.libtorch_of()
        self.lock_torch_sys(self.checkout, "1.3.0")
        self.assertEqual(self.libtorch_of(), self.cache / "libtorch/1.3.0-cpu/torch")
        self.assertEqual(self.folders(), ["1.2.3-cpu", "1.3.0-cpu"])

    def test_a_damaged_install_is_replaced(self):
        libtorch = self.libtorch_of()
        (libtorch / "lib/libtorch_cpu.so").write_text("cut")
        self.libtorch_of()
        self.assertEqual((libtorch / "lib/libtorch_cpu.so").read_text(), "libtorch_cpu.so")
        (libtorch / "include/torch/torch.h").unlink()
        self.libtorch_of()
        self.assertTrue((libtorch / "include/torch/torch.h").exists())

    def test_a_stamp_that_lists_nothing_is_not_trusted(self):
        stamp = self.libtorch_of().parent / "complete.json"
        for text in ["{}", "[]", "null", "1", '["torch"]', '{"torch/lib/libc10.so": "9"}', '{"\\u0000": 1}', "{", ""]:
            before = len(self.fetches())
            stamp.write_text(text)
            self.libtorch_of()
            self.assertEqual(len(self.fetches()), before + 2, text)
        stamp.write_bytes(b"\xff\x00")
        self.libtorch_of()

    def test_a_killed_fetch_leaves_nothing_that_is_trusted(self):
        process = self.start("true", FAKE_PIP="hang")
        while not list((self.cache / "libtorch").glob("partial-*/torch.whl.part")):
            self.assertIsNone(process.poll())
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)  # pip, too, as a power cut would
        process.communicate()
        self.assertFalse((self.checkout / ".cargo").exists())
        self.libtorch_of()
        self.assertEqual(self.folders(), ["1.2.3-cpu"])

    def test_a_failed_fetch_says_what_to_do_and_does_not_run_the_command(self):
        for mode, words in [
            ("fail", "pip could not fetch libtorch"),
            ("missing", "has no pip"),
            ("incomplete", "lacks libc10.so"),
        ]:
            code, out, err = self.run_script("echo", "ran", FAKE_PIP=mode)
            self.assertEqual((code, out), (1, ""))
            self.assertIn(words, err)
            self.assertNotIn("Traceback", err)
            self.assertEqual(self.folders(), [])

    def test_two_at_once_fetch_once(self):
        processes = [self.start("true") for _ in range(4)]
        for process in processes:
            process.communicate(timeout=HANGS)
            self.assertEqual(process.returncode, 0)
        self.assertEqual(len(self.fetches()), 2)

    def test_without_locks_it_warns_and_clears_nothing_of_others(self):
        (self.folder / "modules/sitecustomize.py").write_text(NO_LOCKS)
        (self.cache / "libtorch/partial-of-another-run").mkdir(parents=True)
        code, out, err = self.run_script("echo", "ran")
        self.assertEqual((code, out), (0, "ran\n"), err)
        self.assertIn("No locks available", err)
        self.assertEqual(self.folders(), ["1.2.3-cpu", "partial-of-another-run"])

    def test_pip_settings_that_contradict_the_fetch_are_overruled(self):
        self.libtorch_of(PIP_USER="1", PIP_REQUIRE_VIRTUALENV="1")

    def test_without_cargo_it_says_where_to_get_it(self):
        code, out, err = self.run_script("echo", "ran", PATH=str(self.folder / "modules"))
        self.assertEqual((code, out), (1, ""))
        self.assertIn("cargo is not on PATH", err)
        self.assertNotIn("Traceback", err)

    def test_without_a_network_for_cargo(self):
        code, out, err = self.run_script("echo", "ran", FAKE_CARGO="offline")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("could not resolve host", err)
        self.assertIn("the network", err)
        self.assertNotIn("Traceback", err)

    def test_in_another_project_its_tch_counts_and_its_cargo_is_configured(self):
        trainer = self.new_project("trainer", "1.3.0")
        libtorch = self.libtorch_of(folder=trainer / "src")
        self.assertEqual(libtorch, self.cache / "libtorch/1.3.0-cpu/torch")
        self.assertIn(f'LIBTORCH = "{libtorch}"', (trainer / ".cargo/config.toml").read_text())
        self.assertFalse((self.checkout / ".cargo").exists())
        self.assertEqual(self.libtorch_of(), self.cache / "libtorch/1.2.3-cpu/torch")
        self.assertEqual(self.libtorch_of("--cuda", folder=trainer), self.cache / "libtorch/1.3.0-cuda/torch")
        self.assertEqual(self.libtorch_of(folder=trainer), self.cache / "libtorch/1.3.0-cuda/torch")
        self.assertEqual(self.libtorch_of(), self.cache / "libtorch/1.2.3-cpu/torch")

    def test_in_a_project_without_tch_it_says_so(self):
        code, out, err = self.run_script("echo", "ran", folder=self.new_project("plain"))
        self.assertEqual((code, out), (1, ""))
        self.assertIn(f"the Cargo project {self.folder / 'plain'} does not use tch", err)
        self.assertEqual(self.fetches(), [])

    def test_a_configuration_above_serves_the_projects_inside(self):
        inside = self.new_project("checkout/fuzz", "1.2.3")
        self.assertEqual(self.libtorch_of(), self.libtorch_of(folder=inside))
        self.assertFalse((inside / ".cargo").exists())
        self.lock_torch_sys(inside, "1.3.0")
        self.libtorch_of(folder=inside)
        self.assertIn("1.3.0-cpu", (inside / ".cargo/config.toml").read_text())

    def test_a_libtorch_of_the_users_own_is_left_alone(self):
        for variable in ["LIBTORCH", "LIBTORCH_USE_PYTORCH"]:
            code, out, _ = self.run_script("printenv", variable, **{variable: "mine"})
            self.assertEqual((code, out), (0, "mine\n"))
        self.assertEqual(self.fetches(), [])
        self.assertFalse((self.checkout / ".cargo").exists())

    def test_a_cargo_configuration_of_the_users_own_is_left_alone(self):
        config = self.checkout / ".cargo/config.toml"
        config.parent.mkdir()
        config.write_text("[build]\njobs = 1\n")
        code, _, err = self.run_script("true")
        self.assertEqual(code, 0)
        line = f'LIBTORCH = "{self.cache}/libtorch/1.2.3-cpu/torch"\n'
        self.assertIn(f"its [env] needs the line {line}", err)
        self.assertEqual(config.read_text(), "[build]\njobs = 1\n")
        config.write_text("[env]\n" + line)
        self.assertEqual(self.run_script("true"), (0, "", ""))

    def test_a_cargo_configuration_that_cannot_be_written(self):
        (self.checkout / ".cargo").touch()
        code, out, err = self.run_script("echo", "ran")
        self.assertEqual((code, out), (0, "ran\n"))
        self.assertIn("plain cargo commands will not find libtorch", err)

    def test_quotes_and_backslashes_in_the_caches_path(self):
        cache = self.folder / 'a "quoted" \\u0041 é 🦀'
        libtorch = self.libtorch_of("--cuda", TCH_LOSSES_CACHE=str(cache))
        self.assertEqual(libtorch, cache / "libtorch/1.2.3-cuda/torch")
        config = (self.checkout / ".cargo/config.toml").read_text(encoding="utf-8")
        self.assertIn(r'/a \"quoted\" \\u0041 é 🦀/libtorch/1.2.3-cuda/torch"', config)
        if tomllib:
            self.assertEqual(tomllib.loads(config)["env"]["LIBTORCH"], str(libtorch))
        # Still that one, so it was read back.
        self.assertEqual(self.libtorch_of(TCH_LOSSES_CACHE=str(cache)), libtorch)

    def test_cuda_is_installed_whole_and_stays_in_use(self):
        libtorch = self.libtorch_of("--cuda")
        self.assertEqual(libtorch, self.cache / "libtorch/1.2.3-cuda/torch")
        self.assertTrue((libtorch / "lib/libtorch_cuda.so").exists())
        self.assertEqual(self.libtorch_of(), libtorch)

    def test_the_commands_exit_code_is_passed_on(self):
        self.assertEqual(self.run_script("sh", "-c", "exit 7")[0], 7)
        code, _, err = self.run_script("no-such-command")
        self.assertEqual(code, 1)
        self.assertIn("cannot run no-such-command", err)

    def test_usage(self):
        self.assertEqual(self.run_script()[0], 2)
        self.assertEqual(self.run_script("--cuda")[0], 2)
        code, out, _ = self.run_script("--help")
        self.assertEqual(code, 0)
        self.assertIn("usage:", out)

    def test_a_cache_that_cannot_be_written(self):
        blocker = self.folder / "file"
        blocker.write_text("")
        code, _, err = self.run_script("true", TCH_LOSSES_CACHE=str(blocker))
        self.assertEqual(code, 1)
        self.assertIn("cannot write to the cache folder", err)

    def test_the_stamp_lists_every_file(self):
        folder = self.libtorch_of().parent
        stamp = json.loads((folder / "complete.json").read_text())
        self.assertEqual(stamp["torch/lib/libtorch_cpu.so"], len("libtorch_cpu.so"))
        self.assertIn("nvidia/cu13/lib/libcudart.so.13", stamp)


if __name__ == "__main__":
    unittest.main()
