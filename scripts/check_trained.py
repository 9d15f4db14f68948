#!/usr/bin/env python3
"""Compares the losses on networks with their original packages, on trained weights and photos.

The weights are the convolutions of a trained VGG16 (trained.py says whose), also in VGG19's places. The images are parts
of 128x128 of the photos in assets/photos, and blurred, noisy copies of them. The originals run in f64. For each loss the
table has the largest relative error of the value and the median of that of the gradient: of this crate in f64, in f32,
in f32 with a network in bf16, and of the original in f32.

All of it takes some minutes; nothing here is a test.
"""

import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import peer_env
import trained

ROOT = Path(__file__).resolve().parent.parent
SIDE = 128


def parse():
    parser = peer_env.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=6, help="how many pairs of images (default: 6)")
    parser.add_argument("--only", default="", help="the checks whose names contain this")
    return parser.parse_args()


if __name__ == "__main__":
    OPTIONS = parse()

peer_env.ensure(
    [
        "torch==2.13.0",
        "torchvision==0.28.0",
        "lpips==0.1.4",
        "DISTS-pytorch==0.1",
        "piq==0.8.0",
        "torchmetrics==1.9.0",
        "pillow==13.0.0",
        *trained.REQUIREMENTS,
    ]
)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load, load_file, save_file  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from fixtures import trunks  # noqa: E402

hashed_trunk = trunks.trunk


def trained_trunk(name, pooling):
    network, taps = hashed_trunk(name, pooling)
    weights = load_file(trained.weights(name, "imagenet"))
    network.load_state_dict({key.removeprefix("features."): tensor for key, tensor in weights.items()}, strict=False)
    return network, taps


# Before the modules that take their networks from there.
trunks.trunk = trained_trunk

from fixtures import contextual, dists, lpips_losses, presets  # noqa: E402


def preset(name, factor=1, shift=0, **options):
    """A preset with the images' range, of which the original takes `factor * image + shift`."""
    trunk = options.pop("trunk", "vgg19")

    def original(input, target):
        return presets.preset(factor * input + shift, factor * target + shift, name, trunk)

    return {"loss": "PerceptualLoss", "preset": name, "trunk": trunk, **options}, original


def lpips_vgg(version):
    options = {"net": "vgg", "trunk": "vgg16", "version": version, "data_range": "unit"}
    return {"loss": "LPIPS", **options}, functools.partial(lpips_losses.lpips_loss, **options)


# The options in an objective's file, and what the original makes of images from 0 to 1.
CHECKS = {
    "LPIPS, vgg, 0.1": lpips_vgg("0.1"),
    "LPIPS, vgg, 0.0": lpips_vgg("0.0"),
    "DISTS": ({"loss": "DISTS", "trunk": "vgg16"}, dists.dists),
    "contextual, relu3_4": ({"loss": "ContextualLoss", "trunk": "vgg19"}, contextual.contextual_loss),
    "esrgan": preset("esrgan"),
    "real_esrgan": preset("real_esrgan"),
    "gfpgan, with style": preset("gfpgan", 2, -1, data_range="unit"),
    "pix2pixhd": preset("pix2pixhd"),
    "johnson, with style": preset("johnson", 255, trunk="vgg16", data_range="unit"),
    "piq_content": preset("piq_content", trunk="vgg16"),
    "piq_style": preset("piq_style", trunk="vgg16"),
}


def images(count):
    """Pairs of an input and its target, in f64."""
    paths = sorted(path for path in (ROOT / "assets" / "photos").iterdir() if path.suffix in (".png", ".jpg"))
    photos = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    generator = torch.Generator().manual_seed(0)
    found = {}
    for pair in range(count):
        photo = torch.tensor(photos[pair % len(photos)], dtype=torch.float64).permute(2, 0, 1) / 255
        top, left = (int(torch.randint(side - SIDE + 1, (), generator=generator)) for side in photo.shape[1:])
        target = photo[None, :, top : top + SIDE, left : left + SIDE].contiguous()
        noise = 0.025 * torch.randn(target.shape, generator=generator, dtype=torch.float64)
        found[f"input.{pair}"] = (F.avg_pool2d(target, 3, 1, 1) + noise).clamp(0, 1)
        found[f"target.{pair}"] = target
    return found


def ours(folder, checks, pairs, kind, network):
    """Values and gradients by name, of images of a kind and a network in another."""
    lines = []
    for name, (options, _) in checks.items():
        options = dict(options)
        loss = options.pop("loss")
        options |= {"weights": str(trained.weights(options.pop("trunk"), "imagenet")), "kind": network}
        lines += [f"[losses.{json.dumps(name)}]", f"loss = {json.dumps(loss)}"]
        lines += [f"options.{key} = {json.dumps(value)}" for key, value in options.items()]
    (folder / "objective.toml").write_text("\n".join(lines))
    save_file({name: tensor.to(kind) for name, tensor in pairs.items()}, folder / "images.safetensors")
    files = [folder / name for name in ("objective.toml", "images.safetensors", "results.safetensors")]
    command = ["cargo", "run", "--quiet", "--locked", "--example", "trained", "--", *files]
    subprocess.run(command, cwd=ROOT, check=True)
    # Not mapped into memory: the next run writes to the same file.
    return load(files[2].read_bytes())


def originals(checks, pairs, kind):
    found = {}
    for name, (_, original) in checks.items():
        for pair in range(len(pairs) // 2):
            input, target = (pairs[f"{role}.{pair}"].to(kind) for role in ("input", "target"))
            input = input.clone().requires_grad_()
            value = original(input, target)
            value.backward()
            found[f"{name}.{pair}.value"], found[f"{name}.{pair}.gradient"] = value.detach(), input.grad
    return found


def errors(name, found, truth, pairs):
    def relative(role, pair):
        own, exact = (tensors[f"{name}.{pair}.{role}"].double() for tensors in (found, truth))
        return float((own - exact).norm() / exact.norm())

    count = range(len(pairs) // 2)
    gradients = sorted(relative("gradient", pair) for pair in count)
    return max(relative("value", pair) for pair in count), gradients[len(gradients) // 2]


def main():
    checks = {name: check for name, check in CHECKS.items() if OPTIONS.only in name}
    if not checks:
        sys.exit(f"no check has {OPTIONS.only!r} in its name; there are {', '.join(CHECKS)}")
    pairs = images(OPTIONS.pairs)
    truth = originals(checks, pairs, torch.float64)
    with tempfile.TemporaryDirectory() as folder:
        run = functools.partial(ours, Path(folder), checks, pairs)
        columns = {
            "f64": run(torch.float64, "f64"),
            "f32": run(torch.float32, "f32"),
            "bf16": run(torch.float32, "bf16"),
            "original f32": originals(checks, pairs, torch.float32),
        }
    print("| loss | " + " | ".join(f"{column}: value, gradient" for column in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name in checks:
        cells = ("{:.0e}, {:.0e}".format(*errors(name, found, truth, pairs)) for found in columns.values())
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
