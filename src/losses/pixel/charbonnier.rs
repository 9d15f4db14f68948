//! [`CharbonnierLoss`].

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::elementwise::{difference, forward, Elementwise};
use super::map_of_elements;
use crate::base::precision::smallest_normal;
use crate::base::tensor::scalar;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Charbonnier loss: absolute error that is smooth at 0.
///
/// ```text
/// l    = sqrt((input - target)² + eps)
///      - sqrt(eps)                          with from_zero
/// loss = reduce(l)
/// ```
///
/// Large errors count in proportion, as in [`L1Loss`](crate::L1Loss). Errors below `sqrt(eps)` have gradients that fade
/// to 0, as in [`MseLoss`](crate::MseLoss). The loss is usual in restoration and super-resolution.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. Equal values cost `sqrt(eps)`, or 0 with `from_zero`; their gradient is 0. The arguments can be
///   exchanged. f16 and bf16 are computed in f32, as 1e-12 is 0 in f16. The mean of nothing is NaN.
/// - **Gradients**: to both arguments. If the loss is reduced and `target` requires no gradient, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Map**: the mean of `l` over the channels.
/// - **Defaults**: `eps` 1e-12, `from_zero` false, `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices; an `eps` that is not positive and finite.
///
/// The defaults are BasicSR's. `eps` is not squared: the `sqrt(d² + eps²)` of MPRNet with its `eps` of 1e-3 is an `eps`
/// of 1e-6 here. kornia has `sqrt(d² + 1) - 1`, see [`kornia`](Self::kornia).
///
/// Source:
/// [`CharbonnierLoss` of BasicSR](https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/losses/basic_loss.py); P.
/// Charbonnier et al., *Two deterministic half-quadratic regularization algorithms for computed imaging* (1994).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{CharbonnierLoss, Loss};
///
/// let (input, target) = (Tensor::from_slice(&[3.0, 0.0]), Tensor::from_slice(&[0.0, 0.0]));
/// // sqrt(9 + 16) and sqrt(0 + 16), of which the mean.
/// let loss = CharbonnierLoss::default().with_eps(16.0).forward(&input, &target);
/// assert_eq!(loss.double_value(&[]), 4.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CharbonnierLoss {
    /// What is added to the squared differences.
    pub eps: f64,
    /// Whether `sqrt(eps)` is subtracted, so that equal values cost nothing.
    pub from_zero: bool,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for CharbonnierLoss {
    fn default() -> Self {
        CharbonnierLoss { eps: 1e-12, from_zero: false, reduction: Reduction::Mean }
    }
}

setters!(CharbonnierLoss { with_eps(eps: f64), with_from_zero(from_zero: bool), with_reduction(reduction: Reduction) });

impl CharbonnierLoss {
    /// kornia's [`charbonnier_loss`](https://kornia.readthedocs.io/en/latest/losses.html), `sqrt(d² + 1) - 1`: an `eps`
    /// of 1, `from_zero`. Errors below 1 count as half their squares, or nearly so. kornia's default is no reduction;
    /// here it is the mean.
    pub fn kornia() -> Self {
        CharbonnierLoss { eps: 1.0, from_zero: true, ..Default::default() }
    }

    /// `eps` in numbers of this kind, in which it is not 0.
    fn eps_in(&self, kind: Kind) -> f64 {
        self.eps.max(smallest_normal(kind))
    }
}

impl Elementwise for CharbonnierLoss {
    fn elements(&self, difference: &Tensor) -> Result<Tensor> {
        let eps = self.eps_in(difference.kind());
        let squares = difference.f_square()?;
        let root = squares.f_add_scalar(eps)?.f_sqrt()?;
        match self.from_zero {
            // The same as the root less that of eps, but small ones do not cancel.
            true => Ok(squares.f_div(&root.f_add_scalar(eps.sqrt())?)?),
            false => Ok(root),
        }
    }

    fn sum_and_slopes(&self, mut difference: Tensor) -> Result<Tensor> {
        let eps = scalar(self.eps_in(difference.kind()), &difference)?;
        let squares = eps.f_addcmul(&difference, &difference)?;
        // libtorch is faster at this than at the root itself.
        let inverse = squares.f_rsqrt()?;
        let sum = match self.from_zero {
            true => self.elements(&difference)?.f_sum(None)?,
            false => { squares }.f_mul_(&inverse)?.f_sum(None)?,
        };
        let _ = difference.f_mul_(&inverse)?;
        Ok(sum)
    }
}

impl Loss for CharbonnierLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        forward(self, self.reduction, input, target)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || self.elements(&difference(input, target)?))
    }
}
