"""The originals in PyTorch: in their plainest form, and *tuned*, as somebody who knows PyTorch writes them.

Imports torch. Tuned means: the target's features under `no_grad`, channels_last, and torch.compile (which serve.py
applies). What computes in bf16 or f16 does so under autocast, in every form.
"""

import torch
from torch import nn
from torch.nn import functional as F

import peers
from bench import embeddings


class Sobel(nn.Module):
    def __init__(self):
        super().__init__()
        x = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).view(1, 1, 3, 3)
        self.register_buffer("x", x)
        self.register_buffer("y", x.transpose(2, 3).contiguous())

    def edges(self, images):
        grey = images.mean(dim=1, keepdim=True)
        gx = F.conv2d(grey, self.x, padding=1)
        gy = F.conv2d(grey, self.y, padding=1)
        return torch.sqrt(gx**2 + gy**2 + 1e-6)

    def forward(self, fake, real):
        return F.l1_loss(self.edges(fake), self.edges(real))


class Laplacian(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("kernel", torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3))

    def edges(self, images):
        return F.conv2d(images.mean(dim=1, keepdim=True), self.kernel, padding=1)

    def forward(self, fake, real):
        return F.l1_loss(self.edges(fake), self.edges(real))


def features_of(name, weights):
    """The frozen convolutional part of one of torchvision's networks."""
    import torchvision

    with torch.device("meta"):
        network = getattr(torchvision.models, name)(weights=None).features
    network.load_state_dict(
        {name.removeprefix("features."): tensor for name, tensor in weights.items()}, assign=True
    )
    return network.eval().requires_grad_(False)


class Perceptual(nn.Module):
    def __init__(self, weights):
        super().__init__()
        network = features_of("vgg19", weights)
        self.slices = nn.ModuleList([network[:4], network[4:9], network[9:16]])

    def forward(self, fake, real):
        # The network's ReLUs work in place.
        fake, real = fake.clone(), real.clone()
        loss = 0
        for layers in self.slices:
            fake, real = layers(fake), layers(real)
            loss = loss + F.l1_loss(fake, real)
            fake, real = fake.clone(), real.clone()
        return loss


class TunedPerceptual(Perceptual):
    def features(self, images):
        x, found = images, []
        for layers in self.slices:
            # The network's ReLUs work in place.
            x = layers(x.clone())
            found.append(x)
        return found

    def forward(self, fake, real):
        with torch.no_grad():
            target = self.features(real)
        return self.compare(fake, target)

    def compare(self, fake, target):
        return sum(F.l1_loss(x, y) for x, y in zip(self.features(fake), target))


class CachedPerceptual(TunedPerceptual):
    """With the features of the target computed once."""

    cached = None

    def prepare(self, real):
        with torch.no_grad():
            self.cached = self.features(real)

    def forward(self, fake, real):
        return self.compare(fake, self.cached)


class Objective(nn.Module):
    def __init__(self, perceptual, logits):
        super().__init__()
        self.sobel, self.laplacian, self.perceptual = Sobel(), Laplacian(), perceptual
        self.register_buffer("logits", logits)

    def forward(self, fake, real):
        logits = self.logits + fake.mean()
        return (
            F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
            + F.l1_loss(fake, real) * 100
            + F.mse_loss(fake, real)
            + self.sobel(fake, real) * 10
            + self.laplacian(fake, real) * 10
            + self.perceptual(fake, real) * 10
        )


def module_of(work, tuned, weights, images):
    """The original of a work on images."""
    perceptual = TunedPerceptual if tuned else Perceptual
    if work == "sobel":
        return Sobel()
    if work == "laplacian":
        return Laplacian()
    if work == "vgg":
        return perceptual(weights)
    if work == "vgg_cached":
        # The plain original has no cache: the ratio tells what ours is worth.
        return CachedPerceptual(weights) if tuned else Perceptual(weights)
    if work == "objective":
        return Objective(perceptual(weights), images["logits"])
    if work in peers.ON_NETWORKS:
        network, _, original = peers.ON_NETWORKS[work]
        return original(features_of(network, weights))
    if work in embeddings.ORIGINALS:
        return embeddings.module_of(work, images)
    return peers.LOSSES[work]
