//! [`GemanMcclureLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::elementwise::{difference, forward, Elementwise};
use super::map_of_elements;
use crate::base::setters;
use crate::{Loss, Reduction, Result};

/// Robust loss that counts large errors as 2 at most, by a ratio of squares.
///
/// ```text
/// d    = input - target
/// l    = 2 d² / (d² + 4)
/// loss = reduce(l)
/// ```
///
/// The gradient is largest for an error of about 1.2. It fades with the cube of an outlier.
///
/// Errors of less than about 1 count as half their squares. For another scale, divide both arguments by it.
/// [`CharbonnierLoss::kornia`](crate::CharbonnierLoss::kornia), [`CauchyLoss`](crate::CauchyLoss),
/// `GemanMcclureLoss` and [`WelschLoss`](crate::WelschLoss) are one family: in this order, large
/// errors count less and less.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. The loss is from 0 to 2; the arguments can be exchanged. f16 and bf16 are computed in f32. The
///   mean of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires no gradient, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Map**: the mean of `l` over the channels.
/// - **Defaults**: `reduction` mean. kornia's default is none.
/// - **Errors**: arguments of different shapes, kinds or devices.
///
/// Source: [`GemanMcclureLoss` of kornia](https://kornia.readthedocs.io/en/latest/losses.html);
/// J. T. Barron, *A general and adaptive robust loss function* (2019).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{GemanMcclureLoss, Loss};
///
/// let (input, target) = (Tensor::from_slice(&[2.0, 0.0]), Tensor::from_slice(&[0.0, 0.0]));
/// // 8 / 8 and 0, of which the mean.
/// assert_eq!(GemanMcclureLoss::default().forward(&input, &target).double_value(&[]), 0.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GemanMcclureLoss {
    /// How the elements are reduced.
    pub reduction: Reduction,
}

setters!(GemanMcclureLoss { with_reduction(reduction: Reduction) });

impl Elementwise for GemanMcclureLoss {
    fn elements(&self, difference: &Tensor) -> Result<Tensor> {
        let squares = difference.f_square()?;
        Ok(squares.f_mul_scalar(2.0)?.f_div(&squares.f_add_scalar(4.0)?)?)
    }

    fn sum_and_slopes(&self, mut difference: Tensor) -> Result<Tensor> {
        let squares = difference.f_square()?;
        let mut divisors = squares.f_add_scalar(4.0)?;
        let sum = squares.f_div(&divisors)?.f_sum(None)?.f_mul_scalar(2.0)?;
        let _ = difference.f_mul_scalar_(16.0)?.f_div_(&divisors.f_square_()?)?;
        Ok(sum)
    }
}

impl Loss for GemanMcclureLoss {
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
