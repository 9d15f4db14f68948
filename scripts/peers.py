"""The losses of the catalogue in their reference implementations, for bench_peers.py: by our name, what they compute on
images from 0 to 1; and those of embeddings. Packages are imported when they are used."""

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


# What lightly does, step by step.


def barlow_twins(z_a, z_b):
    import torch

    a, b = (torch.nn.functional.batch_norm(views, None, None, training=True) for views in (z_a, z_b))
    correlations = a.T @ b / len(a)
    return (correlations.diagonal() - 1).square().sum() + 5e-3 * beside_diagonal(correlations).square().sum()


def vicreg(z_a, z_b):
    import torch

    losses = 25 * torch.nn.functional.mse_loss(z_a, z_b)
    for views in (z_a, z_b):
        variance = (1 - (views.var(dim=0) + 1e-4).sqrt()).relu().mean()
        centred = views - views.mean(dim=0)
        covariances = centred.T @ centred / (len(views) - 1)
        losses = losses + 12.5 * variance + beside_diagonal(covariances).square().sum() / len(covariances)
    return losses


def beside_diagonal(matrix):
    """All but the diagonal, without an index for each number."""
    size = len(matrix)
    return matrix.flatten()[:-1].view(size - 1, size + 1)[:, 1:]


def negative_cosine(prediction, target):
    import torch

    return -torch.nn.functional.cosine_similarity(prediction, target, dim=1).mean()


def pairs_of(labels):
    """Whether embeddings have the same label, each with itself left out, and whether they have different ones."""
    same = labels[:, None] == labels[None]
    different = ~same
    same.fill_diagonal_(False)
    return same, different


def cosines(embeddings):
    import torch

    rows = torch.nn.functional.normalize(embeddings)
    return rows @ rows.T


# What PyTorch Metric Learning does, step by step.


def sup_con(embeddings, labels):
    same, different = pairs_of(labels)
    logits = cosines(embeddings) / 0.1
    logits = logits - logits.max(1, keepdim=True)[0].detach()
    sums = logits.masked_fill(~(same | different), float("-inf")).logsumexp(1, keepdim=True)
    losses = -(same * (logits - sums)).sum(1) / (same.sum(1) + 1e-16)
    return losses[losses > 0].mean()


def multi_similarity(embeddings, labels):
    import torch

    same, different = pairs_of(labels)
    above = cosines(embeddings) - 0.5
    losses = 0
    for values, mask, steepness in ((-above, same, 2), (above, different, 50)):
        values = (values * steepness).masked_fill(~mask, float("-inf"))
        values = torch.cat([values, values.new_zeros(len(values), 1)], 1)
        losses = losses + values.logsumexp(1).masked_fill(~mask.any(1), 0) / steepness
    return losses.mean()


def contrastive(embeddings, labels):
    import torch

    rows = torch.nn.functional.normalize(embeddings)
    distances = torch.cdist(rows, rows)
    same, different = pairs_of(labels)
    positive = distances[torch.where(same)].relu()
    negative = (1 - distances[torch.where(different)]).relu()
    # The mean of those above 0, and 0 without any.
    above_0 = [losses[losses > 0] for losses in (positive, negative)]
    return sum(losses.mean() for losses in above_0 if len(losses))


def triplets(embeddings, labels):
    import torch

    rows = torch.nn.functional.normalize(embeddings)
    distances = torch.cdist(rows, rows)
    same, different = (mask.byte() for mask in pairs_of(labels))
    anchor, positive, negative = torch.where(same[:, :, None] * different[:, None])
    losses = (distances[anchor, positive] - distances[anchor, negative] + 0.05).relu()
    return losses[losses > 0].mean()


def nt_xent(first, second):
    """lightly's."""
    import torch
    from torch.nn import functional as F

    first, second = F.normalize(first), F.normalize(second)
    others = ~torch.eye(len(first), dtype=torch.bool, device=first.device)
    rows = []
    for one, other in ((first, second), (second, first)):
        within = (one @ one.T / 0.5)[others].view(len(one), -1)
        rows.append(torch.cat([one @ other.T / 0.5, within], 1))
    return F.cross_entropy(torch.cat(rows), torch.arange(len(first), device=first.device).repeat(2))


def clip(images, texts):
    """open_clip's, with the factor that it starts with."""
    import torch
    from torch.nn import functional as F

    own = torch.arange(len(images), device=images.device)
    by_image, by_text = images / 0.07 @ texts.T, texts / 0.07 @ images.T
    return (F.cross_entropy(by_image, own) + F.cross_entropy(by_text, own)) / 2


def sig_lip(images, texts):
    """open_clip's, with the factor and the bias that it starts with."""
    import torch
    from torch.nn import functional as F

    logits = 10 * images @ texts.T - 10
    signs = 2 * torch.eye(len(images), device=images.device) - torch.ones_like(logits)
    return -F.logsigmoid(signs * logits).sum() / len(images)


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

# By name: whether the second argument is labels, otherwise a second set; and the original.
EMBEDDINGS = {
    "BarlowTwinsLoss": (False, barlow_twins),
    "VicRegLoss": (False, vicreg),
    "ByolLoss": (False, negative_cosine),
    "NtXentLoss": (False, nt_xent),
    "SupConLoss": (True, sup_con),
    "ClipLoss": (False, clip),
    "SigLipLoss": (False, sig_lip),
    "TripletMarginWithMinerLoss": (True, triplets),
    "ContrastiveLoss": (True, contrastive),
    "MultiSimilarityLoss": (True, multi_similarity),
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


def of_waves(name):
    """auraloss's formulas, without the phases that it computes for nothing."""

    def loss(fake, real):
        from fixtures import audio

        return getattr(audio, name)(fake, real)

    return loss


# On waves [N, 1, T].
ON_WAVES = {
    "SiSdrLoss": of_waves("si_sdr"),
    "MultiResolutionStftLoss": of_waves("multi_resolution_stft"),
}
