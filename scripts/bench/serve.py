"""One process of PyTorch, with the protocol of examples/bench_peers. Imports torch."""

import contextlib
import ctypes
import json
import re
import statistics
import sys
import time
from pathlib import Path

import safetensors.torch
import torch

import peer_discriminator
from bench import everyday, originals, torch_nn

# As a trainer's loss scaling, without which f16 has no small gradients.
SCALE = {"f16": 65536.0}


def status(name):
    """A line of /proc/self/status, in bytes."""
    (line,) = re.findall(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    return int(line) * 1024


class Work:
    """One piece of work, ready for its first step."""

    def __init__(self, setup, flavour):
        self.setup, self.device, self.on_cuda = setup, setup["device"], setup["device"] == "cuda"
        torch.backends.cudnn.benchmark = setup["cudnn_benchmark"]
        if self.on_cuda:
            allowed = setup["compute"] == "tf32"
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
        images = safetensors.torch.load_file(setup["images"], device=self.device)
        weights = safetensors.torch.load_file(setup["weights"], device=self.device) if setup["weights"] else {}
        self.scale, self.on_numbers = SCALE.get(setup["compute"], 1.0), None
        if "/" in setup["work"]:
            loss, of_torch_nn = setup["work"].removeprefix("nn/"), setup["work"].startswith("nn/")
            module = torch_nn.module_of(loss, images) if of_torch_nn else everyday.BY_NAME[loss].reference()
            self.on_numbers = torch_nn.Work(loss, module, images, flavour == "compiled", self.synchronize)
            self.step = self.on_numbers.step
        elif setup["work"] in peer_discriminator.STEPS:
            self.step = peer_discriminator.Step(setup["work"], weights, images)
        else:
            self.step = self.of_images
            self.make(setup["work"], flavour, images, weights)
        if flavour in ("compiled", "tuned"):
            # Compiles, which must not count as memory of the step; nor must what it left free hide that.
            self.step()
            ctypes.CDLL(None).malloc_trim(0)

    def make(self, work, flavour, images, weights):
        self.fake, self.real = images["fake"], images["real"]
        module = originals.module_of(work, flavour == "tuned", weights, images)
        if isinstance(module, torch.nn.Module):
            module = module.to(self.device)
        if flavour == "tuned":
            module = module.to(memory_format=torch.channels_last)
            layout = torch.channels_last
            self.fake, self.real = (x.contiguous(memory_format=layout) for x in (self.fake, self.real))
        if isinstance(module, originals.CachedPerceptual):
            with self.autocast():
                module.prepare(self.real)
        self.module = torch.compile(module) if flavour in ("compiled", "tuned") else module

    def autocast(self):
        half = {"bf16": torch.bfloat16, "f16": torch.float16}.get(self.setup["compute"])
        return torch.autocast(self.device, half) if half else contextlib.nullcontext()

    def of_images(self):
        leaf = self.fake.detach().requires_grad_()
        with self.autocast():
            loss = self.module(leaf, self.real)
        (loss * self.scale if self.scale != 1 else loss).backward()
        return loss.detach(), leaf.grad

    def synchronize(self):
        if self.on_cuda:
            torch.cuda.synchronize()

    def first(self):
        if self.on_cuda:
            self.base = torch.cuda.memory_allocated()
        else:
            Path("/proc/self/clear_refs").write_text("5")
            self.base = status("VmRSS")
        loss, gradient = self.step()
        answer = {"value": loss.item(), "norm": gradient.norm().item() / self.scale}
        if self.on_cuda:
            # Without the trials of cuDNN's benchmark.
            torch.cuda.reset_peak_memory_stats()
        return answer

    def steps(self):
        if self.on_numbers:
            return self.on_numbers.seconds(self.setup["turn"])
        start, taken = time.perf_counter(), []
        while time.perf_counter() - start < self.setup["turn"]:
            self.synchronize()
            begin = time.perf_counter()
            self.step()
            self.synchronize()
            taken.append(time.perf_counter() - begin)
        return {"seconds": statistics.median_high(taken[1:] or taken)}

    def memory(self):
        peak = torch.cuda.max_memory_allocated() if self.on_cuda else status("VmHWM")
        return {"bytes": max(0, peak - self.base)}

    def waits(self):
        """Whether a step returns only when the device has done what was queued before: see the Rust half."""
        matrix = torch.rand(8192, 8192, device=self.device)

        def occupy(times):
            product = matrix
            for _ in range(times):
                product = matrix @ product
            return product

        def seconds(work):
            self.synchronize()
            start = time.perf_counter()
            work()
            returned = time.perf_counter() - start
            self.synchronize()
            return returned, time.perf_counter() - start

        occupy(1)
        _, one = seconds(lambda: occupy(1))
        times = max(1, min(300, int(0.3 / one)))
        shares = []
        for _ in range(3):
            _, busy = seconds(lambda: occupy(times))
            returned, _ = seconds(lambda: (occupy(times), self.step()))
            shares.append(returned / busy)
        torch.cuda.set_sync_debug_mode("error")
        try:
            self.step()
            synchronizing = None
        except RuntimeError as error:
            synchronizing = str(error)[:200]
        torch.cuda.set_sync_debug_mode("default")
        return {"share": min(shares), "synchronizing": synchronizing}


def serve(flavour):
    work = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if isinstance(request, dict):
                work = Work(request["setup"], flavour)
                answer = {}
            else:
                answer = getattr(work, request)()
        except Exception as error:
            answer = {"refused": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        print(json.dumps(answer), flush=True)
        if "refused" in answer:
            return
