//! [`WeightedTotalVariationLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{at_earlier_pixel, differences, AXES};
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::losses::pixel::weighted::{check_weight, weighted, weighted_map};
use crate::{Loss, Reduction, Result};

/// Total variation with a weight for each pixel: how much neighbouring pixels differ where it matters.
///
/// ```text
/// dx   = |input[.., j + 1] - input[.., j]|         to the right
/// dy   = |input[.., i + 1, j] - input[.., i, j]|   down
/// loss = sum(weight * dx) / sum(weight) + sum(weight * dy) / sum(weight)      with the reduction mean
///        sum(weight * dx) + sum(weight * dy)                                  with the reduction sum
/// ```
///
/// A difference has the weight of its earlier pixel. A weight of one channel counts for each channel: its sum is
/// multiplied by `C`. Without weights, [`TotalVariationLoss::basicsr`](crate::TotalVariationLoss::basicsr) is the same
/// loss.
///
/// - **Shapes**: `input` `[N, C, H, W]`, all at least 1; `weight` the same or `[N, 1, H, W]`. An axis of one pixel
///   has no differences, and adds nothing. The loss is a scalar. With [`Reduction::None`] it has the shape of
///   `input`: at each pixel its two weighted differences, which are 0 at the last pixels.
/// - **Values**: any. With weights of 0 or more, the loss is 0 or more. If the weights of a direction sum to 0, their
///   sum counts as 1. (BasicSR's loss is NaN.) f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments; 0 where the image is flat.
/// - **Map**: each pixel's part in the mean, which is the map's mean.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: arguments of different kinds or devices; an `input` that is no image; a `weight` that is neither of
///   its shape nor of one channel.
///
/// Source: [`WeightedTVLoss` of
/// BasicSR](https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/losses/basic_loss.py), which has no reduction
/// none.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, WeightedTotalVariationLoss};
///
/// let image = |pixels: [f64; 3]| Tensor::from_slice(&pixels).view([1, 1, 1, 3]);
/// let (input, weight) = (image([0.0, 2.0, 7.0]), image([3.0, 1.0, 1.0]));
/// // 2 counts three times, 5 once; there are no differences down.
/// assert_eq!(WeightedTotalVariationLoss::default().forward(&input, &weight).double_value(&[]), 2.75);
/// ```
#[doc(alias = "WeightedTVLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeightedTotalVariationLoss {
    /// How the weighted differences are reduced.
    pub reduction: Reduction,
}

setters!(WeightedTotalVariationLoss { with_reduction(reduction: Reduction) });

impl WeightedTotalVariationLoss {
    /// The sum over the axes of what is made of the absolute differences and of their weights.
    fn over_axes(
        &self,
        input: &Tensor,
        weight: &Tensor,
        of_axis: impl Fn(&Tensor, &Tensor, i64) -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.check_options()?;
        check::image("input", input)?;
        check_weight(input, weight)?;
        let images = input.f_to_kind(accumulation_kind(input.kind()))?;
        let along = |axis: i64| -> Result<Tensor> {
            let length = weight.size()[axis as usize] - 1;
            of_axis(&differences(&images, axis)?.f_abs()?, &weight.f_narrow(axis, 0, length)?, axis)
        };
        let [down, right] = AXES.map(along);
        Ok(down?.f_add(&right?)?.f_to_kind(input.kind())?)
    }
}

/// Of `input` and `weight`.
impl Loss for WeightedTotalVariationLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.over_axes(input, weight, |differences, weight, axis| {
            let loss = weighted(differences, weight, self.reduction)?;
            if self.reduction == Reduction::None {
                at_earlier_pixel(&loss, axis)
            } else {
                Ok(loss)
            }
        })
    }

    fn loss_map(&self, input: &Tensor, weight: &Tensor) -> Result<Option<Tensor>> {
        let map = self.over_axes(input, weight, |differences, weight, axis| {
            at_earlier_pixel(&weighted_map(differences, weight, input.numel())?, axis)
        });
        map.map(Some)
    }
}
