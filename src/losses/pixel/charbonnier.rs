//! [`CharbonnierLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::map_of_elements;
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Charbonnier loss: absolute error that is smooth at 0.
///
/// ```text
/// loss = reduce(sqrt((input - target)² + eps))
/// ```
///
/// Large errors count in proportion, as in [`L1Loss`](crate::L1Loss). Errors below `sqrt(eps)` have gradients that fade
/// to 0, as in [`MseLoss`](crate::MseLoss). The loss is usual in restoration and super-resolution.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. Equal values cost `sqrt(eps)`, with a gradient of 0. f16 and bf16 are computed in f32, as 1e-12 is 0
///   in f16. The mean of nothing is NaN.
/// - **Defaults**: `eps` 1e-12, `reduction` mean. `eps` is not squared: the `sqrt(d² + eps²)` of MPRNet with its `eps` of
///   1e-3 is an `eps` of 1e-6 here.
/// - **Errors**: arguments of different shapes, kinds or devices; an `eps` that is not positive and finite.
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
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for CharbonnierLoss {
    fn default() -> Self {
        CharbonnierLoss { eps: 1e-12, reduction: Reduction::Mean }
    }
}

setters!(CharbonnierLoss { with_eps(eps: f64), with_reduction(reduction: Reduction) });

impl CharbonnierLoss {
    /// In f32 at least.
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(input.kind());
        let difference = input.f_to_kind(kind)?.f_sub(&target.f_to_kind(kind)?)?;
        Ok(difference.f_square()?.f_add_scalar(self.eps)?.f_sqrt()?)
    }
}

impl Loss for CharbonnierLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        reduce(&self.elements(input, target)?, self.reduction, input.kind())
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || self.elements(input, target))
    }
}
