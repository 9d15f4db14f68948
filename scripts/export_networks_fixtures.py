"""Exports torchvision's networks for the tests of `Network`: tests/fixtures/networks.safetensors.

    python3 scripts/export_networks_fixtures.py              # from any directory; fetches pinned packages once
    python3 scripts/export_networks_fixtures.py --out DIR    # write elsewhere, e.g. to compare with the committed file

The file has the form of those of `export_fixtures.py`. Its cases:

    layers.{network}         for each VGG, as options: `layers`, the type of each layer of `features`, and `parameters`,
                             name and shape of each floating tensor of its state dict
    features.{f32,f64}       of vgg11_bn with hashed weights: `input`, and one role per layer with its output's name,
                             `bn1_1`, or `bn1_1.everyN` with each Nth element of the flattened output
    gradient.{tap}-{tap}...  of vgg11_bn in f64: `input`, and `grad_input`, the gradient of the sum of the products of each
                             tap's features and `upstream.{tap}`'s numbers, which both sides compute (`hashed`)
"""

import math

import peer_env

if __name__ == "__main__":
    OUT = peer_env.out_folder(__doc__)

peer_env.ensure(["torch==2.13.0", "torchvision==0.28.0", "numpy==2.4.6", "safetensors==0.8.0"])

import torch  # noqa: E402
import torchvision  # noqa: E402
from torch import nn  # noqa: E402

from export_fixtures import Draw, Fixture, activations, hashed  # noqa: E402

NETWORKS = [f"vgg{size}{norm}" for size in (11, 13, 16, 19) for norm in ("", "_bn")]
ROLES = {nn.Conv2d: "conv", nn.BatchNorm2d: "bn", nn.ReLU: "relu", nn.MaxPool2d: "pool"}
LARGEST = 256  # elements of a layer that are recorded
GRADIENTS = [["relu5_2"], ["conv2_1", "bn3_1", "relu3_2", "pool4"], ["bn1_1", "relu1_1", "pool1"], ["conv5_2", "pool5"]]


def features_of(name):
    """A network without memory for its parameters."""
    with torch.device("meta"):
        return getattr(torchvision.models, name)(weights=None).features


def layers():
    fixture = Fixture("networks")
    for name in NETWORKS:
        network = features_of(name)
        floating = {key: list(value.shape) for key, value in network.state_dict().items() if value.is_floating_point()}
        options = {
            "layers": [type(layer).__name__ for layer in network],
            "parameters": {f"features.{key}": shape for key, shape in floating.items()},
        }
        fixture.add(f"layers.{name}", "Network", torch.float32, options, {})
    return fixture


def vgg11_bn():
    """With hashed weights, frozen; and the index of each layer by its name."""
    network = features_of("vgg11_bn").to_empty(device="cpu").eval().requires_grad_(False)
    taps, block, place = {}, 1, 1
    for index, layer in enumerate(network):
        role = ROLES[type(layer)]
        if isinstance(layer, nn.Conv2d):
            layer.weight.copy_(hashed(index, 0, layer.weight.shape, math.sqrt(6.0 / (layer.in_channels * 9))))
            layer.bias.copy_(hashed(index, 1, layer.bias.shape, 0.05))
        elif isinstance(layer, nn.BatchNorm2d):
            # Factors and variances around 1; the four roles draw from streams that no other layer has.
            layer.weight.copy_(1 + hashed(index, 0, layer.weight.shape, 0.5))
            layer.bias.copy_(hashed(index, 1, layer.bias.shape, 0.1))
            layer.running_mean.copy_(hashed(index, 2, layer.running_mean.shape, 0.1))
            layer.running_var.copy_(1 + hashed(index, 3, layer.running_var.shape, 0.5))
        elif isinstance(layer, nn.ReLU):
            layer.inplace = False  # same numbers, and nothing that was handed out is overwritten
        taps[f"pool{block}" if role == "pool" else f"{role}{block}_{place}"] = index
        if role == "relu":
            place += 1
        elif role == "pool":
            block, place = block + 1, 1
    return network, taps


def add_features(fixture, network, taps):
    for dtype, precision in ((torch.float32, "f32"), (torch.float64, "f64")):
        network.to(dtype)  # each weight is a float32 exactly: nothing is lost on the way back
        draw = Draw(name := f"features.{precision}", dtype)
        tensors = {"input": (images := draw.uniform((1, 3, 32, 32)))}
        for tap, tensor in activations(network, taps, images.clone()).items():
            if tensor.numel() > LARGEST:
                step = tensor.numel() // LARGEST + 1
                tap, tensor = f"{tap}.every{step}", tensor.flatten()[::step]
            tensors[tap] = tensor
        fixture.add(name, "vgg11_bn", dtype, {}, tensors)


def add_gradients(fixture, network, taps):
    network.to(torch.float64)
    for wanted in GRADIENTS:
        draw = Draw(name := f"gradient.{'-'.join(wanted)}", torch.float64)
        images = draw.uniform((1, 3, 33, 35)).requires_grad_()
        found = activations(network, {tap: taps[tap] for tap in wanted}, images)
        upstream = {tap: hashed(1000 + taps[tap], 0, found[tap].shape, 1.0).double() for tap in wanted}
        total = sum((found[tap] * upstream[tap]).sum() for tap in wanted)
        (gradient,) = torch.autograd.grad(total, [images])
        fixture.add(name, "vgg11_bn", torch.float64, {"taps": wanted}, {"input": images, "grad_input": gradient})


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    OUT.mkdir(parents=True, exist_ok=True)
    fixture, (network, taps) = layers(), vgg11_bn()
    add_features(fixture, network, taps)
    add_gradients(fixture, network, taps)
    fixture.save(OUT)


if __name__ == "__main__":
    main()
