//! [`WelschLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::elementwise::{difference, forward, Elementwise};
use super::map_of_elements;
use crate::base::exponential::exp_in_place;
use crate::base::setters;
use crate::{Loss, Reduction, Result};

/// Robust loss that counts large errors as 1 at most: it ignores outliers.
///
/// ```text
/// l    = 1 - exp(-(input - target)² / 2)
/// loss = reduce(l)
/// ```
///
/// Errors of more than about 5 have nearly no gradient. Input that far from its target does not learn.
///
/// Errors of less than about 1 count as half their squares. For another scale, divide both arguments by it.
/// [`CharbonnierLoss::kornia`](crate::CharbonnierLoss::kornia), [`CauchyLoss`](crate::CauchyLoss),
/// [`GemanMcclureLoss`](crate::GemanMcclureLoss) and `WelschLoss` are one family: in this order, large
/// errors count less and less.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. The loss is from 0 to 1; the arguments can be exchanged. f16 and bf16 are computed in f32. The
///   mean of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires no gradient, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Map**: the mean of `l` over the channels.
/// - **Defaults**: `reduction` mean. kornia's default is none.
/// - **Errors**: arguments of different shapes, kinds or devices.
///
/// Source: [`WelschLoss` of kornia](https://kornia.readthedocs.io/en/latest/losses.html);
/// J. T. Barron, *A general and adaptive robust loss function* (2019).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, WelschLoss};
///
/// let (input, target) = (Tensor::from_slice(&[100.0, 0.0]), Tensor::from_slice(&[0.0, 0.0]));
/// // 1 and 0, of which the mean.
/// assert_eq!(WelschLoss::default().forward(&input, &target).double_value(&[]), 0.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WelschLoss {
    /// How the elements are reduced.
    pub reduction: Reduction,
}

setters!(WelschLoss { with_reduction(reduction: Reduction) });

impl Elementwise for WelschLoss {
    fn elements(&self, difference: &Tensor) -> Result<Tensor> {
        // Small errors would cancel in 1 - exp(..).
        Ok(difference.f_square()?.f_mul_scalar(-0.5)?.f_expm1()?.f_neg()?)
    }

    fn sum_and_slopes(&self, mut difference: Tensor) -> Result<Tensor> {
        let exponents = difference.f_square()?.f_mul_scalar_(-0.5)?;
        let sum = exponents.f_expm1()?.f_sum(None)?.f_neg()?;
        let _ = difference.f_mul_(&exp_in_place(exponents)?)?;
        Ok(sum)
    }
}

impl Loss for WelschLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        forward(self, self.reduction, input, target)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || self.elements(&difference(input, target)?))
    }
}
