//! [`WeightedCharbonnierLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::elementwise::Elementwise;
use super::weighted::{weighted, weighted_difference, weighted_map};
use crate::base::{check, setters};
use crate::{CharbonnierLoss, Reduction, Result, TernaryLoss};

/// [`CharbonnierLoss`] with a weight for each pixel or element.
///
/// ```text
/// l    = sqrt((input - target)² + eps)
/// loss = sum(weight * l) / sum(weight)      with the reduction mean; sum(weight * l) with sum, weight * l with none
/// ```
///
/// A weight of one channel counts for each channel: its sum is multiplied by `C`. With a mask of zeros and ones, the
/// loss is the mean over what the mask shows.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, all at least 1; `weight` the same or `[N, 1, H, W]`. The loss
///   is a scalar, or `[N, C, H, W]` with [`Reduction::None`].
/// - **Values**: any. With weights of 0 or more, the loss is 0 or more. If the sum of all weights is 0, it counts as 1:
///   the mean over an empty mask is 0. (BasicSR's is NaN.) f16 and bf16 are computed in f32.
/// - **Gradients**: to all three arguments.
/// - **Map**: each pixel's part in the mean, which is the map's mean.
/// - **Defaults**: `eps` 1e-12, `reduction` mean.
/// - **Errors**: arguments that are not images of one kind and device; a `target` of another shape than `input`; a
///   `weight` that is neither of this shape nor of one channel; an `eps` that is not positive and finite.
///
/// Source: [`CharbonnierLoss` of
/// BasicSR](https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/losses/basic_loss.py), called with a `weight`.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{TernaryLoss, WeightedCharbonnierLoss};
///
/// let image = |pixels: [f64; 2]| Tensor::from_slice(&pixels).view([1, 1, 1, 2]);
/// let (input, target) = (image([3.0, 7.0]), image([1.0, 0.0]));
/// // The second pixel does not count.
/// let loss = WeightedCharbonnierLoss::default().forward(&input, &target, &image([1.0, 0.0]));
/// assert!((loss - 2.0).abs().double_value(&[]) < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeightedCharbonnierLoss {
    /// What is added to the squared differences.
    pub eps: f64,
    /// How the weighted elements are reduced.
    pub reduction: Reduction,
}

impl Default for WeightedCharbonnierLoss {
    fn default() -> Self {
        WeightedCharbonnierLoss { eps: 1e-12, reduction: Reduction::Mean }
    }
}

setters!(WeightedCharbonnierLoss { with_eps(eps: f64), with_reduction(reduction: Reduction) });

impl WeightedCharbonnierLoss {
    /// In f32 at least, without their weights.
    fn elements(&self, input: &Tensor, target: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let difference = weighted_difference(input, target, weight)?;
        CharbonnierLoss::default().with_eps(self.eps).elements(&difference)
    }
}

/// Of `input`, `target` and `weight`.
impl TernaryLoss for WeightedCharbonnierLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let elements = self.elements(input, target, weight)?;
        Ok(weighted(&elements, weight, self.reduction)?.f_to_kind(input.kind())?)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor, weight: &Tensor) -> Result<Option<Tensor>> {
        let elements = self.elements(input, target, weight)?;
        Ok(Some(weighted_map(&elements, weight, elements.numel())?.f_to_kind(input.kind())?))
    }
}
