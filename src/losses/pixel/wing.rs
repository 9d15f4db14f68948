//! [`WingLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::elementwise::{difference, forward, Elementwise};
use super::map_of_elements;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Wing loss: small and medium errors count more than in proportion. It is for coordinates of landmarks.
///
/// ```text
/// d    = |input - target|
/// l    = omega * ln(1 + d / epsilon)                    where d < omega
///        d - omega + omega * ln(1 + omega / epsilon)    elsewhere
/// loss = reduce(l)
/// ```
///
/// Up to `omega` the gradient is `omega / (epsilon + d)`, which is largest for small errors. Beyond `omega` the loss is
/// [`L1Loss`](crate::L1Loss) with an offset.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any, such as coordinates in pixels. Images of `[0, 1]` only reach the logarithm with the default
///   `omega`. The loss is 0 or more; the arguments can be exchanged. The gradient at equal values is 0. f16 and bf16
///   are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires no gradient, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Map**: the mean of `l` over the channels.
/// - **Defaults**: `omega` 10, `epsilon` 2, `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices; an `omega` or an `epsilon` that is not positive and
///   finite.
///
/// mmpose, whose defaults these are, takes landmarks `[N, K, D]` and divides the sum by `N`.
///
/// Source: [`WingLoss` of
/// mmpose](https://github.com/open-mmlab/mmpose/blob/main/mmpose/models/losses/regression_loss.py); Z.-H. Feng et
/// al., *Wing loss for robust facial landmark localisation with convolutional neural networks* (2018).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, Reduction, WingLoss};
///
/// let (input, target) = (Tensor::from_slice(&[2.0, 30.0]), Tensor::from_slice(&[0.0, 0.0]));
/// let losses = WingLoss::default().with_reduction(Reduction::None).forward(&input, &target);
/// assert!((losses.double_value(&[0]) - 10.0 * 2f64.ln()).abs() < 1e-12);
/// assert!((losses.double_value(&[1]) - 20.0 - 10.0 * 6f64.ln()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WingLoss {
    /// The error from which on the loss is linear.
    pub omega: f64,
    /// How much the logarithm bends: the error at which its gradient is half of the largest.
    pub epsilon: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for WingLoss {
    fn default() -> Self {
        WingLoss { omega: 10.0, epsilon: 2.0, reduction: Reduction::Mean }
    }
}

setters!(WingLoss {
    with_omega(omega: f64),
    with_epsilon(epsilon: f64),
    with_reduction(reduction: Reduction)
});

impl Elementwise for WingLoss {
    fn elements(&self, difference: &Tensor) -> Result<Tensor> {
        let WingLoss { omega, epsilon, .. } = *self;
        let sizes = difference.f_abs()?;
        let logarithms = sizes.f_mul_scalar(1.0 / epsilon)?.f_log1p()?.f_mul_scalar(omega)?;
        let linear = sizes.f_add_scalar(omega * (omega / epsilon).ln_1p() - omega)?;
        Ok(logarithms.f_where_self(&sizes.f_lt(omega)?, &linear)?)
    }

    fn sum_and_slopes(&self, mut difference: Tensor) -> Result<Tensor> {
        let WingLoss { omega, epsilon, .. } = *self;
        let sum = self.elements(&difference)?.f_sum(None)?;
        let mut slopes = difference.f_abs()?;
        let far = slopes.f_ge(omega)?;
        slopes = slopes.f_add_scalar_(epsilon)?.f_reciprocal_()?.f_mul_scalar_(omega)?;
        let _ = difference.f_sgn_()?.f_mul_(&slopes.f_masked_fill_(&far, 1.0)?)?;
        Ok(sum)
    }
}

impl Loss for WingLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("omega", self.omega)?;
        check::positive("epsilon", self.epsilon)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        forward(self, self.reduction, input, target)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || self.elements(&difference(input, target)?))
    }
}
