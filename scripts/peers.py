"""The losses of the catalogue in their reference implementations, for bench_peers.py: by our name, what they compute on
images from 0 to 1. bench/embeddings.py has those on embeddings and sounds. Packages are imported when they are used."""

import sys
import types
from unittest import mock

# Beside torch: pip's names.
REQUIREMENTS = [
    "piq==0.8.0",
    "kornia==0.9.0",
    "pytorch-msssim==1.0.0",
    "focal-frequency-loss==0.3.0",
]
# For losses of masks, classes and numbers.
REQUIREMENTS_ON_NUMBERS = [
    "segmentation-models-pytorch==0.6.0",
    "monai==1.6.1",
    "timm==1.0.31",
    "coral-pytorch==1.4.0",
]
# And for those on networks.
REQUIREMENTS_ON_NETWORKS = ["lpips==0.1.4", "DISTS-pytorch==0.1"]


def pytorch_msssim(name):
    def loss(fake, real):
        import pytorch_msssim as package

        return 1 - getattr(package, name)(fake, real, data_range=1.0)

    return loss


def piq(name):
    def make():
        import piq as package

        return getattr(package, name)()

    return made(make)


def kornia(name):
    def make():
        import kornia

        return getattr(kornia.losses, name)()

    return made(make)


def made(make):
    """The module, made once."""
    module = None

    def loss(*images):
        nonlocal module
        if module is None:
            module = make().to(images[0].device)
        return module(*images)

    return loss


def total_variation():
    module = piq("TVLoss")
    return lambda fake, real: module(fake)


def focal_frequency():
    def make():
        from focal_frequency_loss import FocalFrequencyLoss

        return FocalFrequencyLoss()

    return made(make)


def fft(fake, real):
    import torch

    def parts(images):
        spectrum = torch.fft.fft2(images)
        return torch.stack([spectrum.real, spectrum.imag], -1)

    return torch.nn.functional.l1_loss(parts(fake), parts(real))


def charbonnier(fake, real):
    return ((fake - real) ** 2 + 1e-12).sqrt().mean()


def gradient_difference(fake, real):
    def along(dim):
        steps = [images.diff(dim=dim).abs() for images in (fake, real)]
        return (steps[0] - steps[1]).abs().mean()

    return along(2) + along(3)


def with_layers(module, features):
    """A module whose slices have torchvision's layers by their numbers, with the parameters of `features`."""
    for piece in module.children():
        for name, layer in piece.named_children():
            own = features[int(name)] if name.isdigit() else None
            if type(own) is type(layer):
                layer.load_state_dict(own.state_dict())
    return module


def lpips(net):
    def make(features):
        # The part of the package that trains LPIPS needs more packages.
        sys.modules.setdefault("lpips.trainer", types.ModuleType("lpips.trainer"))
        import lpips as package

        module = package.LPIPS(net=net, pnet_rand=True, verbose=False)
        with_layers(module.net, features)
        return mean_of(module.eval().requires_grad_(False))

    return make


def dists(features):
    from DISTS_pytorch import DISTS_pt as package

    # Its constructor would fetch torchvision's weights.
    networks = types.SimpleNamespace(vgg16=lambda **_: types.SimpleNamespace(features=features))
    with mock.patch.object(package, "models", networks):
        module = package.DISTS().eval().requires_grad_(False)
    return mean_of(module, require_grad=True)


def mean_of(module, **options):
    """The module whose value is the mean of another's."""
    from torch import nn

    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module

        def forward(self, fake, real):
            return self.module(fake, real, **options).mean()

    return Mean()


# By name: torchvision's network, the loss in an objective's file, and the original, from the layers of the network.
ON_NETWORKS = {
    "LPIPS alex": ("alexnet", {"loss": "LPIPS", "options": {"net": "alex"}}, lpips("alex")),
    "LPIPS squeeze": ("squeezenet1_1", {"loss": "LPIPS", "options": {"net": "squeeze"}}, lpips("squeeze")),
    "LPIPS vgg": ("vgg16", {"loss": "LPIPS", "options": {"net": "vgg"}}, lpips("vgg")),
    "DISTS": ("vgg16", {"loss": "DISTS", "options": {}}, dists),
}

LOSSES = {
    "CharbonnierLoss": charbonnier,
    "TotalVariationLoss": total_variation(),
    "GradientDifferenceLoss": gradient_difference,
    "SsimLoss": pytorch_msssim("ssim"),
    "MultiScaleSsimLoss": pytorch_msssim("ms_ssim"),
    "MsSsimL1Loss": kornia("MS_SSIMLoss"),
    "VifLoss": piq("VIFLoss"),
    "InformationWeightedSsimLoss": piq("InformationWeightedSSIMLoss"),
    "GmsdLoss": piq("GMSDLoss"),
    "MultiScaleGmsdLoss": piq("MultiScaleGMSDLoss"),
    "FsimLoss": piq("FSIMLoss"),
    "HaarPsiLoss": piq("HaarPSILoss"),
    "MdsiLoss": piq("MDSILoss"),
    "VsiLoss": piq("VSILoss"),
    "SrSimLoss": piq("SRSIMLoss"),
    "DssLoss": piq("DSSLoss"),
    "FocalFrequencyLoss": focal_frequency(),
    "FftLoss": fft,
}
