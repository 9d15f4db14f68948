//! [`CauchyLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::elementwise::{difference, forward, Elementwise};
use super::map_of_elements;
use crate::base::setters;
use crate::{Loss, Reduction, Result};

/// Robust loss that grows as the logarithm of large errors.
///
/// ```text
/// l    = ln(1 + (input - target)² / 2)
/// loss = reduce(l)
/// ```
///
/// The gradient fades with the size of an outlier, in proportion to its inverse.
///
/// Errors of less than about 1 count as half their squares. For another scale, divide both arguments by it.
/// [`CharbonnierLoss::kornia`](crate::CharbonnierLoss::kornia), `CauchyLoss`,
/// [`GemanMcclureLoss`](crate::GemanMcclureLoss) and [`WelschLoss`](crate::WelschLoss) are one family: in this order,
/// large errors count less and less.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. The loss is 0 or more; the arguments can be exchanged. f16 and bf16 are computed in f32. The mean
///   of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires no gradient, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Map**: the mean of `l` over the channels.
/// - **Defaults**: `reduction` mean. kornia's default is none.
/// - **Errors**: arguments of different shapes, kinds or devices.
///
/// Source: [`CauchyLoss` of kornia](https://kornia.readthedocs.io/en/latest/losses.html);
/// J. T. Barron, *A general and adaptive robust loss function* (2019).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{CauchyLoss, Loss};
///
/// let (input, target) = (Tensor::from_slice(&[2.0, 0.0]), Tensor::from_slice(&[0.0, 0.0]));
/// let loss = CauchyLoss::default().forward(&input, &target);
/// assert!((loss - 3f64.ln() / 2.0).abs().double_value(&[]) < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CauchyLoss {
    /// How the elements are reduced.
    pub reduction: Reduction,
}

setters!(CauchyLoss { with_reduction(reduction: Reduction) });

impl Elementwise for CauchyLoss {
    fn elements(&self, difference: &Tensor) -> Result<Tensor> {
        Ok(difference.f_square()?.f_mul_scalar(0.5)?.f_log1p()?)
    }

    fn sum_and_slopes(&self, mut difference: Tensor) -> Result<Tensor> {
        let mut halves = difference.f_square()?.f_mul_scalar_(0.5)?;
        let sum = halves.f_log1p()?.f_sum(None)?;
        let _ = difference.f_div_(&halves.f_add_scalar_(1.0)?)?;
        Ok(sum)
    }
}

impl Loss for CauchyLoss {
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
