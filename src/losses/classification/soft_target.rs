//! [`SoftTargetCrossEntropyLoss`] and [`MaskedSoftTargetCrossEntropyLoss`].

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::rows::{over_classes, reduced, Rows, Softened};
use crate::base::precision::is_integer;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result, TernaryLoss};

/// Cross entropy of logits with a distribution over the classes: what Mixup and CutMix, distillation, and the search of
/// a game player give.
///
/// ```text
/// p    = softmax(input) over the classes
/// l    = -Σ target[c] * log p[c]      over the classes c
/// loss = reduce(l)
/// ```
///
/// It is [`CrossEntropyLoss`](crate::CrossEntropyLoss) with probabilities, with its gradient inside forward.
/// [`MaskedSoftTargetCrossEntropyLoss`] leaves classes out for each sample. timm's
/// `LabelSmoothingCrossEntropy` is [`CrossEntropyLoss`](crate::CrossEntropyLoss) with a `label_smoothing` of 0.1.
///
/// - **Shapes**: `input` and `target` `[C]`, `[N, C]` or `[N, C, d1, ..., dK]`, equal. The loss is a scalar, or has that
///   shape without `C` with [`Reduction::None`].
/// - **Values**: `input` any logits; -∞ makes NaN of a target of 0, as in PyTorch: take a mask. `target` usually adds up
///   to 1, not checked; a place whose target is 0 everywhere costs 0, and counts in the mean. f16 and bf16 are computed
///   in f32. The mean of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires none, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Defaults**: `reduction` mean, over the places.
/// - **Errors**: arguments of different shapes, kinds or devices, or without classes.
///
/// Source: `SoftTargetCrossEntropy` of [timm](https://github.com/huggingface/pytorch-image-models) 1.0.31.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, SoftTargetCrossEntropyLoss};
///
/// let logits = Tensor::from_slice2(&[[0.0, 0.0]]);
/// let policy = Tensor::from_slice2(&[[0.25, 0.75]]);
/// let loss = SoftTargetCrossEntropyLoss::default().forward(&logits, &policy);
/// assert!((loss.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
/// ```
#[doc(alias = "SoftTargetCrossEntropy")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SoftTargetCrossEntropyLoss {
    /// How the places are reduced.
    pub reduction: Reduction,
}

setters!(SoftTargetCrossEntropyLoss { with_reduction(reduction: Reduction) });

/// Cross entropy with a distribution over the classes that a mask permits: the legal moves of a game.
///
/// ```text
/// p    = softmax(input) over the classes of the mask
/// l    = -Σ target[c] * log p[c]      over the classes c of the mask
/// loss = reduce(l)
/// ```
///
/// As a [`TernaryLoss`] it takes `input`, `target` and `mask`, which is not 0 where a class is permitted. Logits and
/// targets of other classes count for nothing. [`SoftTargetCrossEntropyLoss`] is the loss without a mask.
///
/// - **Shapes**: all arguments `[C]`, `[N, C]` or `[N, C, d1, ..., dK]`, equal. The loss is a scalar, or has that shape
///   without `C` with [`Reduction::None`].
/// - **Values**: `input` any numbers at permitted classes; `mask` of kind Bool, or an integer; `target` usually adds up
///   to 1, not checked. A place without permitted classes costs 0, as does one whose target is 0 everywhere; both count
///   in the mean. f16 and bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to `input` and `target`, 0 outside of the mask. If the loss is reduced and `target` requires none,
///   forward computes the gradient, and second derivatives come out as zero. For second derivatives, take
///   [`Reduction::None`] and reduce its result.
/// - **Defaults**: `reduction` mean, over the places.
/// - **Errors**: arguments of different shapes or devices, or without classes; an `input` and a `target` of different
///   kinds; a `mask` that is floating.
///
/// Source: the usual loss of a policy, as D. Silver et al., *Mastering the game of Go without human knowledge* (2017).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{MaskedSoftTargetCrossEntropyLoss, TernaryLoss};
///
/// let logits = Tensor::from_slice2(&[[0.0, 9.0, 0.0]]);
/// let policy = Tensor::from_slice2(&[[0.25, 0.0, 0.75]]);
/// let legal = Tensor::from_slice(&[true, false, true]).view([1, 3]);
/// let loss = MaskedSoftTargetCrossEntropyLoss::default().forward(&logits, &policy, &legal);
/// assert!((loss.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaskedSoftTargetCrossEntropyLoss {
    /// How the places are reduced.
    pub reduction: Reduction,
}

setters!(MaskedSoftTargetCrossEntropyLoss { with_reduction(reduction: Reduction) });

/// Of `input` and `target`.
impl Rows for SoftTargetCrossEntropyLoss {
    fn places(&self, input: &Tensor, constants: &[Tensor]) -> Result<Tensor> {
        let logs = input.f_log_softmax(1, None)?;
        Ok(over_classes(&logs.f_mul(&constants[0])?, false)?.f_neg()?)
    }

    fn sum_and_slopes(&self, input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let target = &constants[0];
        let Softened { shifted, probabilities: mut slopes, largest } = Softened::of(input)?;
        let total = over_classes(target, true)?;
        let sum =
            { shifted }.f_mul_(target)?.f_sum(None)?.f_add(&{ largest }.f_mul_(&total)?.f_sum(None)?)?;
        slopes = slopes.f_mul_(&total)?.f_sub_(target)?;
        Ok((sum.f_neg()?, slopes))
    }
}

/// Of `input`, `target` and the mask.
impl Rows for MaskedSoftTargetCrossEntropyLoss {
    fn places(&self, input: &Tensor, constants: &[Tensor]) -> Result<Tensor> {
        let (input, target) = permitted(input, constants)?;
        SoftTargetCrossEntropyLoss::default().places(&input, &[target])
    }

    fn sum_and_slopes(&self, input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)> {
        // The slopes of other classes are 0: their probabilities are, or nothing is permitted and all targets are.
        let (input, target) = permitted(input, constants)?;
        SoftTargetCrossEntropyLoss::default().sum_and_slopes(&input, &[target])
    }
}

/// The logits and the target without the classes that the mask leaves out. These logits are the lowest number: small
/// enough for a probability of 0, and times 0 it is 0, unlike -∞.
fn permitted(input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)> {
    let lowest = match input.kind() {
        Kind::Double => f64::MIN,
        _ => f64::from(f32::MIN),
    };
    let (target, mask) = (&constants[0], &constants[1]);
    Ok((input.f_where_scalarother(mask, lowest)?, target.f_where_scalarother(mask, 0.0)?))
}

impl Loss for SoftTargetCrossEntropyLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::classes(input)?;
        check::pair(input, target)?;
        reduced(self, input, &[target], self.reduction)
    }
}

/// Of `input`, `target` and `mask`.
impl TernaryLoss for MaskedSoftTargetCrossEntropyLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor, mask: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::classes(input)?;
        check::pair(input, target)?;
        check::dense("mask", mask)?;
        let given = mask.f_kind()?;
        if given != Kind::Bool && !is_integer(given) {
            return Err(Error::Kind { argument: "mask", given, expected: "Bool or an integer".into() });
        }
        check::same_device(("input", input), ("mask", mask))?;
        check::same_shape(("input", input), ("mask", mask))?;
        reduced(self, input, &[target, &mask.f_to_kind(Kind::Bool)?], self.reduction)
    }
}
