"""The losses that need neither images nor a network, at the sizes of training: segmentation (`seg/`), classification
(`cls/`), boxes (`box/`), regression (`reg/`), distributions (`dist/`) and transducers (`seq/`). Imports torch.

The reference is the package's own function where there is one, otherwise the formula as its authors write it.
"""

import json
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from bench import transducer
from bench.numbers_row import NumbersRow

PICTURES = (8, 4, 256, 256)
MASKS = (8, 1, 512, 512)
CLASSES = (256, 1000)
ANCHORS = (8, 100_000)
BOXES = (100_000, 4)
MONAI = {
    "intersection": "product",
    "score": "per_sample_and_class",
    "absent": "count",
    "smooth_nr": 5e-6,
    "smooth_dr": 5e-6,
    "eps": 0.0,
}


# The arguments.


def pictures(shape):
    return {"input": torch.randn(shape), "second": torch.randint(shape[1], (shape[0], *shape[2:]))}


def yes_or_no(shape):
    """A tenth of it is there."""
    return {"input": torch.randn(shape), "second": torch.rand(shape).gt(0.9).float()}


def rows(shape):
    return {"input": torch.randn(shape), "second": torch.randint(shape[1], shape[:1])}


def shares(shape):
    return {"input": torch.randn(shape), "second": torch.randn(shape).softmax(1)}


def masked(shape):
    permitted = torch.rand(shape).gt(0.5)
    permitted[:, 0] = True
    target = torch.randn(shape).masked_fill(~permitted, -torch.inf).softmax(1)
    return {"input": torch.randn(shape), "second": target, "third": permitted}


def pair(shape):
    return {"input": torch.randn(shape), "second": torch.randn(shape)}


def boxes(shape):
    """As a detector's, near the right ones."""
    corners, sides = torch.rand(shape[0], 2) * 500, torch.rand(shape[0], 2) * 100 + 4
    right = torch.cat([corners, corners + sides], 1)
    found = right + torch.randn(shape)
    return {"input": torch.cat([found[:, :2], torch.maximum(found[:, 2:], found[:, :2] + 1)], 1), "second": right}


def quantiles(shape):
    return {"input": torch.randn(shape), "second": torch.randn(shape[:-1])}


def distributions(shape):
    taus = (torch.arange(shape[1]) + 0.5) / shape[1]
    return pair(shape) | {"third": taus}


def ordered(shape):
    return {"input": torch.randn(shape), "second": torch.randint(shape[1] + 1, shape[:1])}


def numbers(shape):
    return {"input": torch.randn(shape), "second": torch.rand(shape[:1])}


def counts(shape):
    theta = torch.rand(shape[1]) * 4 + 0.3
    return {"input": torch.rand(shape) * 6 + 0.2, "second": torch.poisson(torch.rand(shape) * 6), "third": theta}


def sequences(shape):
    batch, frames, labels, classes = shape
    return {
        "input": torch.randn(shape),
        "second": torch.randint(classes - 1, (batch, labels - 1), dtype=torch.int32),
        "frames": torch.full((batch,), frames),
        "labels": torch.full((batch,), labels - 1),
    }


# The references.


def smp(name, *arguments, **options):
    def make():
        import segmentation_models_pytorch.losses as package

        return getattr(package, name)(*arguments, **options)

    return make


def monai(name, **options):
    def make():
        import monai.losses as package

        loss = getattr(package, name)(**options)
        return lambda input, target: loss(input, target if target.dim() == input.dim() else target[:, None])

    return make


def timm(name, *arguments, **options):
    def make():
        import timm.loss as package

        return getattr(package, name)(*arguments, **options)

    return make


def kornia(name, **options):
    def make():
        import kornia.losses as package

        return lambda input, target: getattr(package, name)(input, target, **options)

    return make


def torchvision(name, **options):
    def make():
        from torchvision import ops as package

        return lambda input, target: getattr(package, name)(input, target, reduction="mean", **options)

    return make


def fixtures(family, name, **options):
    """The formula as tests/fixtures were made with."""

    def make():
        import importlib

        loss = getattr(importlib.import_module(f"fixtures.{family}"), name)
        return lambda *arguments: loss(*arguments, **options)

    return make


def focal_tversky():
    """The package's Tversky loss, with the paper's exponent of each class."""
    loss = smp("TverskyLoss", "multiclass", alpha=0.3, beta=0.7)()
    loss.aggregate_loss = lambda losses: (losses**0.75).mean()
    return loss


def distillation():
    def loss(input, target):
        student, teacher = F.log_softmax(input / 4, 1), F.log_softmax(target / 4, 1)
        return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * 16

    return loss


def coral():
    from coral_pytorch.losses import coral_loss

    def loss(input, target):
        # The package's levels_from_labelbatch makes them row by row in Python.
        return coral_loss(input, (target[:, None] > torch.arange(input.shape[1], device=input.device)).to(input.dtype))

    return loss


def corn():
    from coral_pytorch.losses import corn_loss

    return lambda input, target: corn_loss(input, target, input.shape[1] + 1)


@dataclass(frozen=True)
class Case:
    """A loss of the catalogue, with options; how its arguments and its reference are made, and the sizes."""

    name: str
    reference: object
    tensors: object
    sizes: list
    options: dict = field(default_factory=dict)

    @property
    def loss(self):
        """Without the family, and without whose dialect it is."""
        return self.name.partition("/")[2].partition(" ")[0]


def seg(name, reference, **options):
    return Case(f"seg/{name}", reference, pictures, [PICTURES], options)


def of_masks(name, reference, **options):
    return Case(f"seg/{name}", reference, yes_or_no, [MASKS], options)


def cls(name, reference, tensors, sizes=(CLASSES,), **options):
    return Case(f"cls/{name}", reference, tensors, sizes, options)


def box(name, reference):
    return Case(f"box/{name}", reference, boxes, [BOXES], {"reduction": "mean"})


def reg(name, reference, tensors, sizes=((256, 1), (65536, 8)), **options):
    return Case(f"reg/{name}", reference, tensors, sizes, options)


def dist(name, reference, tensors, *sizes):
    return Case(f"dist/{name}", reference, tensors, sizes)


OF_MONAI = {"softmax": True, "to_onehot_y": True}
WITHOUT_ALPHA = {"alpha": -1.0, "reduction": "mean"}
OF_KORNIA = {"modulation": "separate", "ignore_index": -100, "count_ignored": True, "reduction": "mean"}
THREE = [0.1, 0.5, 0.9]
CASES = [
    seg("DiceLoss smp", smp("DiceLoss", "multiclass")),
    of_masks("DiceLoss smp binary", smp("DiceLoss", "binary"), mode="binary"),
    seg("DiceLoss monai", monai("DiceLoss", **OF_MONAI), normalize_weight=False, **MONAI),
    of_masks("DiceLoss monai sigmoid", monai("DiceLoss", sigmoid=True), mode="multilabel", **MONAI),
    seg("DiceLoss kornia", kornia("dice_loss"), **MONAI | {"score": "per_sample", "smooth_nr": 0.0, "smooth_dr": 5e-9}),
    seg("GeneralizedDiceLoss", monai("GeneralizedDiceLoss", **OF_MONAI)),
    seg("JaccardLoss", smp("JaccardLoss", "multiclass")),
    seg("TverskyLoss", smp("TverskyLoss", "multiclass", alpha=0.3, beta=0.7), alpha=0.3, beta=0.7),
    seg("FocalTverskyLoss", focal_tversky),
    seg("DiceCeLoss", monai("DiceCELoss", **OF_MONAI)),
    seg("DiceFocalLoss", monai("DiceFocalLoss", **OF_MONAI)),
    of_masks("LovaszHingeLoss", smp("LovaszLoss", "binary")),
    seg("LovaszSoftmaxLoss", smp("LovaszLoss", "multiclass")),
    of_masks("SoftBceWithLogitsLoss", smp("SoftBCEWithLogitsLoss")),
    seg("SoftCrossEntropyLoss", smp("SoftCrossEntropyLoss", smooth_factor=0.1), smooth_factor=0.1),
    seg("FocalLoss kornia", kornia("focal_loss", alpha=None, reduction="mean"), mean="logits"),
    of_masks("SigmoidFocalLoss smp", smp("FocalLoss", "binary"), modulation="likelihood", **WITHOUT_ALPHA),
    of_masks("SigmoidFocalLoss monai", monai("FocalLoss"), modulation="logit", **WITHOUT_ALPHA),
    cls("SigmoidFocalLoss", torchvision("sigmoid_focal_loss"), yes_or_no, [ANCHORS], reduction="mean"),
    cls(
        "SigmoidFocalLoss kornia",
        kornia("binary_focal_loss_with_logits", alpha=0.25, reduction="mean"),
        yes_or_no,
        [ANCHORS],
        **OF_KORNIA,
    ),
    cls("AsymmetricLoss", timm("AsymmetricLossMultiLabel"), yes_or_no),
    cls("AsymmetricSingleLabelLoss", timm("AsymmetricLossSingleLabel"), rows),
    cls("PolyCrossEntropyLoss", timm("PolyCrossEntropy"), rows),
    cls("PolyCrossEntropyLoss shares", timm("PolyCrossEntropy"), shares),
    cls("PolyBinaryCrossEntropyLoss", timm("PolyBinaryCrossEntropy"), yes_or_no),
    cls("BinaryCrossEntropyLoss", timm("BinaryCrossEntropy"), rows),
    cls("BinaryCrossEntropyLoss dense", timm("BinaryCrossEntropy"), yes_or_no),
    cls("JsdCrossEntropyLoss", timm("JsdCrossEntropy"), rows, [(768, 1000)]),
    cls("SoftTargetCrossEntropyLoss", timm("SoftTargetCrossEntropy"), shares),
    cls("MaskedSoftTargetCrossEntropyLoss", fixtures("soft_classes", "masked_soft_target"), masked),
    cls("DistillationLoss", distillation, pair, temperature=4.0),
    box("BoxIouLoss", fixtures("boxes", "box_iou_loss", reduction="mean")),
    box("GeneralizedBoxIouLoss", torchvision("generalized_box_iou_loss")),
    box("DistanceBoxIouLoss", torchvision("distance_box_iou_loss")),
    box("CompleteBoxIouLoss", torchvision("complete_box_iou_loss")),
    reg("RmseLoss", fixtures("regression", "rmse"), pair),
    reg("LpLoss", fixtures("regression", "lp", p=1.5), pair, p=1.5),
    reg("LogCoshLoss", fixtures("regression", "log_cosh"), pair),
    reg(
        "QuantileLoss",
        fixtures("regression", "quantile", quantiles=THREE),
        quantiles,
        [(256, 3), (65536, 8, 3)],
        quantiles=THREE,
    ),
    reg("QuantileHuberLoss", fixtures("regression", "quantile_huber"), distributions, [(32, 200)]),
    reg("CoralLoss", coral, ordered, [(256, 99), (65536, 8)]),
    reg("CornLoss", corn, ordered, [(256, 99), (65536, 8)]),
    reg("HlGaussLoss", fixtures("regression", "hl_gauss"), numbers, [(4096, 101), (65536, 84)]),
    dist("GaussianKlLoss", fixtures("distribution", "standard_normal", reduction="sum"), pair, (256, 4096)),
    dist("NormalKlLoss", fixtures("distribution", "normal_kl"), pair, (32, 8, 64, 64)),
    dist("NegativeBinomialNllLoss", fixtures("distribution", "negative_binomial"), counts, (128, 4000), (1024, 5000)),
    Case("seq/RnntLoss", lambda: transducer.rnnt_loss, sequences, [(8, 150, 40, 128)]),
]
BY_NAME = {case.name: case for case in CASES}


@dataclass(frozen=True)
class Row(NumbersRow):
    """A row of one of these losses."""

    case: Case
    shape: tuple

    @property
    def work(self):
        return self.case.name

    @property
    def objective(self):
        return json.dumps({"losses": {"loss": {"loss": self.case.loss, "options": self.case.options}}})

    @property
    def tolerance(self):
        # Sums of millions of elements in another order; a transducer's is a chain of hundreds of sums in f32.
        return {"value": 1e-4, "norm": 1e-3 if self.work.startswith("seq/") else 1e-4}

    def tensors(self):
        return self.case.tensors(self.shape)


def of_all():
    return [Row(case, shape) for case in CASES for shape in case.sizes]
