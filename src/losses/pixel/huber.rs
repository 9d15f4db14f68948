//! [`HuberLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::map_of_elements;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Squared error for small differences, absolute error in proportion to the threshold for large ones.
///
/// ```text
/// d    = |input - target|
/// l    = d² / 2                    where d <= delta
///        delta * (d - delta / 2)   elsewhere
/// loss = reduce(l)
/// ```
///
/// It is half of [`MseLoss`](crate::MseLoss) with the gradient clipped at `delta`: robust against outliers.
/// It is `delta` times [`SmoothL1Loss`](crate::SmoothL1Loss) with a `beta` of `delta`; at 1 the two are
/// equal.
///
/// - **Shapes**: any, equal. The loss is a scalar, or has that shape with [`Reduction::None`].
/// - **Values**: any. The mean of nothing is NaN, as in PyTorch.
/// - **Gradients**: to both arguments.
/// - **Map**: the mean of `l` over the channels.
/// - **Defaults**: `delta` 1, `reduction` mean.
/// - **Errors**: arguments of different shapes, kinds or devices; a `delta` that is not positive and finite.
///
/// Source: [`torch.nn.HuberLoss`](https://pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html);
/// P. J. Huber, *Robust estimation of a location parameter* (1964).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{HuberLoss, Loss, SmoothL1Loss};
///
/// let input = Tensor::from_slice(&[0.5, 3.0]);
/// let target = Tensor::from_slice(&[0.0, 0.0]);
/// let huber = HuberLoss { delta: 2.0, ..Default::default() }.forward(&input, &target);
/// let smooth = SmoothL1Loss { beta: 2.0, ..Default::default() }.forward(&input, &target);
/// assert_eq!(huber, smooth * 2.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HuberLoss {
    /// The difference from which on the error is absolute.
    pub delta: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for HuberLoss {
    fn default() -> Self {
        HuberLoss { delta: 1.0, reduction: Reduction::Mean }
    }
}

setters!(HuberLoss { with_delta(delta: f64), with_reduction(reduction: Reduction) });

impl Loss for HuberLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("delta", self.delta)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        Ok(input.f_huber_loss(target, self.reduction.torch(), self.delta)?)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        map_of_elements(self, input, target, || {
            Ok(input.f_huber_loss(target, Reduction::None.torch(), self.delta)?)
        })
    }
}
