//! [`LpLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::precision::smallest_normal;
use crate::base::{check, setters};
use crate::losses::map_of_elements;
use crate::losses::pixel::elementwise::{difference, forward, Elementwise};
use crate::{Loss, Reduction, Result};

/// Absolute error to any power.
///
/// ```text
/// l    = |input - target|^p
/// loss = reduce(l)
/// ```
///
/// With a `p` of 1 it is [`L1Loss`](crate::L1Loss), with 2 [`MseLoss`](crate::MseLoss). Below 1, large errors count
/// hardly more than small ones.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. The arguments can be exchanged. f16 and bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to both arguments; 0 where they are equal, whatever `p`. If the loss is reduced and `target`
///   requires no gradient, forward computes the gradient, and second derivatives come out as zero. For second
///   derivatives, take [`Reduction::None`] and reduce its result.
/// - **Map**: the mean of `l` over the channels.
/// - **Defaults**: `p` 2, `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices; a `p` that is not positive and finite.
///
/// Source: `LpLoss` of [burn](https://github.com/tracel-ai/burn).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{LpLoss, Loss};
///
/// let (input, target) = (Tensor::from_slice(&[4.0, 0.0]), Tensor::from_slice(&[0.0, -9.0]));
/// let loss = LpLoss::default().with_p(0.5).forward(&input, &target);
/// assert_eq!(loss.double_value(&[]), 2.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LpLoss {
    /// The power.
    pub p: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for LpLoss {
    fn default() -> Self {
        LpLoss { p: 2.0, reduction: Reduction::Mean }
    }
}

setters!(LpLoss { with_p(p: f64), with_reduction(reduction: Reduction) });

/// Sizes that can be divided by: of a power below 1, the slope at 0 would be infinite.
fn at_least_normal(size: &Tensor) -> Result<Tensor> {
    Ok(size.f_clamp_min(smallest_normal(size.kind()))?)
}

impl Elementwise for LpLoss {
    fn elements(&self, difference: &Tensor) -> Result<Tensor> {
        let size = difference.f_abs()?;
        Ok(at_least_normal(&size)?.f_pow_tensor_scalar(self.p)?.f_masked_fill(&size.f_eq(0.0)?, 0.0)?)
    }

    fn sum_and_slopes(&self, mut difference: Tensor) -> Result<Tensor> {
        let size = difference.f_abs()?;
        let power = at_least_normal(&size)?.f_pow_(self.p - 1.0)?;
        let sum = match self.p < 1.0 {
            // An infinite difference has a power of 0 then.
            true => self.elements(&difference)?.f_sum(None)?,
            false => { size }.f_mul_(&power)?.f_sum(None)?,
        };
        let _ = difference.f_sign_()?.f_mul_(&power)?.f_mul_scalar_(self.p)?;
        Ok(sum)
    }
}

impl Loss for LpLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("p", self.p)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        forward(self, self.reduction, input, target)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || self.elements(&difference(input, target)?))
    }
}
