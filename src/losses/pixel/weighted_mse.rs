//! [`WeightedMseLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::weighted::{weighted, weighted_difference, weighted_map};
use crate::base::setters;
use crate::{Reduction, Result, TernaryLoss};

/// Squared error with a weight for each pixel or element.
///
/// ```text
/// l    = (input - target)²
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
/// - **Defaults**: `reduction` mean.
/// - **Errors**: arguments that are not images of one kind and device; a `target` of another shape than `input`; a
///   `weight` that is neither of this shape nor of one channel.
///
/// Source: [`MSELoss` of BasicSR](https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/losses/basic_loss.py),
/// called with a `weight`.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{TernaryLoss, WeightedMseLoss};
///
/// let image = |pixels: [f64; 2]| Tensor::from_slice(&pixels).view([1, 1, 1, 2]);
/// let (input, target) = (image([3.0, 7.0]), image([1.0, 0.0]));
/// // The second pixel does not count.
/// let loss = WeightedMseLoss::default().forward(&input, &target, &image([1.0, 0.0]));
/// assert_eq!(loss.double_value(&[]), 4.0);
/// ```
#[doc(alias = "WeightedMSELoss")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeightedMseLoss {
    /// How the weighted elements are reduced.
    pub reduction: Reduction,
}

setters!(WeightedMseLoss { with_reduction(reduction: Reduction) });

impl WeightedMseLoss {
    /// In f32 at least, without their weights.
    fn elements(&self, input: &Tensor, target: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        Ok(weighted_difference(input, target, weight)?.f_square()?)
    }
}

/// Of `input`, `target` and `weight`.
impl TernaryLoss for WeightedMseLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
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
