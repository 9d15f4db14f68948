//! [`GradientDifferenceLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::gradient::{at_once, pieces, with_gradient, Wanted, PER_THREAD};
use crate::base::precision::{accumulation_kind, channel_mean};
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// Gradient difference loss: how steep an image is from pixel to pixel, whether up or down. Blur costs.
///
/// ```text
/// dx(i) = |i[.., y, x] - i[.., y, x + 1]|,   dy(i) = |i[.., y, x] - i[.., y + 1, x]|
/// loss  = mean(|dx(input) - dx(target)|^p) + mean(|dy(input) - dy(target)|^p)
/// ```
///
/// It was made for the prediction of video frames, beside a loss on pixels. [`Sobel`](crate::Sobel) looks at a wider
/// neighbourhood, of the mean of the channels.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, all at least 1. The loss is a scalar, or `[N, C, H, W]` with
///   [`Reduction::None`]: both differences of a pixel to the next ones, added; there is none beyond the last column and
///   the last row.
/// - **Values**: any. The loss scales with their `p`th power; it is 0 for equal images, never negative, and symmetric.
///   Each direction has a mean of its own; an image of one column or one row has none along it, which counts as 0. So
///   the mean is not that of the elements. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments. Where a difference of neighbours is 0, or equal in both images, it is 0. If the loss
///   is reduced and `target` requires no gradient, forward computes the gradient, and second derivatives come out as zero.
/// - **Map**: the elements, averaged over the channels, each direction scaled so that the map's mean is the loss.
/// - **Defaults**: `p` 1, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; a `p` that is not positive and finite.
///
/// Source: M. Mathieu et al., [*Deep multi-scale video prediction beyond mean square
/// error*](https://arxiv.org/abs/1511.05440) (2016). The paper adds up, as [`Reduction::Sum`] does, and calls `p` alpha.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{GradientDifferenceLoss, Loss};
///
/// // A step of 1 that the other image lacks, one of two differences; the second one is -1 for 1.
/// let fake = Tensor::from_slice(&[0.0, 1.0, 0.0]).view([1, 1, 1, 3]);
/// let real = Tensor::from_slice(&[0.0, 0.0, 1.0]).view([1, 1, 1, 3]);
/// let loss = GradientDifferenceLoss::default().forward(&fake, &real);
/// assert_eq!(loss.double_value(&[]), 0.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradientDifferenceLoss {
    /// The power of the differences.
    pub p: f64,
    /// How the differences are reduced.
    pub reduction: Reduction,
}

impl Default for GradientDifferenceLoss {
    fn default() -> Self {
        GradientDifferenceLoss { p: 1.0, reduction: Reduction::Mean }
    }
}

setters!(GradientDifferenceLoss { with_p(p: f64), with_reduction(reduction: Reduction) });

/// The axes along which neighbours are compared. That of a single column or row leaves nothing to compare.
const AXES: [i64; 2] = [3, 2];

/// The steepness along an axis, which gets shorter by 1.
fn steepness(image: &Tensor, axis: i64) -> Result<Tensor> {
    let length = image.size()[axis as usize] - 1;
    Ok(image.f_narrow(axis, 0, length)?.f_sub(&image.f_narrow(axis, 1, length)?)?.f_abs()?)
}

/// Zeros where the axis had its last pixel.
fn placed(differences: &Tensor, axis: i64) -> Result<Tensor> {
    let padding: &[i64] = if axis == 3 { &[0, 1] } else { &[0, 0, 0, 1] };
    Ok(differences.f_constant_pad_nd(padding)?)
}

impl GradientDifferenceLoss {
    /// Along one axis, in f32 at least.
    fn differences(&self, input: &Tensor, target: &Tensor, axis: i64) -> Result<Tensor> {
        let kind = accumulation_kind(input.kind());
        let steepness = |image: &Tensor| steepness(&image.f_to_kind(kind)?, axis);
        let difference = steepness(input)?.f_sub(&steepness(target)?)?.f_abs()?;
        if self.p == 1.0 {
            return Ok(difference);
        }
        if self.p > 1.0 {
            return Ok(difference.f_pow_tensor_scalar(self.p)?);
        }
        // The slope of such a power is infinite at 0.
        let zero = difference.f_eq(0.0)?;
        let power = difference.f_masked_fill(&zero, 1.0)?.f_pow_tensor_scalar(self.p)?;
        Ok(power.f_masked_fill(&zero, 0.0)?)
    }

    /// What `part` makes of both axes, added.
    fn both(
        &self,
        input: &Tensor,
        target: &Tensor,
        part: impl Fn(Tensor, i64) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let [along_rows, along_columns] = AXES.map(|axis| part(self.differences(input, target, axis)?, axis));
        Ok(along_rows?.f_add(&along_columns?)?)
    }

    /// The share of these images in the loss of a batch of this size.
    fn reduced(&self, input: &Tensor, target: &Tensor, batch: &[i64]) -> Result<Tensor> {
        self.both(input, target, |differences, axis| {
            let sum = differences.f_sum(None)?;
            match self.reduction {
                Reduction::Mean => Ok(sum.f_mul_scalar(1.0 / count(batch, axis))?),
                _ => Ok(sum),
            }
        })
    }

    /// The loss with the gradient taken here, a few images at a time, which stay in the cache.
    fn streamed(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (size, kind) = (input.size(), accumulation_kind(input.kind()));
        let wide = input.f_to_kind(kind)?;
        let gradient = wide.f_detach()?.f_empty_like()?;
        let mut loss = Tensor::f_zeros([0i64; 0], (kind, input.device()))?;
        let most = at_once(input.device(), size[1] * size[2] * size[3], PER_THREAD);
        for (start, length) in pieces(size[0], most) {
            let leaf = wide.f_detach()?.f_narrow(0, start, length)?.f_set_requires_grad(true)?;
            let own = self.reduced(&leaf, &target.f_narrow(0, start, length)?, &size)?;
            let gradients = Tensor::f_run_backward(&[&own], &[&leaf], false, false)?;
            gradient.f_narrow(0, start, length)?.f_copy_(&gradients[0])?;
            loss = loss.f_add_(&own.f_detach()?)?;
        }
        with_gradient(&loss, &wide, &gradient, 1.0)
    }
}

/// How many differences along an axis images of this size have; 1 where there are none, to divide by.
fn count(size: &[i64], axis: i64) -> f64 {
    let along = size[axis as usize];
    (size.iter().product::<i64>() / along * (along - 1)).max(1) as f64
}

impl Loss for GradientDifferenceLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("p", self.p)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        let loss = match self.reduction {
            Reduction::None => self.both(input, target, |differences, axis| placed(&differences, axis))?,
            _ if Wanted::of(input, Some(target))? == Wanted::InputGradient => self.streamed(input, target)?,
            _ => self.reduced(input, target, &input.size())?,
        };
        Ok(loss.f_to_kind(input.kind())?)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check_options()?;
        check::image_pair(input, target)?;
        let map = self.both(input, target, |differences, axis| {
            let share = input.numel() as f64 / count(&input.size(), axis);
            channel_mean(&placed(&differences, axis)?.f_mul_scalar(share)?)
        })?;
        Ok(Some(map.f_to_kind(input.kind())?))
    }
}
