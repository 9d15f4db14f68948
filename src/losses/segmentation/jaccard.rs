//! [`JaccardLoss`].

use super::overlap_loss::overlap_loss;
use super::{AbsentClasses, Intersection, OverlapScore, SegmentationMode};

overlap_loss! {
/// Jaccard loss: one minus the intersection over the union of the predicted and the true areas.
///
/// ```text
/// TP    = Σ min(p, t)          p = probabilities, t = target
/// score = (TP + smooth_nr) / max(Σ p + Σ t - TP + smooth_dr, eps)
/// l     = 1 - score,  or  -log(max(score, eps))  with log_loss
/// loss  = reduce(l)
/// ```
///
/// The sums are over the places, and over the samples unless `score` says otherwise. The mean over the classes is
/// weighted by `weight`. A class that no place has costs nothing, unless `absent` says otherwise, and counts in the
/// mean.
///
/// [`DiceLoss`](crate::DiceLoss) has the same order of predictions, and forgives more.
/// [`LovaszSoftmaxLoss`](crate::LovaszSoftmaxLoss) is another surrogate of the same index.
/// segmentation-models-pytorch is the default; its `smooth` is `smooth_nr` and `smooth_dr`, and its `mode` has no
/// default.
///
/// - **Shapes**: `input` `[N, C, ...]`, with any number of axes behind, or `[N, ...]` with the mode binary. `target`
///   is classes `[N, ...]`, or labels or probabilities in `input`'s shape: see
///   [`SegmentationMode`](crate::SegmentationMode). The loss is a scalar. With
///   [`Reduction::None`](crate::Reduction::None) it is `[C]`, `[N, C]` or `[N]`, as `score` says; `C` is the number
///   of classes that count.
/// - **Values**: `input` any logits, or probabilities in `[0, 1]` without `from_logits`. Classes are in `[0, C)` or
///   the `ignore_index`; a wrong one is [`Error::Torch`](crate::Error::Torch) on the CPU and a failed device-side
///   assertion on CUDA. Probabilities are not checked. Places that are ignored have no gradient. Nor has the
///   score of a class that no place has, unless `absent` counts it; it is never NaN. f16 and bf16 are computed in f32.
/// - **Gradients**: to `input`, to a floating-point `target`, and to `weight`. If the loss is reduced and only
///   `input` requires a gradient, forward computes it, and second derivatives come out as zero. For second
///   derivatives, take `Reduction::None` and reduce its result.
/// - **Defaults**: `mode` multiclass, `from_logits` true, `intersection` minimum, `score` per class, `absent` zero,
///   all classes, no weights, no `ignore_index`, `log_loss` false, `smooth_nr` and `smooth_dr` 0, `eps` 1e-7,
///   `reduction` mean.
/// - **Errors**: shapes, kinds or devices other than these; a `weight` that is not `[C]`; `weight` or `classes` with
///   the mode binary; `classes` that are none; an `ignore_index` of 0 or more with probabilities of the mode
///   multiclass, which have none to ignore; `smooth_nr`, `smooth_dr` or `eps` that are negative or not finite.
///
/// Source: [`JaccardLoss` of segmentation-models-pytorch](https://smp.readthedocs.io/en/latest/losses.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{JaccardLoss, Loss, SegmentationMode};
///
/// let jaccard = JaccardLoss::default().with_mode(SegmentationMode::Binary).with_from_logits(false);
/// let predicted = Tensor::from_slice(&[1f32, 1., 0., 0.]).view([1, 4]);
/// let real = Tensor::from_slice(&[0f32, 1., 1., 0.]).view([1, 4]);
/// // One place of three.
/// assert!((jaccard.forward(&predicted, &real).double_value(&[]) - 2.0 / 3.0).abs() < 1e-6);
/// ```
JaccardLoss {}
    |_loss| (1.0, 1.0, 1.0, 1.0)
}

impl JaccardLoss {
    /// MONAI's `DiceLoss` with `jaccard`: as [`DiceLoss::monai`](crate::DiceLoss::monai).
    pub fn monai() -> Self {
        JaccardLoss {
            mode: SegmentationMode::Multilabel,
            from_logits: false,
            intersection: Intersection::Product,
            score: OverlapScore::PerSampleAndClass,
            absent: AbsentClasses::Count,
            normalize_weight: false,
            smooth_nr: 5e-6,
            smooth_dr: 5e-6,
            eps: 0.0,
            ..Default::default()
        }
    }
}
