//! [`SdSdrLoss`].

use super::ratio::ratio_loss;

ratio_loss! {
/// Scale-dependent ratio of a signal to its distortion (SD-SDR), in decibels and negative.
///
/// ```text
/// x, y = input, target                        (zero_mean: less their means)
/// s    = y * <x, y> / (|y|² + eps)            the part of the input that is the target, however loud
/// l    = -10 log10(|s|² / (|x - y|² + eps) + eps)
/// loss = reduce(l)
/// ```
///
/// [`SiSdrLoss`](crate::SiSdrLoss), except that another volume than the target's is a distortion as well.
///
/// - **Shapes**: `input` and `target` `[..., T]`, equal, T at least 1: usually `[N, C, T]`. The loss is a scalar. With
///   [`Reduction::None`](crate::Reduction::None) it has the shape without T.
/// - **Values**: any, in f32 with energies (sums of squares) up to 1e30. A good input has a negative
///   loss. A silent `target` costs 80, whatever the input, and has no gradient. So has a silent `input`. f16 and bf16
///   are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires no gradient, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take
///   [`Reduction::None`](crate::Reduction::None) and reduce its result.
/// - **Defaults**: `zero_mean` true, `eps` 1e-8, `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices, or without a time; an `eps` that is not positive and
///   finite.
///
/// Source: [`SDSDRLoss` of auraloss](https://github.com/csteinmetz1/auraloss/blob/main/auraloss/time.py); J. Le Roux et
/// al., [*SDR - half-baked or well done?*](https://arxiv.org/abs/1811.02508) (2018).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, SdSdrLoss};
///
/// // At half the volume, the signal is as loud as what is missing.
/// let target = Tensor::from_slice(&[1.0, -1.0, 1.0, -1.0]).view([1, 1, 4]);
/// let loss = SdSdrLoss::default().forward(&(0.5 * &target), &target);
/// assert!(loss.double_value(&[]).abs() < 1e-6);
/// ```
#[doc(alias = "SDSDRLoss")]
#[doc(alias = "SD_SDR")]
SdSdrLoss of ProjectionBesideTarget
}
