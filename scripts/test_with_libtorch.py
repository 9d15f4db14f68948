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

SCRIPT = Path(__file__).resolve().parent / "with-libtorch"

# `cargo metadata` of a project that is locked to the torch-sys in ./torch-sys.
CARGO = """#!/bin/sh
echo '{"packages": [{"name": "torch-sys", "version": "0.1.0", "manifest_path": "'"$FAKE_TORCH_SYS"'/Cargo.toml"}]}'
"""

PIP = '''
import os, sys, time, zipfile
from pathlib import Path

arguments, mode = sys.argv[1:], os.environ.get("FAKE_PIP", "good")
if arguments == ["--version"]:
    sys.exit(mode == "missing")
print("pip speaks on stdout")
with open(os.environ["FAKE_PIP_LOG"], "a") as log:
    log.write(" ".join(arguments) + "\\n")
if mode == "fail":
    sys.exit("no matching distribution")
if arguments[0] == "download":
    folder = Path(arguments[arguments.index("--dest") + 1])
    if mode == "hang":
        (folder / "torch.whl.part").write_text("half")
        time.sleep(60)
    (torch,) = (argument for argument in arguments if argument.startswith("torch=="))
    with zipfile.ZipFile(folder / "torch-any.whl", "w") as wheel:
        for name in ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libtorch_cuda.so", "libtorch.so"]:
            if not (mode == "incomplete" and name == "libc10.so"):
                wheel.writestr("torch/lib/" + name, name)
        wheel.writestr("torch/include/torch/torch.h", "// header")
        wheel.writestr("torch/nn/__init__.py", "")
        wheel.writestr("torch-1.2.3.dist-info/METADATA", "Requires-Dist: cuda-toolkit[cublas,cudart]==13.0.3; x")
else:
    folder = Path(arguments[arguments.index("--target") + 1])
    if any(argument.startswith("torch==") for argument in arguments):
        (folder / "torch/lib").mkdir(parents=True)
        (folder / "torch/lib/libtorch_cuda.so").write_text("cuda")
    else:
        (folder / "nvidia/cu13/lib").mkdir(parents=True)
        (folder / "nvidia/cu13/lib/libcudart.so.13").write_text("cudart")
'''


class WithLibtorch(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="with libtorch "))  # a space, as in some home folders
        self.addCleanup(shutil.rmtree, self.folder)
        self.cache = self.folder / "cache"
        self.checkout = self.new_checkout("checkout")
        torch_sys = self.folder / "torch-sys"
        torch_sys.mkdir()
        (torch_sys / "build.rs").write_text('const TORCH_VERSION: &str = "1.2.3";')
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
            "FAKE_TORCH_SYS": str(torch_sys),
            "FAKE_PIP_LOG": str(self.pip_log),
        }

    def new_checkout(self, name):
        checkout = self.folder / name
        (checkout / "scripts").mkdir(parents=True)
        shutil.copy(SCRIPT, checkout / "scripts")
        return checkout

    def start(self, *arguments, checkout=None, **environment):
        command = [sys.executable, (checkout or self.checkout) / "scripts/with-libtorch", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {**self.environment, **environment}
        return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)

    def run_script(self, *arguments, **options):
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=60)
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
        (Path(self.environment["FAKE_TORCH_SYS"]) / "build.rs").write_text('const TORCH_VERSION: &str = "1.3.0";')
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
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0)
        self.assertEqual(len(self.fetches()), 2)

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
        self.assertIn("add LIBTORCH", err)
        self.assertEqual(config.read_text(), "[build]\njobs = 1\n")

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
