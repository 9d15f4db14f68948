//! [`TverskyLoss`].

use super::overlap_loss::overlap_loss;
use super::{AbsentClasses, Intersection, OverlapScore, SegmentationMode};

overlap_loss! {
/// Tversky loss: the overlap of predicted and true areas, with weights for false positives and for false negatives.
///
/// ```text
/// TP    = Σ min(p, t)          p = probabilities, t = target
/// FP    = Σ p - TP,   FN = Σ t - TP
/// score = (TP + smooth_nr) / max(TP + alpha * FP + beta * FN + smooth_dr, eps)
/// l     = 1 - score,  or  -log(max(score, eps))  with log_loss
/// loss  = reduce(l)            mean: (mean of l) ^ gamma
/// ```
///
/// The sums are over the places, and over the samples unless `score` says otherwise. The mean over the classes is
/// weighted by `weight`. A class that no place has costs nothing, unless `absent` says otherwise, and counts in the
/// mean.
///
/// With `alpha` and `beta` 0.5 it is [`DiceLoss`](crate::DiceLoss), with 1 [`JaccardLoss`](crate::JaccardLoss).
/// `gamma` is an exponent of the mean, as in segmentation-models-pytorch, whose defaults these are.
/// [`FocalTverskyLoss`](crate::FocalTverskyLoss) has the paper's exponent of each class.
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
/// - **Defaults**: `mode` multiclass, `from_logits` true, `alpha` and `beta` 0.5, `gamma` 1, `intersection` minimum,
///   `score` per class, `absent` zero, all classes, no weights, no `ignore_index`, `log_loss` false, `smooth_nr` and
///   `smooth_dr` 0, `eps` 1e-7, `reduction` mean.
/// - **Errors**: shapes, kinds or devices other than these; a `weight` that is not `[C]`; `weight` or `classes` with
///   the mode binary; `classes` that are none; an `ignore_index` of 0 or more with probabilities of the mode
///   multiclass, which have none to ignore; `smooth_nr`, `smooth_dr` or `eps` that are negative or not finite;
///   `alpha` or `beta` that are; a `gamma` that is not positive and finite.
///
/// Source: [`TverskyLoss` of segmentation-models-pytorch](https://smp.readthedocs.io/en/latest/losses.html); S. S. M.
/// Salehi et al., [*Tversky loss function for image segmentation*](https://arxiv.org/abs/1706.05721) (2017).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, SegmentationMode, TverskyLoss};
///
/// let tversky = TverskyLoss { mode: SegmentationMode::Binary, from_logits: false, ..Default::default() };
/// let tversky = tversky.with_alpha(0.3).with_beta(0.7);
/// let real = Tensor::from_slice(&[1f32, 1., 0., 0.]).view([1, 4]);
/// let more = Tensor::from_slice(&[1f32, 1., 1., 0.]).view([1, 4]);
/// let less = Tensor::from_slice(&[1f32, 0., 0., 0.]).view([1, 4]);
/// // What is missed costs more than what is too much.
/// assert!(tversky.forward(&less, &real).double_value(&[]) > tversky.forward(&more, &real).double_value(&[]));
/// ```
TverskyLoss {
    /// How much a false positive counts.
    alpha, with_alpha = 0.5;
    /// How much a false negative counts.
    beta, with_beta = 0.5;
    /// The exponent of the mean. Other reductions have none.
    gamma, with_gamma = 1.0;
}
    |loss| (loss.alpha, loss.beta, 1.0, loss.gamma)
}

impl TverskyLoss {
    /// MONAI's: as [`DiceLoss::monai`](crate::DiceLoss::monai), with 1e-5 above and below.
    pub fn monai() -> Self {
        TverskyLoss {
            mode: SegmentationMode::Multilabel,
            from_logits: false,
            intersection: Intersection::Product,
            score: OverlapScore::PerSampleAndClass,
            absent: AbsentClasses::Count,
            smooth_nr: 1e-5,
            smooth_dr: 1e-5,
            eps: 0.0,
            ..Default::default()
        }
    }

    /// kornia's, which has no defaults for `alpha` and `beta`: a score for each class of each sample, of the classes
    /// that the sample has, from products, with 1e-8 below.
    pub fn kornia(alpha: f64, beta: f64) -> Self {
        TverskyLoss {
            alpha,
            beta,
            intersection: Intersection::Product,
            score: OverlapScore::PerSampleAndClass,
            absent: AbsentClasses::Exclude,
            ignore_index: Some(-100),
            smooth_dr: 1e-8,
            eps: 0.0,
            ..Default::default()
        }
    }
}
