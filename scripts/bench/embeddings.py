"""Losses of embeddings, of two views and of sounds: their originals, step by step, and their rows. Imports torch."""

import json
import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from bench.numbers_row import NumbersRow
from fixtures import audio, patch_nce

# What lightly does, step by step.


def barlow_twins(z_a, z_b):
    a, b = (F.batch_norm(views, None, None, training=True) for views in (z_a, z_b))
    correlations = a.T @ b / len(a)
    return (correlations.diagonal() - 1).square().sum() + 5e-3 * beside_diagonal(correlations).square().sum()


def vicreg(z_a, z_b):
    losses = 25 * F.mse_loss(z_a, z_b)
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
    return -F.cosine_similarity(prediction, target, dim=1).mean()


def pairs_of(labels):
    """Whether embeddings have the same label, each with itself left out, and whether they have different ones."""
    same = labels[:, None] == labels[None]
    different = ~same
    same.fill_diagonal_(False)
    return same, different


def cosines(embeddings):
    rows = F.normalize(embeddings)
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
    same, different = pairs_of(labels)
    above = cosines(embeddings) - 0.5
    losses = 0
    for values, mask, steepness in ((-above, same, 2), (above, different, 50)):
        values = (values * steepness).masked_fill(~mask, float("-inf"))
        values = torch.cat([values, values.new_zeros(len(values), 1)], 1)
        losses = losses + values.logsumexp(1).masked_fill(~mask.any(1), 0) / steepness
    return losses.mean()


def contrastive(embeddings, labels):
    rows = F.normalize(embeddings)
    distances = torch.cdist(rows, rows)
    same, different = pairs_of(labels)
    positive = distances[torch.where(same)].relu()
    negative = (1 - distances[torch.where(different)]).relu()
    # The mean of those above 0, and 0 without any.
    above_0 = [losses[losses > 0] for losses in (positive, negative)]
    return sum(losses.mean() for losses in above_0 if len(losses))


def triplets(embeddings, labels):
    rows = F.normalize(embeddings)
    distances = torch.cdist(rows, rows)
    same, different = (mask.byte() for mask in pairs_of(labels))
    anchor, positive, negative = torch.where(same[:, :, None] * different[:, None])
    losses = (distances[anchor, positive] - distances[anchor, negative] + 0.05).relu()
    return losses[losses > 0].mean()


def label_nt_xent(embeddings, labels):
    """A row for each positive pair, with a column for each negative one."""
    same, different = pairs_of(labels)
    products = cosines(embeddings)
    (anchor, positive), (other_anchor, negative) = torch.where(same), torch.where(different)
    positives = products[anchor, positive][:, None] / 0.07
    own = (other_anchor[None] == anchor[:, None]).to(products.dtype)
    negatives = products[other_anchor, negative] / 0.07 * own
    negatives[own == 0] = torch.finfo(products.dtype).min
    largest = torch.max(positives, negatives.max(1, keepdim=True)[0]).detach()
    numerator = (positives - largest).exp().squeeze(1)
    denominator = (negatives - largest).exp().sum(1) + numerator
    return -(numerator / denominator + torch.finfo(products.dtype).tiny).log().mean()


def circle(embeddings, labels):
    same, different = pairs_of(labels)
    products = cosines(embeddings)
    positive, negative = products[same], products[different]
    matrix = torch.zeros_like(products)
    matrix[same] = -80 * (1.4 - positive.detach()).relu() * (positive - 0.6)
    matrix[different] = 80 * (negative.detach() + 0.4).relu() * (negative - 0.4)
    sums = [matrix.masked_fill(~mask, torch.finfo(matrix.dtype).min).logsumexp(1) for mask in (same, different)]
    losses = F.softplus(sum(sums)) * (same.any(1) & different.any(1))
    return losses[losses > 0].mean()


class MarginSoftmax(nn.Module):
    def __init__(self, margin):
        super().__init__()
        self.W = nn.Parameter(torch.empty(FACES[1], CLASSES))
        self.margin = margin

    def forward(self, embeddings, labels):
        mask = torch.zeros(len(embeddings), CLASSES, dtype=embeddings.dtype, device=embeddings.device)
        mask[torch.arange(len(embeddings)), labels] = 1
        products = F.normalize(embeddings) @ F.normalize(self.W.T).T
        own = products[mask == 1]
        logits = (products + mask * (self.margin(own) - own)[:, None]) * 64
        return F.cross_entropy(logits, labels, reduction="none").mean()


def arc_face(own):
    margin = math.radians(28.6)
    angles = own.clamp(-1, 1).acos()
    beyond = angles.cos() - margin * math.sin(margin)
    return torch.where(angles <= math.pi - margin, (angles + margin).cos(), beyond)


def nt_xent(first, second):
    """lightly's."""
    first, second = F.normalize(first), F.normalize(second)
    others = ~torch.eye(len(first), dtype=torch.bool, device=first.device)
    rows = []
    for one, other in ((first, second), (second, first)):
        within = (one @ one.T / 0.5)[others].view(len(one), -1)
        rows.append(torch.cat([one @ other.T / 0.5, within], 1))
    return F.cross_entropy(torch.cat(rows), torch.arange(len(first), device=first.device).repeat(2))


def clip(images, texts):
    """open_clip's, with the factor that it starts with."""
    own = torch.arange(len(images), device=images.device)
    by_image, by_text = images / 0.07 @ texts.T, texts / 0.07 @ images.T
    return (F.cross_entropy(by_image, own) + F.cross_entropy(by_text, own)) / 2


def sig_lip(images, texts):
    """open_clip's, with the factor and the bias that it starts with."""
    logits = 10 * images @ texts.T - 10
    signs = 2 * torch.eye(len(images), device=images.device) - torch.ones_like(logits)
    return -F.logsigmoid(signs * logits).sum() / len(images)


def info_nce(query, key):
    """info-nce-pytorch's."""
    logits = F.normalize(query) @ F.normalize(key).T
    return F.cross_entropy(logits / 0.1, torch.arange(len(query), device=query.device))


class Dino(nn.Module):
    """lightly's."""

    def __init__(self, outputs):
        super().__init__()
        self.register_buffer("center", torch.zeros(1, 1, outputs))

    def forward(self, student, teacher):
        targets = F.softmax((teacher - self.center) / 0.04, dim=-1)
        logarithms = F.log_softmax(student / 0.1, dim=-1)
        losses = -torch.einsum("tbd,sbd->ts", targets, logarithms)
        losses.fill_diagonal_(0)
        pairs = losses.numel() - losses.diagonal().numel()
        with torch.no_grad():
            self.center = self.center * 0.9 + teacher.mean((0, 1), keepdim=True) * 0.1
        return losses.sum() / (pairs * teacher.shape[1])


# What they are given, by the shape of the first argument.


def labelled(shape):
    """Eight embeddings of each class."""
    return {"fake": F.normalize(torch.randn(shape)), "real": torch.arange(shape[0]) // 8}


def alike(shape):
    """A second set that is somewhat like the first."""
    fake = F.normalize(torch.randn(shape), dim=-1)
    return {"fake": fake, "real": F.normalize(fake + F.normalize(torch.randn(shape), dim=-1), dim=-1)}


def faces(shape):
    return {
        "fake": torch.randn(shape),
        "real": torch.randint(CLASSES, shape[:1]),
        "loss.W": torch.randn(shape[1], CLASSES),
    }


def crops(shape):
    """The student's of all crops, the teacher's of two."""
    return {"fake": torch.randn(shape), "real": torch.randn(2, *shape[1:])}


def waves(shape):
    return {"fake": torch.rand(shape) * 2 - 1, "real": torch.rand(shape) * 2 - 1}


CLASSES = 10_000
FACES = (512, 512)
SETS = [(256, 128), (2048, 256)]
PATCHES = [(4, 256, 256)]
CROPS = [(8, 64, 8192), (8, 64, 65536)]
WAVES = [(16, 1, 64000)]


@dataclass(frozen=True)
class Original:
    """The original of a loss."""

    # Of the shape of the first argument, or of one that is a function already.
    make: object
    shapes: list
    given: object
    # Ours, by the shape, where it needs some.
    options: object = lambda shape: {}


def of(loss, shapes, given):
    """A loss without parameters."""
    return Original(lambda shape: loss, shapes, given)


def margin_softmax(margin):
    options = {"num_classes": CLASSES, "embedding_size": FACES[1]}
    return Original(lambda shape: MarginSoftmax(margin), [FACES], faces, lambda shape: options)


# By name.
ORIGINALS = {
    "BarlowTwinsLoss": of(barlow_twins, SETS, alike),
    "VicRegLoss": of(vicreg, SETS, alike),
    "ByolLoss": of(negative_cosine, SETS, alike),
    "NtXentLoss": of(nt_xent, SETS, alike),
    "InfoNceLoss": of(info_nce, SETS, alike),
    "ClipLoss": of(clip, SETS, alike),
    "SigLipLoss": of(sig_lip, SETS, alike),
    "PatchNceLoss": of(lambda query, key: patch_nce.patch_nce(query, key, "mean"), PATCHES, alike),
    "SupConLoss": of(sup_con, SETS, labelled),
    "MultiSimilarityLoss": of(multi_similarity, SETS, labelled),
    "CircleLoss": of(circle, SETS, labelled),
    "ContrastiveLoss": of(contrastive, SETS, labelled),
    # A list of all triplets, and a matrix of pairs by pairs, would not fit for more.
    "TripletMarginWithMinerLoss": of(triplets, SETS[:1], labelled),
    "LabelNtXentLoss": of(label_nt_xent, [(64, 128)], labelled),
    "ArcFaceLoss": margin_softmax(arc_face),
    "CosFaceLoss": margin_softmax(lambda own: own - 0.35),
    "DinoLoss": Original(lambda shape: Dino(shape[-1]), CROPS, crops, lambda shape: {"output_dim": shape[-1]}),
    # auraloss's formulas, without the phases that it computes for nothing.
    "SiSdrLoss": of(audio.si_sdr, WAVES, waves),
    "SdSdrLoss": of(audio.sd_sdr, WAVES, waves),
    "SnrLoss": of(audio.snr, WAVES, waves),
    "StftLoss": of(audio.stft, WAVES, waves),
    "MultiResolutionStftLoss": of(audio.multi_resolution_stft, WAVES, waves),
}


def module_of(work, tensors):
    """The original, with its parameters, as a function of both arguments."""
    module = ORIGINALS[work].make(tensors["fake"].shape)
    if isinstance(module, nn.Module):
        for name, parameter in module.named_parameters():
            parameter.data = tensors[f"loss.{name}"]
    return module


@dataclass(frozen=True)
class Row(NumbersRow):
    """A row of the table."""

    work: str
    shape: tuple

    # Some originals are up to 5e-4 off their f64, their gradients half a percent.
    tolerance = {"value": 1e-3, "norm": 1e-2}

    @property
    def objective(self):
        loss = {"loss": self.work, "options": ORIGINALS[self.work].options(self.shape)}
        return json.dumps({"losses": {"loss": loss}})

    def tensors(self):
        return ORIGINALS[self.work].given(self.shape)


def rows():
    return [Row(work, shape) for work, original in ORIGINALS.items() for shape in original.shapes]
