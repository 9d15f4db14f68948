#!/usr/bin/env python3
"""Makes src/losses/perceptual/dists/weights.safetensors of the weights in the package DISTS-pytorch 0.1.

    python3 scripts/dists_weights.py

The file has `alpha` and `beta`, f32 of [1475]: 3 channels of the images, then 64, 128, 256, 512 and 512 of the features.
"""

import hashlib
import sys
from pathlib import Path

import peer_env

REQUIREMENTS = ["torch==2.13.0", "torchvision==0.28.0", "numpy==2.4.6", "safetensors==0.8.0", "DISTS-pytorch==0.1"]
SHA256 = "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218"
CHANNELS = 3 + 64 + 128 + 256 + 512 + 512


def main():
    import torch
    from safetensors.torch import save_file

    # Where the package's installation puts it, and where the package reads it.
    path = Path(sys.prefix) / "weights.pt"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256, f"{path} is another file"
    weights = torch.load(path, weights_only=True)
    tensors = {name: weights[name].detach().reshape(CHANNELS).contiguous() for name in ("alpha", "beta")}
    out = peer_env.REPOSITORY / "src" / "losses" / "perceptual" / "dists" / "weights.safetensors"
    save_file(tensors, out)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    peer_env.parser(__doc__).parse_args()
    peer_env.ensure(REQUIREMENTS)
    main()
