//! [`GmsdLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::filtered::{channels_back, halved_back, Filtered};
use super::gradient_deviation::GradientDeviation;
use super::gradient_magnitude::Operator;
use super::map::enlarged;
use crate::base::image::per_image::per_image;
use crate::base::image::{self, color, pool, DataRange};
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// GMSD, gradient magnitude similarity deviation: how unevenly two images differ in their edges.
///
/// ```text
/// a, b = Prewitt gradient magnitudes of luma, after means of 2x2 pixels
/// g    = (2ab + t) / (a² + b² + t)
/// loss = reduce(sqrt(mean((g - mean g)²)))          (one value for each image)
/// ```
///
/// An error that is the same everywhere costs nothing: combine the loss with one on pixels.
/// [`MultiScaleGmsdLoss`](crate::MultiScaleGmsdLoss) measures on several scales.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]` with 1 or 3 channels (grey, or red, green and blue). If a side is
///   odd, a row and a column of zeros are added. The loss is a scalar, or `[N]` with [`Reduction::None`].
/// - **Values**: from 0 for equal images to 0.5. The loss is symmetric. The score is the loss; take it under
///   [`tch::no_grad`]. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments, 0 in flat regions and for identical images, where piq has NaN. If `target`
///   requires no gradient, forward computes the gradient, and second derivatives come out as zero.
/// - **Map**: `1 - g`, from 0 (alike) to 1. Each block of 2x2 pixels has one value. The loss is the deviation of this
///   map, not its mean.
/// - **Defaults**: `data_range` unit, `t` 170 / 255², `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; other counts of channels; a `t` that is
///   not positive and finite.
///
/// Source: [`GMSDLoss` of piq](https://github.com/photosynthesis-team/piq/blob/master/piq/gmsd.py), whose numbers
/// these are; W. Xue et al., [*Gradient Magnitude Similarity Deviation*](https://arxiv.org/abs/1308.3052) (2013). The
/// MATLAB code of the authors and pyiqa divide by the number of pixels minus 1, and pyiqa adds 1e-12 under the root.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{GmsdLoss, Loss};
///
/// let fake = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu));
/// let loss = GmsdLoss::default().forward(&fake, &real);
/// loss.backward();
/// assert!(loss.double_value(&[]) > 0.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GmsdLoss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// The constant that keeps the quotient stable, for values from 0 to 1.
    pub t: f64,
    /// How the values of the images are reduced.
    pub reduction: Reduction,
}

impl Default for GmsdLoss {
    fn default() -> Self {
        GmsdLoss { data_range: DataRange::Unit, t: 170.0 / (255.0 * 255.0), reduction: Reduction::Mean }
    }
}

setters!(GmsdLoss {
    with_data_range(data_range: DataRange),
    with_t(t: f64),
    with_reduction(reduction: Reduction)
});

impl GmsdLoss {
    fn check(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::channels(input, &[1, 3])
    }

    fn deviation(&self) -> GradientDeviation {
        GradientDeviation { constant: self.t, masking: 0.0 }
    }
}

impl Filtered for GmsdLoss {
    fn filter(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        let plane = pool::halved(&color::luma(images)?)?;
        Ok(GradientDeviation::filter(&plane)?.into())
    }

    fn back(&self, slopes: &[Tensor], images: &Tensor) -> Result<Tensor> {
        let size = images.size();
        let plane = Operator::Prewitt.back([&slopes[0], &slopes[1]])?;
        let luma = halved_back(&plane, size[2], size[3])?;
        if size[1] == 1 {
            Ok(luma)
        } else {
            channels_back(&[(&luma, color::Y)])
        }
    }

    fn compare(&self, input: &[Tensor], target: &[Tensor]) -> Result<Tensor> {
        image::sqrt(&self.deviation().variance([&input[0], &input[1]], [&target[0], &target[1]])?)
    }
}

impl Loss for GmsdLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        check::positive("t", self.t)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check(input, target)?;
        reduce(&per_image(self, self.data_range, input, target)?, self.reduction, input.kind())
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check(input, target)?;
        let found = |images| self.filter(&self.data_range.to_unit(images)?);
        let (own, other) = (found(input)?, found(target)?);
        let map = self.deviation().dissimilarity([&own[0], &own[1]], [&other[0], &other[1]])?;
        Ok(Some(enlarged(&map, 2, 0, input)?))
    }
}
