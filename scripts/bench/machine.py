"""What the figures are measured on. Imports torch."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

import torch

# Vector instructions that libtorch's kernels differ by.
KNOWN = ["avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "asimd", "sve", "bf16"]


def rustc():
    try:
        return subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    except OSError:
        return "no rustc"


def describe(device):
    cpu, flags = platform.processor() or platform.machine(), ""
    if Path("/proc/cpuinfo").exists():
        text = Path("/proc/cpuinfo").read_text()
        (cpu, *_) = re.findall(r"^model name\s*: (.*)$", text, re.M) or [cpu]
        (flags, *_) = re.findall(r"^(?:flags|Features)\s*: (.*)$", text, re.M) or [""]
    described = {
        "device": device,
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in KNOWN if flag in flags.split()],
        "os": platform.platform(),
        "torch": torch.__version__,
        "rustc": rustc(),
        "load": os.getloadavg()[0],
    }
    if device == "cuda":
        described["gpu"] = torch.cuda.get_device_name()
    return described


def bandwidth(device):
    """Bytes per second, read and written, of a copy of 256 MB."""
    source = torch.ones(64 << 20, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(7):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best
