//! [`FocalTverskyLoss`].

use super::overlap_loss::overlap_loss;

overlap_loss! {
/// Focal Tversky loss: [`TverskyLoss`](crate::TverskyLoss) with an exponent for each class, which lifts classes that
/// are nearly right less than those that are hard.
///
/// ```text
/// TP    = Σ min(p, t)          p = probabilities, t = target
/// FP    = Σ p - TP,   FN = Σ t - TP
/// score = (TP + smooth_nr) / max(TP + alpha * FP + beta * FN + smooth_dr, eps)
/// l     = (1 - score) ^ (1 / gamma),  or  (-log(max(score, eps))) ^ (1 / gamma)  with log_loss
/// loss  = reduce(l)
/// ```
///
/// The sums are over the places, and over the samples unless `score` says otherwise. The mean over the classes is
/// weighted by `weight`. A class that no place has costs nothing, unless `absent` says otherwise, and counts in the
/// mean.
///
/// A class whose score is 1 has the gradient 0. Below it, the slope of the power grows without bound where `gamma` is
/// larger than 1, as the paper's.
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
/// - **Defaults**: `mode` multiclass, `from_logits` true, `alpha` 0.3, `beta` 0.7 and `gamma` 4/3, the paper's;
///   `intersection` minimum, `score` per class, `absent` zero, all classes, no weights, no `ignore_index`, `log_loss`
///   false, `smooth_nr` and `smooth_dr` 0, `eps` 1e-7, `reduction` mean. The paper has 1 for `smooth_nr` and
///   `smooth_dr`.
/// - **Errors**: shapes, kinds or devices other than these; a `weight` that is not `[C]`; `weight` or `classes` with
///   the mode binary; `classes` that are none; an `ignore_index` of 0 or more with probabilities of the mode
///   multiclass, which have none to ignore; `smooth_nr`, `smooth_dr` or `eps` that are negative or not finite;
///   `alpha` or `beta` that are; a `gamma` that is not positive and finite.
///
/// Source: N. Abraham and N. M. Khan, [*A novel focal Tversky loss function*](https://arxiv.org/abs/1810.07842)
/// (2018), and [its code](https://github.com/nabsabraham/focal-tversky-unet).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{FocalTverskyLoss, Loss, SegmentationMode};
///
/// let focal = FocalTverskyLoss { mode: SegmentationMode::Binary, from_logits: false, ..Default::default() };
/// let predicted = Tensor::from_slice(&[1f32, 0., 0., 0.]).view([1, 4]);
/// let real = Tensor::from_slice(&[1f32, 1., 0., 0.]).view([1, 4]);
/// // The Tversky index is 1 / (1 + 0.7).
/// let expected = (0.7f64 / 1.7).powf(0.75);
/// assert!((focal.forward(&predicted, &real).double_value(&[]) - expected).abs() < 1e-6);
/// ```
FocalTverskyLoss {
    /// How much a false positive counts.
    alpha, with_alpha = 0.3;
    /// How much a false negative counts.
    beta, with_beta = 0.7;
    /// The root that each loss has.
    gamma, with_gamma = 4.0 / 3.0;
}
    |loss| (loss.alpha, loss.beta, 1.0 / loss.gamma, 1.0)
}
