//! [`LogCoshLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::setters;
use crate::losses::map_of_elements;
use crate::losses::pixel::elementwise::{difference, forward, Elementwise};
use crate::{Loss, Reduction, Result};

/// Logarithm of the hyperbolic cosine of the error: half the square of small errors, the absolute value of large ones.
///
/// ```text
/// l    = log cosh(input - target)
/// loss = reduce(l)
/// ```
///
/// It is like [`HuberLoss`](crate::HuberLoss) with a `delta` of 1, and smooth everywhere.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any; no error is too large for it. The arguments can be exchanged. f16 and bf16 are computed in f32.
///   The mean of nothing is NaN.
/// - **Gradients**: to both arguments, `tanh` of the error. If the loss is reduced and `target` requires no gradient,
///   forward computes the gradient, and second derivatives come out as zero. For second derivatives, take
///   [`Reduction::None`] and reduce its result.
/// - **Map**: the mean of `l` over the channels.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices.
///
/// Source: `LogCoshLoss` of [pytorch-toolbelt](https://github.com/BloodAxe/pytorch-toolbelt) 0.8.0.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{LogCoshLoss, Loss};
///
/// let (input, target) = (Tensor::from_slice(&[0.0, 1000.0]), Tensor::from_slice(&[0.0, 0.0]));
/// let loss = LogCoshLoss::default().forward(&input, &target).double_value(&[]);
/// assert!((loss - (1000.0 - 2f64.ln()) / 2.0).abs() < 1e-9);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogCoshLoss {
    /// How the elements are reduced.
    pub reduction: Reduction,
}

setters!(LogCoshLoss { with_reduction(reduction: Reduction) });

impl Elementwise for LogCoshLoss {
    fn elements(&self, difference: &Tensor) -> Result<Tensor> {
        let size = difference.f_abs()?;
        // |d| + log((1 + exp(-2 |d|)) / 2): nothing overflows, and small ones keep more digits than with log 2 apart.
        let rest = size.f_mul_scalar(-2.0)?.f_expm1()?.f_mul_scalar(0.5)?.f_log1p()?;
        Ok(size.f_add(&rest)?)
    }

    fn sum_and_slopes(&self, mut difference: Tensor) -> Result<Tensor> {
        let size = difference.f_abs()?;
        let sum = size.f_sum(None)?;
        // `exp(-2 |d|) - 1`, of which the rest is made; libtorch's own tanh takes longer.
        let fallen = { size }.f_mul_scalar_(-2.0)?.f_expm1_()?;
        // The hyperbolic tangent of the size is `-fallen / (fallen + 2)`.
        let _ = difference.f_sgn_()?.f_mul_(&fallen)?.f_div_(&fallen.f_rsub_scalar(-2.0)?)?;
        let sum = sum.f_add(&{ fallen }.f_mul_scalar_(0.5)?.f_log1p_()?.f_sum(None)?)?;
        Ok(sum)
    }
}

impl Loss for LogCoshLoss {
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
