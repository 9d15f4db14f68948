"""The losses of torch.nn, at about a thousand elements, where the overhead of a call counts, and at about four million,
or at the usual size where that is another. Imports torch.
"""

import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn

from bench.numbers_row import NumbersRow

ELEMENTS = [(1024,), (4 << 20,)]
DISTRIBUTIONS = [(4, 256), (4096, 1024)]
CLASSES = [(8, 128), (256, 1000)]
VECTORS = [(8, 128), (16384, 256)]
# Frames, batch, classes.
FRAMES = [(20, 2, 25), (200, 16, 30)]
# Features and classes.
LAYERS = {(8, 16): 64, (256, 256): 10_000}


def signs(*shape):
    return torch.randn(shape).sign()


def classes_of(shape):
    return torch.randint(shape[1], shape[:1])


def pair(shape):
    return {"input": torch.randn(shape), "second": torch.randn(shape)}


def multilabel(shape):
    """A few classes of each row, then -1."""
    labels = torch.full(shape, -1)
    labels[:, :3] = torch.stack([torch.randperm(shape[1])[:3] for _ in range(shape[0])])
    return {"input": torch.randn(shape), "second": labels}


def sequences(shape):
    frames, batch, classes = shape
    length = frames * 3 // 20
    return {
        "input": torch.randn(shape).log_softmax(2),
        "second": torch.randint(1, classes, (batch, length)),
        "frames": torch.full((batch,), frames),
        "labels": torch.full((batch,), length),
    }


def with_layer(make):
    """The arguments, and the parameters that the module draws."""

    def tensors(shape):
        number = LAYERS[shape]
        module = make(shape[1], number)
        tensors = {"input": torch.randn(shape), "second": torch.randint(number, shape[:1])}
        if isinstance(module, nn.AdaptiveLogSoftmaxWithLoss):
            tensors["cutoffs"] = torch.tensor(module.cutoffs)
        return tensors | dict(module.state_dict())

    return tensors


def adaptive(features, number):
    return nn.AdaptiveLogSoftmaxWithLoss(features, number, [number // 10, number // 2])


# By PyTorch's name: the sizes, and the arguments; where the module needs more than its defaults, how it is made.
CASES = {
    "L1Loss": (ELEMENTS, pair),
    "MSELoss": (ELEMENTS, pair),
    "SmoothL1Loss": (ELEMENTS, pair),
    "HuberLoss": (ELEMENTS, pair),
    "BCELoss": (ELEMENTS, lambda shape: {"input": torch.rand(shape) * 0.98 + 0.01, "second": torch.rand(shape)}),
    "BCEWithLogitsLoss": (ELEMENTS, lambda shape: {"input": torch.randn(shape), "second": torch.rand(shape)}),
    "PoissonNLLLoss": (ELEMENTS, lambda shape: {"input": torch.randn(shape), "second": torch.rand(shape) * 5}),
    "GaussianNLLLoss": (ELEMENTS, lambda shape: pair(shape) | {"third": torch.rand(shape) + 0.1}),
    "SoftMarginLoss": (ELEMENTS, lambda shape: {"input": torch.randn(shape), "second": signs(*shape)}),
    "HingeEmbeddingLoss": (ELEMENTS, lambda shape: {"input": torch.randn(shape), "second": signs(*shape)}),
    "MarginRankingLoss": (ELEMENTS, lambda shape: pair(shape) | {"third": signs(*shape)}),
    "KLDivLoss": (
        DISTRIBUTIONS,
        lambda shape: {"input": torch.randn(shape).log_softmax(1), "second": torch.randn(shape).softmax(1)},
    ),
    "CrossEntropyLoss": (CLASSES, lambda shape: {"input": torch.randn(shape), "second": classes_of(shape)}),
    "NLLLoss": (CLASSES, lambda shape: {"input": torch.randn(shape).log_softmax(1), "second": classes_of(shape)}),
    "MultiMarginLoss": (CLASSES, lambda shape: {"input": torch.randn(shape), "second": classes_of(shape)}),
    "MultiLabelMarginLoss": (CLASSES, multilabel),
    "MultiLabelSoftMarginLoss": (
        CLASSES,
        lambda shape: {"input": torch.randn(shape), "second": torch.rand(shape).gt(0.9).float()},
    ),
    "CosineEmbeddingLoss": (VECTORS, lambda shape: pair(shape) | {"third": signs(shape[0])}),
    "TripletMarginLoss": (VECTORS, lambda shape: pair(shape) | {"third": torch.randn(shape)}),
    "TripletMarginWithDistanceLoss": (VECTORS, lambda shape: pair(shape) | {"third": torch.randn(shape)}),
    "LinearCrossEntropyLoss": (list(LAYERS), with_layer(lambda *sizes: nn.LinearCrossEntropyLoss(*sizes))),
    "AdaptiveLogSoftmaxWithLoss": (list(LAYERS), with_layer(adaptive)),
    "CTCLoss": (FRAMES, sequences),
}


@dataclass(frozen=True)
class Row(NumbersRow):
    """A row of the table of torch.nn."""

    loss: str
    shape: tuple

    # Sums of four million elements in another order, and gradients of a thousand classes.
    tolerance = {"value": 1e-4, "norm": 1e-4}

    @property
    def work(self):
        return f"nn/{self.loss}"

    def tensors(self):
        return CASES[self.loss][1](self.shape)


def rows():
    # Newer PyTorch has more of them.
    return [Row(loss, shape) for loss, (sizes, _) in CASES.items() if hasattr(nn, loss) for shape in sizes]


def module_of(loss, tensors):
    """PyTorch's loss, with its parameters, as a function of the arguments."""
    if loss == "CTCLoss":
        return nn.CTCLoss()
    if loss == "LinearCrossEntropyLoss":
        module = nn.LinearCrossEntropyLoss(*reversed(tensors["linear.weight"].shape))
    elif loss == "AdaptiveLogSoftmaxWithLoss":
        *cutoffs, number = tensors["cutoffs"].tolist()
        module = nn.AdaptiveLogSoftmaxWithLoss(tensors["input"].shape[1], number, cutoffs)
    else:
        return getattr(nn, loss)()
    module = module.to(tensors["input"].device)
    module.load_state_dict({name: tensors[name] for name in module.state_dict()})
    return module


class Work:
    """Steps of a loss and its calls without gradients, counted in batches as examples/bench_peers/clock.rs does."""

    def __init__(self, loss, module, tensors, compiled, synchronize):
        self.input = tensors["input"]
        self.others = [tensors[name] for name in ("second", "third", "frames", "labels") if name in tensors]
        if loss == "AdaptiveLogSoftmaxWithLoss":
            whole = module
            module = lambda *arguments: whole(*arguments).loss  # noqa: E731
        if "frames" in tensors:
            # On the CPU, as trainers have them.
            self.others[1:] = [lengths.cpu() for lengths in self.others[1:]]
        self.module = torch.compile(module) if compiled else module
        self.synchronize = synchronize

    def step(self):
        leaf = self.input.detach().requires_grad_()
        loss = self.module(leaf, *self.others)
        loss.backward()
        return loss.detach(), leaf.grad

    def forward(self):
        with torch.no_grad():
            return self.module(self.input, *self.others)

    def seconds(self, turn):
        return {"seconds": self.median(self.step, turn / 2), "forward": self.median(self.forward, turn / 2)}

    def median(self, call, turn):
        def batch(times):
            start = time.perf_counter()
            for _ in range(times):
                call()
                self.synchronize()
            return (time.perf_counter() - start) / times

        batch(1)
        # The best of some: a call that the machine interrupts looks long.
        start, best = time.perf_counter(), batch(1)
        while time.perf_counter() - start < 0.01:
            best = min(best, batch(1))
        times = int(max(1, min(1000, 1e-3 / best)))
        taken, start = [], time.perf_counter()
        while len(taken) < 2 or time.perf_counter() - start < turn:
            taken.append(batch(times))
        return statistics.median_high(taken[1:])
