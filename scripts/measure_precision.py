#!/usr/bin/env python3
"""Measures how far PerceptualLoss in f32, f16 and bf16 is from f64, on trained weights.

The weights are the convolutions of a trained VGG16 in VGG19's places (trained.py says whose). The images are parts of
256x256 of the photos in assets/photos, compared with blurred and noisy copies.

Each seed chooses a part and its noise. For the value and the gradient, the median, the 90th percentile and the largest
of the relative errors over the seeds are printed, as found on this machine, and with its instruction set capped at
AVX2 and at SSE4.1. All of it takes some minutes; nothing here is a test.
"""

import os
import subprocess
from pathlib import Path

import peer_env
import trained

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

peer_env.ensure(trained.REQUIREMENTS)


def main():
    weights = trained.weights("vgg19", "signed")
    arguments = [weights, ROOT / "assets" / "photos", OPTIONS.taps, OPTIONS.kinds, str(OPTIONS.seeds)]
    for cap in OPTIONS.cap or CAPS:
        print(f"== {cap}", flush=True)
        command = ["cargo", "run", "--quiet", "--example", "precision", "--", *arguments]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **CAPS[cap]}, check=True)


if __name__ == "__main__":
    main()
