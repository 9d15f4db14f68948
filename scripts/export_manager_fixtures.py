"""Exports what a training run under the reference's loss manager records: tests/fixtures/manager.json.

    python3 scripts/export_manager_fixtures.py [--out DIR]

The file holds

    schedules   tables of weights: {"kind", "start_epoch", .., "values": the weight in the epochs 0 to 24}
    printed     lines about losses and weights, each with what it was printed from
    log         the `loss_log.json` of 200 steps, four to an epoch, with scheduled weights

The images of step s are `noise(10 * s + k, shape)`, k being 0 for the fake, 1 for the real image, 2 and 3 for the
discriminator's output for either; both sides compute them.
"""

import json

import peer_env

if __name__ == "__main__":
    OUT = peer_env.out_folder(__doc__)

peer_env.ensure(["torch==2.13.0", "torchvision==0.28.0", "numpy==2.4.6", "safetensors==0.8.0"])

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from export_fixtures import Laplacian, Sobel  # noqa: E402

STEPS, STEPS_PER_EPOCH = 200, 4


class Schedule:
    """Epochs of the options count from 1, the one that is asked about from 0."""

    def __init__(self, kind, start_epoch, end_epoch, initial_value, target_value):
        self.options = dict(
            kind=kind,
            start_epoch=start_epoch,
            end_epoch=end_epoch,
            initial_value=initial_value,
            target_value=target_value,
        )
        self.kind, self.initial, self.target = kind, initial_value, target_value
        self.start, self.end = start_epoch - 1, end_epoch - 1

    def __call__(self, epoch):
        t = max(0.0, min(1.0, (epoch - self.start) / (self.end - self.start)))
        if self.kind == "linear":
            value = self.initial + t * (self.target - self.initial)
        else:
            initial, target = self.initial or 1e-9, self.target or 1e-9
            value = initial * (target / initial) ** t
        low, high = sorted([self.initial, self.target])
        return max(max(0.0, low), min(high, value))


SCHEDULES = [
    Schedule("linear", 0, 10, 1.0, 0.0),
    Schedule("linear", 1, 11, 0.0, 10.0),
    Schedule("linear", 5, 20, 100.0, 30.0),
    Schedule("linear", 3, 4, 0.25, 1.0),
    Schedule("linear", 1, 21, 1.0, -1.0),
    Schedule("exponential", 0, 10, 1.0, 0.0),
    Schedule("exponential", 1, 11, 0.0, 10.0),
    Schedule("exponential", 5, 20, 100.0, 30.0),
    Schedule("exponential", 2, 9, 0.001, 1000.0),
]


class LossManager:
    def __init__(self):
        self.losses, self.history = {}, {}

    def register(self, name, loss, weight):
        self.losses[name] = (loss, weight if callable(weight) else lambda epoch: weight)
        self.history[name] = {"loss": [], "weights": []}

    def compute_loss_xy(self, name, x, y, epoch):
        loss, weight = self.losses[name]
        weighted = loss(x, y) * weight(epoch)
        self.history[name]["loss"].append(weighted.detach().mean().item())
        self.history[name]["weights"].append(weight(epoch))
        return weighted

    def print_losses(self, epoch, iters, precision):
        last = {name: history["loss"][-1] for name, history in self.history.items()}
        text = " ".join(f"{name}: {round(value, precision)}" for name, value in last.items())
        return f"(epoch: {epoch}, iters: {iters}) Loss: {text}"

    def print_weights(self, epoch, precision):
        text = " ".join(f"{name}: {round(weight(epoch), precision)}" for name, (_, weight) in self.losses.items())
        return f"Loss weights: {text}"


def noise(seed, shape):
    """Values in [-1, 1] from an integer hash of the element's index."""
    mask = np.uint64(0xFFFFFFFF)
    x = np.arange(np.prod(shape), dtype=np.uint64)
    x = (x * np.uint64(0x9E3779B1) + np.uint64((seed * 0x85EBCA77) & 0xFFFFFFFF)) & mask
    x ^= x >> np.uint64(16)
    x = (x * np.uint64(0x7FEB352D)) & mask
    x ^= x >> np.uint64(15)
    x = (x * np.uint64(0x846CA68B)) & mask
    x ^= x >> np.uint64(16)
    values = 2.0 * (x.astype(np.float64) / 2.0**32) - 1.0
    return torch.from_numpy(values).float().reshape(shape)


def run():
    manager = LossManager()
    manager.register("G_GAN", nn.BCEWithLogitsLoss(), 1.0)
    manager.register("G_L1", nn.L1Loss(), Schedule("linear", 11, 31, 100.0, 10.0))
    manager.register("G_L2", nn.MSELoss(reduction="sum"), 0.01)
    manager.register("G_SOBEL", Sobel(), Schedule("exponential", 1, 41, 0.1, 10.0))
    manager.register("G_LAP", Laplacian(reduction="none"), Schedule("linear", 0, 10, 1.0, 0.0))
    manager.register("D_real", nn.BCEWithLogitsLoss(), 1.0)
    manager.register("D_fake", nn.BCEWithLogitsLoss(), 1.0)
    printed = []
    for step in range(STEPS):
        epoch = step // STEPS_PER_EPOCH
        fake, real = (noise(10 * step + k, (2, 3, 8, 8)) for k in (0, 1))
        output_fake, output_real = (noise(10 * step + k, (2, 1, 3, 3)) for k in (2, 3))
        manager.compute_loss_xy("D_real", output_real, torch.ones_like(output_real), epoch)
        manager.compute_loss_xy("D_fake", output_fake, torch.zeros_like(output_fake), epoch)
        manager.compute_loss_xy("G_GAN", output_fake, torch.ones_like(output_fake), epoch)
        for name in ["G_L1", "G_L2", "G_SOBEL", "G_LAP"]:
            manager.compute_loss_xy(name, fake, real, epoch)
        if step % 50 == 49:
            for precision in [2, 4]:
                printed.append(
                    {
                        "step": step,
                        "precision": precision,
                        "losses": manager.print_losses(epoch, step, precision),
                        "weights": manager.print_weights(epoch, precision),
                    }
                )
    log = {
        "device": "cpu",
        "dataroot": "images",
        "dataset_length": 8,
        "experiment": "fixture",
        "loss_functions": manager.history,
    }
    return printed, {"LOSSMANAGER_LOG": log}


def main():
    printed, log = run()
    tables = [schedule.options | {"values": [schedule(epoch) for epoch in range(25)]} for schedule in SCHEDULES]
    fixture = {"torch": torch.__version__.split("+")[0], "schedules": tables, "printed": printed, "log": log}
    text = json.dumps(fixture, separators=(",", ":"))
    # A line to each part: a change can be seen in a diff.
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "manager.json").write_text(text.replace(',"schedules"', ',\n"schedules"').replace(',"printed"', ',\n"printed"').replace(',"log"', ',\n"log"') + "\n")


if __name__ == "__main__":
    main()
