"""Exports PyTorch's values and gradients for the parity tests: tests/fixtures/*.safetensors.

    python3 scripts/export_fixtures.py              # from any directory; fetches pinned packages once, see peer_env.py
    python3 scripts/export_fixtures.py --out DIR    # write elsewhere, e.g. to compare with the committed files

The output is a function of this file: each case draws from a generator seeded with the case's own name, so that
adding a case changes no other one. Another kind of CPU may sum in another order and differ in the last bits.

Every file holds tensors `{case}/{role}` and two metadata keys: `torch`, the version, and `cases`, a JSON array of
`{"name", "loss", "dtype", "options"}`, where options are the non-tensor ones under PyTorch's names. Roles:

    input, target            both require a gradient
    value                    the loss; [] for the reductions mean and sum
    grad_output              an upstream gradient of value's shape
    grad_input, grad_target  the gradients of (value * grad_output).sum()
    weight, pos_weight       tensor options of BCEWithLogitsLoss

`vgg` has the activations instead: `input` and one role per ReLU, `relu3_2` or, where that has more than 4096
elements, `relu1_2.every7` with each seventh element of the flattened tensor. The network's weights are not stored:
both sides compute them (`hashed`), and the cases `weights.features.{k}` hold the first eight of each layer.
"""

import json
import math
import zlib
from pathlib import Path

import peer_env

if __name__ == "__main__":
    OUT = peer_env.out_folder(__doc__)

peer_env.ensure(["torch==2.13.0", "torchvision==0.28.0", "numpy==2.4.6", "safetensors==0.8.0"])

import numpy as np  # noqa: E402
import safetensors  # noqa: E402
import safetensors.torch  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

SIZE_LIMIT = 2_000_000  # bytes, all files together: they live in the repository
REDUCTIONS = ["none", "mean", "sum"]
DTYPES = {"f32": torch.float32, "f64": torch.float64}


# The losses that PyTorch does not have, in the plainest form.


def grey(images):
    return images.mean(dim=1, keepdim=True)


def filtered(grey_images, kernel):
    kernel = torch.tensor(kernel, dtype=grey_images.dtype).reshape(1, 1, 3, 3)
    return F.conv2d(grey_images, kernel, padding=1)


class Sobel(nn.Module):
    def __init__(self, reduction="mean", eps=1e-6):
        super().__init__()
        self.reduction, self.eps = reduction, eps

    def edges(self, images):
        gx = filtered(grey(images), [[1, 0, -1], [2, 0, -2], [1, 0, -1]])
        gy = filtered(grey(images), [[1, 2, 1], [0, 0, 0], [-1, -2, -1]])
        return torch.sqrt(gx**2 + gy**2 + self.eps)

    def forward(self, input, target):
        return F.l1_loss(self.edges(input), self.edges(target), reduction=self.reduction)


class Laplacian(nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def edges(self, images):
        return filtered(grey(images), [[0, 1, 0], [1, -4, 1], [0, 1, 0]])

    def forward(self, input, target):
        return F.l1_loss(self.edges(input), self.edges(target), reduction=self.reduction)


def hashed(layer, role, shape, bound):
    """A weight (role 0) or bias (role 1) of `features.{layer}`: in (-bound, bound), from the element's index alone."""
    mask = np.uint64(0xFFFFFFFF)
    x = np.arange(math.prod(shape), dtype=np.uint64)  # products of two 32-bit numbers fit
    x = (x * np.uint64(0x9E3779B1) + np.uint64((2 * layer + role + 1) * 0x85EBCA77)) & mask
    x ^= x >> np.uint64(16)
    x = (x * np.uint64(0x7FEB352D)) & mask
    x ^= x >> np.uint64(15)
    x = (x * np.uint64(0x846CA68B)) & mask
    x ^= x >> np.uint64(16)
    u = x.astype(np.float64) / 2.0**32
    return torch.from_numpy(((2.0 * u - 1.0) * bound).astype(np.float32)).reshape(shape)


def vgg19_features():
    """torchvision's VGG19 `features` with hashed weights, frozen; and the index of each ReLU by its name."""
    with torch.device("meta"):  # no memory and no time for random weights, nor for the classifier
        network = torchvision.models.vgg19(weights=None).features
    network = network.to_empty(device="cpu").eval().requires_grad_(False)
    taps, block, conv = {}, 1, 1
    for index, layer in enumerate(network):
        if isinstance(layer, nn.Conv2d):
            layer.weight.copy_(hashed(index, 0, layer.weight.shape, math.sqrt(6.0 / (layer.in_channels * 9))))
            layer.bias.copy_(hashed(index, 1, layer.bias.shape, 0.05))
        elif isinstance(layer, nn.ReLU):
            layer.inplace = False  # same numbers, and nothing that was handed out is overwritten
            taps[f"relu{block}_{conv}"] = index
            conv += 1
        else:
            block, conv = block + 1, 1
    return network, taps


def activations(network, taps, images):
    """The activation at each tap (name -> index into the network), in the network's order."""
    names = {index: name for name, index in taps.items()}
    found = {}
    for index, layer in enumerate(network):
        images = layer(images)
        if index in names:
            found[names[index]] = images
        if len(found) == len(taps):
            break
    return found


class VGGPerceptual(nn.Module):
    def __init__(self, network, indices, taps, criterion, normalization):
        super().__init__()
        self.network, self.taps, self.normalization = network, taps, normalization
        self.indices = {name: indices[name] for name, _ in taps}
        self.criterion = {"l1": F.l1_loss, "mse": F.mse_loss}[criterion]

    def normalized(self, images):
        if self.normalization == "none":
            return images
        if self.normalization == "imagenet_from_signed":
            images = (images + 1) / 2
        mean = torch.tensor([0.485, 0.456, 0.406], dtype=images.dtype).reshape(1, 3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225], dtype=images.dtype).reshape(1, 3, 1, 1)
        return (images - mean) / std

    def forward(self, input, target):
        fake = activations(self.network, self.indices, self.normalized(input))
        real = activations(self.network, self.indices, self.normalized(target))
        return sum(weight * self.criterion(fake[name], real[name]) for name, weight in self.taps)


# Random tensors and the fixture files.


class Draw:
    """Uniform random tensors that depend on the case's name only."""

    def __init__(self, name, dtype):
        self.dtype = dtype
        self.generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))

    def uniform(self, shape, low=-1.0, high=1.0):
        return low + (high - low) * torch.rand(shape, dtype=self.dtype, generator=self.generator)

    def chosen(self, shape, part):
        """True for about `part` of the elements."""
        return self.uniform(shape, 0.0, 1.0) < part

    def upstream(self, shape):
        """Of either sign and away from zero: a factor of nearly nothing would hide errors."""
        size = self.uniform(shape, 0.5, 2.0)
        return torch.where(self.chosen(shape, 0.5), size, -size)


class Fixture:
    def __init__(self, name):
        self.name, self.tensors, self.cases = name, {}, []

    def add(self, name, loss, dtype, options, tensors):
        assert all(case["name"] != name for case in self.cases), f"two cases {name}"
        dtype = {torch.float32: "float32", torch.float64: "float64"}[dtype]
        self.cases.append({"name": name, "loss": loss, "dtype": dtype, "options": options})
        for role, tensor in tensors.items():
            self.tensors[f"{name}/{role}"] = tensor.detach().clone(memory_format=torch.contiguous_format)

    def add_loss(self, name, draw, module, input, target, options, **tensor_options):
        leaves = [tensor.clone().requires_grad_() for tensor in (input, target)]
        value = module(*leaves)
        grad_output = draw.upstream(value.shape)
        grad_input, grad_target = torch.autograd.grad((value * grad_output).sum(), leaves)
        assert torch.equal(leaves[0], input) and torch.equal(leaves[1], target), f"{name}: the inputs were modified"
        roles = dict(input=input, target=target, value=value, grad_output=grad_output)
        roles |= dict(grad_input=grad_input, grad_target=grad_target) | tensor_options
        assert all(tensor.dtype == draw.dtype for tensor in roles.values()), name
        if input.numel() > 0:
            assert all(tensor.isfinite().all() for tensor in roles.values()), f"{name}: not finite"
        self.add(name, type(module).__name__, draw.dtype, options, roles)

    def save(self, directory):
        """Writes the file; returns its size."""
        self.cases.sort(key=lambda case: case["name"])
        metadata = {"cases": json.dumps(self.cases), "torch": torch.__version__.split("+")[0]}
        data = safetensors.torch.save(self.tensors, metadata)
        # The library writes the metadata keys in an order that changes from run to run.
        end = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:end])
        header["__metadata__"] = metadata
        header = json.dumps(header, separators=(",", ":")).encode()
        header += b" " * (-len(header) % 8)
        data = len(header).to_bytes(8, "little") + header + data[end:]
        reread = safetensors.torch.load(data)
        assert reread.keys() == self.tensors.keys()
        assert all(torch.equal(t.nan_to_num(), self.tensors[key].nan_to_num()) for key, t in reread.items())
        path = directory / f"{self.name}.safetensors"
        path.write_bytes(data)
        losses = sorted({case["loss"] for case in self.cases})
        counts = ", ".join(f"{sum(c['loss'] == loss for c in self.cases)} {loss}" for loss in losses)
        print(f"{path.name}: {len(data)} bytes; cases: {counts}")
        return len(data)


def label(shape):
    return "x".join(map(str, shape)) or "scalar"


# The cases.


def regression():
    fixture = Fixture("regression")
    shapes = [(1, 1, 1, 1), (2, 3, 7, 5), (1, 4, 6, 9), (3, 1, 8, 8), (), (5,), (3, 4)]
    for loss in (nn.L1Loss, nn.MSELoss):
        short = loss.__name__.removesuffix("Loss").lower()
        for precision, dtype in DTYPES.items():
            for reduction in REDUCTIONS:
                prefix, options = f"{short}.{precision}.{reduction}", {"reduction": reduction}

                def add(name, shape, equal=0.0):
                    draw = Draw(name, dtype)
                    input, target = draw.uniform(shape, -2, 2), draw.uniform(shape, -2, 2)
                    target = torch.where(draw.chosen(shape, equal), input, target)
                    fixture.add_loss(name, draw, loss(**options), input, target, options)

                for shape in shapes:
                    add(f"{prefix}.{label(shape)}", shape)
                add(f"{prefix}.third_equal", (2, 3, 5, 4), equal=1 / 3)  # the gradient of |0| is 0
                if reduction != "none":
                    add(f"{prefix}.empty", (0, 3))  # mean: nan, sum: 0
    return fixture


def classification():
    fixture = Fixture("classification")
    # (shape, weights that broadcast to it, pos_weight)
    shapes = [
        ((2, 1, 6, 6), [(2, 1, 1, 1)], (1, 1, 1)),  # a PatchGAN's logits
        ((2, 3, 4, 4), [(1, 1, 4, 4), (4,)], (3, 1, 1)),
        ((3, 5), [(5,)], (5,)),
        ((4,), [(1,)], (4,)),
    ]
    for precision, dtype in DTYPES.items():
        for reduction in REDUCTIONS:
            prefix, options = f"bce.{precision}.{reduction}", {"reduction": reduction}

            def add(name, shape, weight=None, pos_weight=None, logits=None, target=None):
                draw = Draw(name, dtype)
                if logits is None:
                    logits = draw.uniform(shape, -6, 6)
                if target is None:  # a third each of 0, 1 and soft
                    target = draw.uniform(shape, -1, 2).clamp(0, 1)
                given = {}
                if weight is not None:
                    given["weight"] = draw.uniform(weight, 0.25, 2)
                if pos_weight is not None:
                    given["pos_weight"] = draw.uniform(pos_weight, 0.25, 4)
                module = nn.BCEWithLogitsLoss(**options, **given)
                fixture.add_loss(name, draw, module, logits, target, options, **given)

            for shape, broadcast, pos_weight in shapes:
                here = f"{prefix}.{label(shape)}"
                add(f"{here}.plain", shape)
                add(f"{here}.pos_weight", shape, pos_weight=pos_weight)
                for weight in [shape, *broadcast]:
                    add(f"{here}.weight_{label(weight)}", shape, weight=weight)
                    add(f"{here}.weight_{label(weight)}.pos_weight", shape, weight=weight, pos_weight=pos_weight)
            # The discriminator's targets.
            for targets in (0, 1):
                add(f"{prefix}.all_{targets}", (2, 1, 6, 6), target=torch.full((2, 1, 6, 6), targets, dtype=dtype))
            # Every pair of an extreme logit and a target.
            logits, target = torch.meshgrid(
                torch.tensor([-100, -30, -1, -1e-4, 0, 1e-4, 1, 30, 100], dtype=dtype),
                torch.tensor([0, 0.25, 1], dtype=dtype),
                indexing="ij",
            )
            extreme = dict(shape=logits.shape, logits=logits.contiguous(), target=target.contiguous())
            add(f"{prefix}.extreme", **extreme)
            add(f"{prefix}.extreme.weight", **extreme, weight=(9, 3))
            add(f"{prefix}.extreme.pos_weight", **extreme, pos_weight=(3,))
            add(f"{prefix}.extreme.weight.pos_weight", **extreme, weight=(9, 3), pos_weight=(3,))
    return fixture


def edge():
    fixture = Fixture("edge")
    small = [(1, 1, 1, 1), (1, 3, 1, 1), (2, 3, 7, 5), (1, 1, 8, 8), (1, 4, 5, 12), (2, 3, 1, 9), (1, 3, 9, 1)]
    for loss in (Sobel, Laplacian):
        for precision, dtype in DTYPES.items():
            for reduction in REDUCTIONS:
                prefix = f"{loss.__name__.lower()}.{precision}.{reduction}"

                def add(name, draw, input, target, **more):
                    options = {"reduction": reduction} | more
                    # A difference of nearly nothing has a sign, hence a gradient, that hangs on rounding alone.
                    module = loss(**options)
                    difference = (module.edges(input) - module.edges(target)).abs()
                    scale = max(input.abs().max(), target.abs().max())
                    assert not ((0 < difference) & (difference < 2e-6 * scale)).any(), f"{name}: change its values"
                    fixture.add_loss(name, draw, module, input, target, options)

                def add_uniform(name, shape, low=-1.0, high=1.0, **more):
                    draw = Draw(name, dtype)
                    add(name, draw, draw.uniform(shape, low, high), draw.uniform(shape, low, high), **more)

                # The large one in f32 only, for its size.
                for shape in small + [(2, 3, 13, 16)] * (precision == "f32"):
                    add_uniform(f"{prefix}.{label(shape)}", shape)
                add_uniform(f"{prefix}.range_0_255", (1, 3, 6, 7), 0.0, 255.0)
                if loss is Sobel:
                    add_uniform(f"{prefix}.eps_1e-3", (2, 3, 7, 5), eps=1e-3)
                draw = Draw(name := f"{prefix}.identical", dtype)
                images = draw.uniform((2, 3, 6, 5))
                add(name, draw, images, images)
                # Numbers of few bits: sums of them are exact, so that the inside is exactly flat in any order.
                draw = Draw(name := f"{prefix}.flat", dtype)
                flat = torch.ones((2, 3, 5, 6), dtype=dtype)
                add(name, draw, 0.5 * flat, -0.75 * flat)
    return fixture


def perceptual(network, indices):
    fixture = Fixture("perceptual")
    default = dict(
        taps=[["relu1_2", 1.0], ["relu2_2", 1.0], ["relu3_3", 1.0]], criterion="l1", normalization="none"
    )
    other_taps = [["relu1_1", 0.5], ["relu2_1", 0.25], ["relu3_4", 2.0], ["relu4_1", 1.0], ["relu5_4", 3.0]]

    def gradients(module, images, dtype):
        module.network.to(dtype)  # each weight is a float32 exactly: nothing is lost on the way back
        leaves = [tensor.to(dtype, copy=True).requires_grad_() for tensor in images]
        return torch.cat([grad.double() for grad in torch.autograd.grad(module(*leaves), leaves)])

    def add(name, shape, low=-1.0, dtype=torch.float32, **changed):
        draw, options = Draw(name, dtype), default | changed
        module = VGGPerceptual(network, indices, **options)
        images = draw.uniform(shape, low), draw.uniform(shape, low)
        # Rounding can move one of the many activations across its ReLU's kink, or two across a maximum's tie, and so
        # change the gradient by a percent. Such draws would test the order of additions: take another name.
        exact, rounded = gradients(module, images, torch.float64), gradients(module, images, torch.float32)
        assert (exact - rounded).norm() < 1e-5 * exact.norm(), f"{name}: change its values"
        network.to(dtype)
        fixture.add_loss(name, draw, module, *images, options)

    for shape in [(1, 3, 4, 4), (2, 3, 17, 23), (1, 3, 32, 32)]:
        add(f"vgg.f32.default.{label(shape)}", shape)
    add("vgg.f32.mse.1x3x12x12", (1, 3, 12, 12), criterion="mse")
    add("vgg.f32.other_taps.1x3x32x32", (1, 3, 32, 32), taps=other_taps)
    add("vgg.f32.from_unit.1x3x12x12", (1, 3, 12, 12), low=0.0, normalization="imagenet_from_unit")
    add("vgg.f32.from_signed.1x3x12x12", (1, 3, 12, 12), normalization="imagenet_from_signed")
    for shape in [(1, 3, 4, 4), (1, 3, 9, 11)]:
        add(f"vgg.f64.default.{label(shape)}", shape, dtype=torch.float64)
    add("vgg.f64.mse.1x3x4x4", (1, 3, 4, 4), dtype=torch.float64, criterion="mse")
    add("vgg.f64.other_taps.1x3x16x16", (1, 3, 16, 16), dtype=torch.float64, taps=other_taps)
    for range_, low in [("unit", 0.0), ("signed", -1.0)]:
        options = {"normalization": f"imagenet_from_{range_}"}
        add(f"vgg.f64.from_{range_}.1x3x4x4", (1, 3, 4, 4), low, torch.float64, **options)
    network.to(torch.float32)
    return fixture


def vgg(network, indices):
    fixture = Fixture("vgg")
    for index, layer in enumerate(network):
        if isinstance(layer, nn.Conv2d):
            first = {"check": layer.weight.flatten()[:8], "check_bias": layer.bias[:8]}
            fixture.add(f"weights.features.{index}", "VGG19", torch.float32, {}, first)
    draw = Draw(name := "features.f32.1x3x16x16", torch.float32)
    tensors = {"input": (images := draw.uniform((1, 3, 16, 16)))}
    for tap, tensor in activations(network, indices, images.clone()).items():
        if tensor.numel() > 4096:
            tap, tensor = f"{tap}.every7", tensor.flatten()[::7]
        tensors[tap] = tensor
    fixture.add(name, "VGG19", torch.float32, {}, tensors)
    return fixture


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    OUT.mkdir(parents=True, exist_ok=True)
    network, indices = vgg19_features()
    fixtures = [regression(), classification(), edge(), perceptual(network, indices), vgg(network, indices)]
    total = sum(fixture.save(OUT) for fixture in fixtures)
    print(f"{total} bytes in {OUT}")
    if total > SIZE_LIMIT:
        raise SystemExit(f"more than {SIZE_LIMIT} bytes: use smaller shapes")


if __name__ == "__main__":
    main()
