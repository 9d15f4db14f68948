//! [`DiceLoss`].

use super::overlap_loss::overlap_loss;
use super::{AbsentClasses, Intersection, OverlapScore, SegmentationMode};

overlap_loss! {
/// Dice loss: how little the predicted and the true areas overlap. Areas of any size count the same, so small classes
/// are not drowned by large ones.
///
/// ```text
/// TP    = Σ min(p, t)          p = probabilities, t = target
/// score = (TP + smooth_nr) / max((Σ p + Σ t) / 2 + smooth_dr, eps)
/// l     = 1 - score,  or  -log(max(score, eps))  with log_loss
/// loss  = reduce(l)
/// ```
///
/// The sums are over the places, and over the samples unless `score` says otherwise. The mean over the classes is
/// weighted by `weight`. A class that no place has costs nothing, unless `absent` says otherwise, and counts in the
/// mean.
///
/// segmentation-models-pytorch is the default; its `smooth` is `smooth_nr` and `smooth_dr`, and its `mode` has no
/// default. [`monai`](Self::monai), [`kornia`](Self::kornia) and [`kornia_macro`](Self::kornia_macro) are the others.
/// [`TverskyLoss`](crate::TverskyLoss) weighs false positives and false negatives. [`DiceCeLoss`](crate::DiceCeLoss)
/// adds the cross entropy.
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
/// Source: [`DiceLoss` of segmentation-models-pytorch](https://smp.readthedocs.io/en/latest/losses.html); F.
/// Milletari et al., [*V-Net*](https://arxiv.org/abs/1606.04797) (2016).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{DiceLoss, Loss};
///
/// // Two classes at four places, all of them right but one.
/// let logits = Tensor::from_slice(&[9f32, 9., -9., 9., -9., -9., 9., -9.]).view([1, 2, 4]);
/// let classes = Tensor::from_slice(&[0i64, 0, 1, 1]).view([1, 4]);
/// let loss = DiceLoss::default().forward(&logits, &classes);
/// // The classes have the scores 2 * 2 / (3 + 2) and 2 * 1 / (1 + 2).
/// assert!((loss.double_value(&[]) - (1.0 / 5.0 + 1.0 / 3.0) / 2.0).abs() < 1e-5);
/// ```
DiceLoss {}
    |_loss| (0.5, 0.5, 1.0, 1.0)
}

impl DiceLoss {
    /// [MONAI's](https://docs.monai.io/en/stable/losses.html#diceloss): a score for each class of each sample, absent
    /// classes included, from products, with 1e-5 above and below (half of it here, where the true positives count
    /// once), and a mean that weights do not divide.
    ///
    /// As there, `input` holds probabilities, and `target` has its shape. MONAI's `sigmoid` is `from_logits`. Its
    /// `softmax` is `from_logits` with the mode multiclass, which takes classes as well (`to_onehot_y`). `batch` is
    /// [`OverlapScore::PerClass`]. `squared_pred` is [`Intersection::Squares`] and `soft_label`
    /// [`Intersection::Minimum`].
    pub fn monai() -> Self {
        DiceLoss {
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

    /// [kornia's](https://kornia.readthedocs.io/en/latest/losses.html) with its default, the average `micro`: a score
    /// for each sample, over all classes, from products, with 1e-8 below (half of it here).
    pub fn kornia() -> Self {
        DiceLoss {
            intersection: Intersection::Product,
            score: OverlapScore::PerSample,
            absent: AbsentClasses::Count,
            ignore_index: Some(-100),
            smooth_dr: 5e-9,
            eps: 0.0,
            ..Default::default()
        }
    }

    /// kornia's with the average `macro`: a score for each class of each sample, of the classes that the sample has.
    pub fn kornia_macro() -> Self {
        DiceLoss {
            score: OverlapScore::PerSampleAndClass,
            absent: AbsentClasses::Exclude,
            ..DiceLoss::kornia()
        }
    }
}
