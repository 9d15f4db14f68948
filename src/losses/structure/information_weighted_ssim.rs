//! [`InformationWeightedSsimLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::information::Model;
use super::laplacian_pyramid::{doubled, halve, LEAST_SIDE};
use crate::base::image::color::luma;
use crate::base::image::per_image::{per_image, PerImage};
use crate::base::image::window::Window;
use crate::base::precision::smallest_normal;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{DataRange, Error, Loss, Reduction, Result};

/// SSIM over several scales that counts most where the target has the most information.
///
/// ```text
/// x, y    = luma of input and target, from 0 to 255
/// band    = level of their Laplacian pyramids; the last one is what remains of the image
/// cs, l   = contrast and luminance terms of SSIM, Gaussian window, no padding
/// w       = information in a patch of blk_size by blk_size pixels, and of the next level's band if `parent`
/// factor  = |Σ cs w / Σ w|          of the last level: |mean(l cs)|
/// score   = Π factor ^ scale_weight
/// loss    = reduce(1 - score)
/// ```
///
/// It agrees better with people than MS-SSIM does, and takes more time. The score as a metric is `1 - loss` under
/// `tch::no_grad`.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, equal, with 1 or 3 channels. `H` and `W` are at least
///   `(kernel_size - 1) * 2^(levels - 1) + 1`, which is 161 with the defaults; there are as many levels as scale weights.
///   The loss is a scalar, or has one value for each image, `[N]`, with [`Reduction::None`].
/// - **Values**: in `data_range`, which is not checked. The loss is between 0, for equal images, and 1. It is **not
///   symmetric**: `target` is the reference. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments, finite for equal, flat and black images. If `target` requires no gradient, forward
///   computes the gradient, and second derivatives come out as zero. In second derivatives with respect to `target`, the
///   spectrum of its patches counts as constant.
/// - **Map**: none, as the score is a product of weighted means.
/// - **Defaults**: `kernel_size` 11, `kernel_sigma` 1.5, `k1` 0.01, `k2` 0.03, `parent` true, `blk_size` 3, `sigma_nsq`
///   0.4, `scale_weights` 0.0448, 0.2856, 0.3001, 0.2363 and 0.1333 divided by their sum, `data_range` unit, `reduction`
///   mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; other counts of channels; images that are
///   too small; a `kernel_size` that is even or below 3; a `blk_size` that is even or larger than `kernel_size`; other
///   numbers that are not positive and finite.
///
/// Source: [`InformationWeightedSSIMLoss` of piq](https://piq.readthedocs.io/en/latest/losses.html); Z. Wang and Q. Li,
/// *Information content weighting for perceptual image quality assessment* (2011). The numbers are piq's, except for
/// [`Reduction::Sum`]: here it is the sum of the images' losses, in piq it is 1 minus the sum of their scores. Where the
/// patches of a target have a covariance without an inverse, as those of flat images, piq fails or returns noise; here, the
/// part that is rounding alone is left out. A level whose weights are all 0 has equal weights. On a CUDA device, the
/// decomposition of the covariance makes the host wait for the device.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{InformationWeightedSsimLoss, Loss};
///
/// let fake = Tensor::rand([1, 3, 64, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([1, 3, 64, 64], (Kind::Float, Device::Cpu));
/// // Three levels instead of five, for small images.
/// let loss = InformationWeightedSsimLoss::default().with_scale_weights(vec![0.3, 0.4, 0.3]);
/// loss.forward(&fake, &real).backward();
/// assert_eq!(fake.grad().size(), fake.size());
/// ```
#[doc(alias = "IW-SSIM")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InformationWeightedSsimLoss {
    /// The side of the Gaussian window, odd.
    pub kernel_size: i64,
    /// The standard deviation of the Gaussian window, in pixels.
    pub kernel_sigma: f64,
    /// The constant of the luminance term: `(255 k1)²` is added to numerator and denominator.
    pub k1: f64,
    /// The constant of the contrast term.
    pub k2: f64,
    /// Whether a patch includes a pixel of the next level.
    pub parent: bool,
    /// The side of the patches whose information is the weight, odd.
    pub blk_size: i64,
    /// The variance of the noise that patches are seen with.
    pub sigma_nsq: f64,
    /// The exponents of the levels, from the finest on. They are divided by their sum.
    pub scale_weights: Vec<f64>,
    /// The range of the images' values.
    pub data_range: DataRange,
    /// How the images' losses are reduced.
    pub reduction: Reduction,
}

impl Default for InformationWeightedSsimLoss {
    fn default() -> Self {
        InformationWeightedSsimLoss {
            kernel_size: 11,
            kernel_sigma: 1.5,
            k1: 0.01,
            k2: 0.03,
            parent: true,
            blk_size: 3,
            sigma_nsq: 0.4,
            scale_weights: vec![0.0448, 0.2856, 0.3001, 0.2363, 0.1333],
            data_range: DataRange::Unit,
            reduction: Reduction::Mean,
        }
    }
}

setters!(InformationWeightedSsimLoss {
    with_kernel_size(kernel_size: i64),
    with_kernel_sigma(kernel_sigma: f64),
    with_k1(k1: f64),
    with_k2(k2: f64),
    with_parent(parent: bool),
    with_blk_size(blk_size: i64),
    with_sigma_nsq(sigma_nsq: f64),
    with_scale_weights(scale_weights: Vec<f64>),
    with_data_range(data_range: DataRange),
    with_reduction(reduction: Reduction)
});

/// The highest value of the images that the constants are made for.
const HIGHEST: f64 = 255.0;

/// The bands of the Laplacian pyramid `[N, 1, H, W]`, the largest first; the last one is what remains of the image.
fn bands(image: &Tensor, levels: usize) -> Result<Vec<Tensor>> {
    let mut bands = Vec::with_capacity(levels);
    let mut rest = image.shallow_clone();
    // With one level, it is the first band.
    for _ in 0..(levels - 1).max(1) {
        let (half, band) = halve(&rest)?;
        bands.push(band);
        rest = half;
    }
    bands.push(rest);
    bands.truncate(levels);
    Ok(bands)
}

impl InformationWeightedSsimLoss {
    /// The least height and width.
    fn least_size(&self) -> i64 {
        let levels = u32::try_from(self.scale_weights.len()).unwrap_or(u32::MAX);
        let halvings = 2i64.saturating_pow(levels - 1);
        (self.kernel_size - 1).saturating_mul(halvings).saturating_add(1).max(LEAST_SIDE)
    }

    /// SSIM's map and that of its contrast term alone.
    fn maps(&self, window: &Window, x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
        let [c1, c2] = [self.k1, self.k2].map(|k| (k * HIGHEST).powi(2));
        let planes = [x.shallow_clone(), y.shallow_clone(), x.f_square()?, y.f_square()?, x.f_mul(y)?];
        let sums = window.sums(&Tensor::f_cat(&planes, 1)?)?;
        let sum = |index: i64| sums.f_narrow(1, index, 1);
        let (mean_x, mean_y) = (sum(0)?, sum(1)?);
        let (square_x, square_y, product) = (mean_x.f_square()?, mean_y.f_square()?, mean_x.f_mul(&mean_y)?);
        let variances = sum(2)?.f_sub(&square_x)?.f_relu()?.f_add(&sum(3)?.f_sub(&square_y)?.f_relu()?)?;
        let covariance = sum(4)?.f_sub(&product)?;
        let contrast = similarity(&covariance, &variances, c2)?;
        let luminance = similarity(&product, &square_x.f_add(&square_y)?, c1)?;
        Ok((luminance.f_mul(&contrast)?, contrast))
    }

    /// The weights of all places of a map of SSIM.
    fn weights(&self, x: &Tensor, y: &Tensor, parent: Option<&Tensor>) -> Result<Tensor> {
        let size = y.size();
        let parent = match parent {
            Some(parent) => Some(doubled(parent)?.f_narrow(2, 0, size[2])?.f_narrow(3, 0, size[3])?),
            None => None,
        };
        let model = Model { side: self.blk_size, noise: self.sigma_nsq };
        let weights = model.weights(x, y, parent.as_ref())?;
        // Patches fit nearer to the border than windows do.
        let (margin, missing) = ((self.kernel_size - self.blk_size) / 2, self.kernel_size - 1);
        let weights =
            weights.f_narrow(2, margin, size[2] - missing)?.f_narrow(3, margin, size[3] - missing)?;
        let none = sum_of_image(&weights)?.f_eq(0.0)?;
        Ok(weights.f_add(&none)?)
    }
}

/// `(2 product + c) / (squares + c)`.
fn similarity(product: &Tensor, squares: &Tensor, c: f64) -> Result<Tensor> {
    Ok(product.f_mul_scalar(2.0)?.f_add_scalar(c)?.f_div(&squares.f_add_scalar(c)?)?)
}

/// `[N, 1, 1, 1]`.
fn sum_of_image(image: &Tensor) -> Result<Tensor> {
    Ok(image.f_sum_dim_intlist([1i64, 2, 3].as_slice(), true, image.kind())?)
}

/// `|factor| ^ exponent`, with a gradient of 0 where the factor is 0: there it would be infinite.
fn power(factor: &Tensor, exponent: f64) -> Result<Tensor> {
    let smallest = smallest_normal(factor.kind());
    let magnitude = factor.f_abs()?;
    // A product keeps NaN.
    Ok(magnitude.f_clamp_min(smallest)?.f_pow_tensor_scalar(exponent)?.f_mul(&magnitude.f_gt(0.0)?)?)
}

impl PerImage for InformationWeightedSsimLoss {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let levels = self.scale_weights.len();
        let all_bands = |images: &Tensor| bands(&luma(images)?.f_mul_scalar(HIGHEST)?, levels);
        let (x, y) = (all_bands(input)?, all_bands(target)?);
        let window = Window::gaussian(self.kernel_size, self.kernel_sigma, input.kind());
        let whole: f64 = self.scale_weights.iter().sum();
        let mut score: Option<Tensor> = None;
        for (level, weight) in self.scale_weights.iter().enumerate() {
            let (ssim, contrast) = self.maps(&window, &x[level], &y[level])?;
            let factor = if level + 1 == levels {
                ssim.f_mean_dim([1i64, 2, 3].as_slice(), true, ssim.kind())?
            } else {
                // The last level is an image and not a band: it is no parent.
                let parent = Some(&y[level + 1]).filter(|_| self.parent && level + 2 < levels);
                let weights = self.weights(&x[level], &y[level], parent)?;
                sum_of_image(&contrast.f_mul(&weights)?)?.f_div(&sum_of_image(&weights)?)?
            };
            let power = power(&factor, weight / whole)?;
            score = Some(match score {
                Some(score) => score.f_mul(&power)?,
                None => power,
            });
        }
        Ok(score.expect("there is a level at least").f_flatten(0, 3)?)
    }
}

fn odd(option: &'static str, value: i64, least: i64, most: i64, expected: &str) -> Result<()> {
    match value % 2 == 1 && (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(Error::Option { option, given: value.to_string(), expected: expected.into() }),
    }
}

impl Loss for InformationWeightedSsimLoss {
    fn check_options(&self) -> Result<()> {
        odd("kernel_size", self.kernel_size, 3, i64::MAX, "an odd number of at least 3")?;
        odd("blk_size", self.blk_size, 1, self.kernel_size, "an odd number from 1 to `kernel_size`")?;
        check::positive("kernel_sigma", self.kernel_sigma)?;
        check::positive("k1", self.k1)?;
        check::positive("k2", self.k2)?;
        check::positive("sigma_nsq", self.sigma_nsq)?;
        self.scale_weights.iter().try_for_each(|weight| check::positive("scale_weights", *weight))?;
        let whole: f64 = self.scale_weights.iter().sum();
        if self.scale_weights.is_empty() || !whole.is_finite() {
            let (given, expected) = (format!("{:?}", self.scale_weights), "one finite number for each level");
            return Err(Error::Option { option: "scale_weights", given, expected: expected.into() });
        }
        self.data_range.check()?;
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::channels(input, &[1, 3])?;
        check::least_size(
            input,
            self.least_size(),
            "fewer `scale_weights` or a smaller `kernel_size` need less",
        )?;
        let scores = per_image(self, self.data_range, input, target)?;
        reduce(&scores.f_neg()?.f_add_scalar(1.0)?, self.reduction, input.kind())
    }
}
