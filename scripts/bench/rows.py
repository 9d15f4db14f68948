"""The rows of the table: what is measured, on what images; embeddings.py, torch_nn.py and everyday.py have those on other
tensors. Imports torch.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

import peer_discriminator
import peers
from bench import embeddings, everyday, torch_nn

EDGES = [(1, 256), (8, 256), (16, 512)]
ON_VGG = {
    "vgg": [(1, 256), (4, 256), (16, 256)],
    "vgg_cached": [(1, 256), (4, 256), (16, 256)],
    "objective": [(1, 256), (16, 256)],
}
QUICK = (
    *("sobel/f32/8x", "laplacian/f32/8x", "vgg/f32/1x", "vgg/bf16/1x", "vgg cached/f32/1x", "SsimLoss/f32/4x"),
    *("nn/L1Loss", "nn/GaussianNLLLoss", "nn/CrossEntropyLoss"),
)
# What networks compute in. On CUDA, f32 is strict: neither convolutions nor matrix products round to TF32.
COMPUTE = {"cpu": ["f32", "bf16"], "cuda": ["f32", "tf32", "bf16", "f16"]}


@dataclass(frozen=True)
class Row:
    work: str
    compute: str
    batch: int
    side: int

    @property
    def name(self):
        work = self.work.replace("_", " ")
        return f"{work}/{self.compute}/{'x'.join(map(str, self.shape))}"

    @property
    def shape(self):
        return (self.batch, 3, self.side, self.side)

    @property
    def network(self):
        """The network whose weights it needs."""
        if self.work in peer_discriminator.STEPS:
            return "discriminator"
        if self.work in peers.ON_NETWORKS:
            return peers.ON_NETWORKS[self.work][0]
        return "vgg19" if self.work in ON_VGG else None

    @property
    def flavours(self):
        """Who takes part."""
        if self.work in peer_discriminator.STEPS:
            # torch.compile has no second derivatives.
            return ["ours", "eager"]
        if self.batch == 16 and (self.work in peers.LOSSES or self.work in peers.ON_NETWORKS):
            # There for the memory; torch.compile would take too long.
            return ["ours", "eager"]
        tuned = self.work in ON_VGG or self.work in peers.ON_NETWORKS
        return ["ours", "eager", "compiled", *(["tuned"] if tuned else [])]

    @property
    def moved(self):
        """Bytes that an edge loss cannot but read and write: both images, the gradient."""
        elements = self.batch * 3 * self.side * self.side
        return 3 * 4 * elements if self.work in ("sobel", "laplacian") else None

    @property
    def tolerance(self):
        """How far the value and the gradient's norm may be from eager's, as a share of it."""
        if self.compute == "tf32":
            return {"value": 1e-3, "norm": 2e-2}
        if self.compute != "f32":
            # Autocast rounds the features and what they are compared by: small distances are off by up to a twentieth.
            return {"value": 0.1, "norm": 0.1}
        if self.work in peers.LOSSES:
            # Some originals are up to 5e-4 off their f64, their gradients half a percent.
            return {"value": 1e-3, "norm": 1e-2}
        return {"value": 1e-4, "norm": 1e-4}

    def environment(self, device):
        """What makes a process on CUDA compute in TF32, or keeps it from that: the same for all."""
        if device == "cpu":
            return {}
        if self.compute == "tf32":
            return {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}
        return {"NVIDIA_TF32_OVERRIDE": "0"}

    def setup(self, folder, device):
        """What the processes are told, with the files that they read in `folder`."""
        weights = random_weights(self.network, folder) if self.network else ""
        objective = {"loss": self.work}
        if self.work in peers.ON_NETWORKS:
            objective = peers.ON_NETWORKS[self.work][1]
            kind = "f32" if self.compute == "tf32" else self.compute
            objective = {**objective, "options": {**objective["options"], "weights": str(weights), "kind": kind}}
        return {
            "work": self.work,
            "compute": self.compute,
            "images": str(self.images(folder)),
            "weights": str(weights),
            "objective": json.dumps({"losses": {"loss": objective}}),
            "device": device,
        }

    def images(self, folder):
        path = Path(folder) / "images.safetensors"
        fake, real = torch.rand(self.shape) * 2 - 1, torch.rand(self.shape) * 2 - 1
        if self.work in peers.LOSSES or self.work in peers.ON_NETWORKS:
            # As a network's outputs: from 0 to 1, and like the target.
            real = real / 2 + 0.5
            fake = (real + fake / 10).clamp(0, 1)
        tensors = {
            "fake": fake,
            "real": real,
            "logits": torch.randn(self.batch, 1, 30, 30),
            "share": torch.rand(self.batch, 1, 1, 1),
        }
        safetensors.torch.save_file(tensors, path)
        return path


def rows(device):
    on_networks = list(peers.ON_NETWORKS)
    kinds = COMPUTE[device]
    return [
        *[Row(work, "f32", *size) for work in ("sobel", "laplacian") for size in EDGES],
        *[Row(work, kind, *size) for work, sizes in ON_VGG.items() for kind in kinds for size in sizes],
        *[Row(loss, "f32", 4, 256) for loss in peers.LOSSES],
        *[Row(loss, kind, 4, 256) for kind in kinds for loss in on_networks],
        *[Row(loss, "f32", 16, 256) for loss in on_networks],
        *embeddings.rows(),
        *[Row(work, "f32", 4, 128) for work in peer_discriminator.STEPS],
        *[Row(loss, "f32", 16, 512) for loss in peers.LOSSES],
        *torch_nn.rows(),
        *everyday.of_all(),
    ]


def random_weights(network, folder):
    """A file of weights as torchvision makes them, for a network; made once."""
    path = Path(folder) / f"{network}.safetensors"
    if not path.exists() and network == "discriminator":
        safetensors.torch.save_file(peer_discriminator.random_weights(), path)
    elif not path.exists():
        import torchvision

        torch.manual_seed(0)
        features = getattr(torchvision.models, network)(weights=None).features
        named = {f"features.{name}": tensor for name, tensor in features.state_dict().items()}
        safetensors.torch.save_file(named, path)
    return path
