//! [`TotalVariationLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::streaming::streamed;
use super::{at_earlier_pixel, differences, AXES};
use crate::base::gradient::Wanted;
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, image, setters};
use crate::{Reduction, Result, UnaryLoss};

/// How a [`TotalVariationLoss`] measures an image's differences.
///
/// In an objective's file it is `"l1"`, `"l2"` or `"l2_squared"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TotalVariationNorm {
    /// The sum of their absolute values.
    L1,
    /// The square root of the sum of their squares: one root for each image.
    #[default]
    L2,
    /// The sum of their squares.
    L2Squared,
}

/// Total variation: how much neighbouring pixels of an image differ. It is a penalty on noise, for one tensor.
///
/// ```text
/// dx   = input[.., j + 1] - input[.., j]       to the right
/// dy   = input[.., i + 1, j] - input[.., i, j]   down
/// l_n  = sum |dx| + sum |dy|                   norm l1
///        sqrt(sum dx² + sum dy²)               norm l2
///        sum dx² + sum dy²                     norm l2_squared
/// loss = reduce(l)                             over the images
/// ```
///
/// With `average`, means take the place of the sums, each over its own differences: the loss then does not grow with
/// the image. [`WeightedTotalVariationLoss`](crate::WeightedTotalVariationLoss) has weights for the pixels.
///
/// - **Shapes**: `input` `[N, C, H, W]`, all at least 1. An axis of one pixel has no differences, and adds nothing. The
///   loss is a scalar, or `[N]` with [`Reduction::None`].
/// - **Values**: any. The loss is 0 or more. f16 and bf16 are computed in f32. A sum in f16 is infinite beyond 65504:
///   take `average`.
/// - **Gradients**: 0 where the image is flat, for all norms. If the loss is reduced, forward computes the gradient,
///   and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Map**: each pixel's part in the loss of its image, of which the map's mean is the loss. Differences count at the
///   earlier pixel. With the norm l2, the parts are proportional to the squares.
/// - **Defaults**: `norm` l2, `average` false, `reduction` mean.
/// - **Errors**: an argument that is no image.
///
/// The values are those of piq's `TVLoss`, whose gradient of a flat image is NaN with the norm l2. torchmetrics' and
/// kornia's total variation are the norm l1, summed. BasicSR's is the norm l1 with `average`, see
/// [`basicsr`](Self::basicsr).
///
/// Source: [`TVLoss` of piq](https://piq.readthedocs.io/en/latest/losses.html); L. I. Rudin et al., *Nonlinear total
/// variation based noise removal algorithms* (1992).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{TotalVariationLoss, TotalVariationNorm, UnaryLoss};
///
/// let image = Tensor::from_slice(&[0.0, 3.0, 4.0, 4.0]).view([1, 1, 2, 2]);
/// // 3 and 0 to the right, 4 and 1 down.
/// let l1 = TotalVariationLoss::default().with_norm(TotalVariationNorm::L1);
/// assert_eq!(l1.forward(&image).double_value(&[]), 8.0);
/// assert_eq!(l1.with_average(true).forward(&image).double_value(&[]), 4.0);
/// ```
#[doc(alias = "TVLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TotalVariationLoss {
    /// How the differences are measured.
    pub norm: TotalVariationNorm,
    /// Whether means take the place of the sums over an image.
    pub average: bool,
    /// How the losses of the images are reduced.
    pub reduction: Reduction,
}

setters!(TotalVariationLoss {
    with_norm(norm: TotalVariationNorm),
    with_average(average: bool),
    with_reduction(reduction: Reduction)
});

impl TotalVariationLoss {
    /// That of BasicSR without a weight, and kornia's with the reduction mean: the mean absolute difference down plus
    /// that to the right.
    pub fn basicsr() -> Self {
        TotalVariationLoss { norm: TotalVariationNorm::L1, average: true, ..Default::default() }
    }

    /// What the differences along the two axes of images of this size are multiplied with.
    pub(super) fn factors(&self, size: &[i64]) -> [f64; 2] {
        AXES.map(|axis| {
            let count = size[1] * size[2] * size[3] / size[axis as usize] * (size[axis as usize] - 1);
            if self.average {
                1.0 / count.max(1) as f64
            } else {
                1.0
            }
        })
    }

    /// The parts of the differences along each axis in the loss, in f32 at least; before the root, if there is one.
    fn parts(&self, input: &Tensor) -> Result<[Tensor; 2]> {
        let images = input.f_to_kind(accumulation_kind(input.kind()))?;
        let factors = self.factors(&images.size());
        let along = |axis: usize| -> Result<Tensor> {
            let differences = differences(&images, AXES[axis])?;
            let parts = match self.norm {
                TotalVariationNorm::L1 => differences.f_abs()?,
                TotalVariationNorm::L2 | TotalVariationNorm::L2Squared => differences.f_square()?,
            };
            if self.average {
                Ok(parts.f_mul_scalar(factors[axis])?)
            } else {
                Ok(parts)
            }
        };
        Ok([along(0)?, along(1)?])
    }
}

/// The sum of each image, `[N, 1, 1, 1]`.
fn sums(parts: &Tensor) -> Result<Tensor> {
    Ok(parts.f_sum_dim_intlist([1i64, 2, 3].as_slice(), true, parts.kind())?)
}

impl UnaryLoss for TotalVariationLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image("input", input)?;
        if self.reduction != Reduction::None && Wanted::of(input, None)? == Wanted::InputGradient {
            return streamed(self, input);
        }
        let [down, right] = self.parts(input)?;
        let mut losses = sums(&down)?.f_add(&sums(&right)?)?;
        if self.norm == TotalVariationNorm::L2 {
            losses = image::sqrt(&losses)?;
        }
        reduce(&losses.f_view([-1])?, self.reduction, input.kind())
    }

    fn loss_map(&self, input: &Tensor) -> Result<Option<Tensor>> {
        self.check_options()?;
        check::image("input", input)?;
        let [down, right] = self.parts(input)?;
        let parts = at_earlier_pixel(&down, AXES[0])?.f_add(&at_earlier_pixel(&right, AXES[1])?)?;
        let pixels = (parts.size()[2] * parts.size()[3]) as f64;
        let mut map = parts.f_sum_dim_intlist([1i64].as_slice(), true, parts.kind())?.f_mul_scalar(pixels)?;
        if self.norm == TotalVariationNorm::L2 {
            map = map.f_div(&image::sqrt(&sums(&parts)?)?)?;
        }
        Ok(Some(map.f_to_kind(input.kind())?))
    }
}
