//! [`VifLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::image::color::{luma, Y};
use crate::base::image::per_image::{per_image, PerImage};
use crate::base::image::planes::{joined, spread, sums};
use crate::base::image::score::loss_of_clamped;
use crate::base::image::window::Window;
use crate::base::{check, setters};
use crate::{DataRange, Loss, Reduction, Result};

/// Visual information fidelity: how much of the target's information the input still has.
///
/// ```text
/// x, y  = luma of input and target, from 0 to 255
/// scale = window of 17, 9, 5 and 3 pixels; before each but the first, x and y are filtered with the window and every
///         second pixel of every second row is taken
/// sx, sy, sxy = variances and covariance within the window
/// g     = max(sxy, 0) / (sy + 1e-8)                       gain from y to x; 0 where sx or sy are below 1e-8
/// sv    = max(sx - g * sxy, 1e-8)                         what the gain leaves unexplained
/// score = (Σ log10(1 + g² sy / (sv + sigma_n_sq)) + 1e-8) / (Σ log10(1 + sy / sigma_n_sq) + 1e-8)
/// loss  = 1 - clamp(reduce(score), 0, 1)
/// ```
///
/// Blur and noise cost most; more contrast than the target has does not. This is the variant on pixels, "VIFp". The score
/// as a metric is `1 - loss` under `tch::no_grad`.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, equal, with 1 or 3 channels, `H` and `W` at least 41. The loss is a
///   scalar, or has one value for each image, `[N]`, with [`Reduction::None`].
/// - **Values**: in `data_range`, which is not checked. The loss is between 0, for equal images, and 1. It is **not
///   symmetric**: `target` is the reference. A flat target has no information to keep: in f32, its score is one of
///   roundings, as in piq. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments, finite for flat and black images. Where the score is above 1, in enhanced images,
///   they are 0. If `target` requires no gradient, forward computes the gradient, and second derivatives come out as zero.
/// - **Map**: none, as the score is a ratio of sums over four scales.
/// - **Defaults**: `sigma_n_sq` 2, `data_range` unit, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; other counts of channels; images that are
///   too small; a `sigma_n_sq` that is not positive and finite.
///
/// Source: [`VIFLoss` of piq](https://piq.readthedocs.io/en/latest/losses.html); H. R. Sheikh and A. C. Bovik, *Image
/// information and visual quality* (2006). The numbers are piq's, except for [`Reduction::Sum`]: here it is the sum of the
/// images' losses, in piq it is 1 minus the clamped sum of their scores. With [`Reduction::Mean`] the mean of the scores
/// is clamped, as in piq. torchmetrics has other numbers, which no option gives: it compares each channel by itself, does
/// not scale images to 255, and has other constants against division by 0.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, VifLoss};
///
/// let real = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
/// let fake = (&real * 0.5 + 0.25).set_requires_grad(true);
/// let loss = VifLoss::default().forward(&fake, &real);
/// loss.backward();
/// // Half of the contrast is lost, but little of the information.
/// assert!((0.0..0.5).contains(&loss.double_value(&[])));
/// ```
#[doc(alias = "VIFp")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VifLoss {
    /// The variance of the noise in human vision, for images from 0 to 255.
    pub sigma_n_sq: f64,
    /// The range of the images' values.
    pub data_range: DataRange,
    /// How the images' losses are reduced.
    pub reduction: Reduction,
}

impl Default for VifLoss {
    fn default() -> Self {
        VifLoss { sigma_n_sq: 2.0, data_range: DataRange::Unit, reduction: Reduction::Mean }
    }
}

setters!(VifLoss {
    with_sigma_n_sq(sigma_n_sq: f64),
    with_data_range(data_range: DataRange),
    with_reduction(reduction: Reduction)
});

/// The windows' sizes, from the whole image to an eighth of it.
const SIZES: [i64; 4] = [17, 9, 5, 3];
/// The smallest image that has room for all of them.
const LEAST_SIZE: i64 = 41;
/// The highest value of the images that the constants are made for.
const HIGHEST: f64 = 255.0;
/// What keeps divisions from those by 0.
const EPS: f64 = 1e-8;

/// Both images at one scale, `[N, 1, H, W]`, and their statistics within the window. A sum over windows is smaller than
/// the image.
struct Scale {
    window: Window,
    x: Tensor,
    y: Tensor,
    mean_x: Tensor,
    mean_y: Tensor,
    variance_x: Tensor,
    variance_y: Tensor,
    covariance: Tensor,
}

impl Scale {
    fn new(window: Window, x: Tensor, y: Tensor) -> Result<Scale> {
        let planes = [x.shallow_clone(), y.shallow_clone(), x.f_square()?, y.f_square()?, x.f_mul(&y)?];
        let sums = sums(&window, &joined(&planes)?)?;
        let count = x.size()[0];
        let sum = |index: i64| sums.f_narrow(0, index * count, count);
        let (mean_x, mean_y) = (sum(0)?, sum(1)?);
        let variance_x = sum(2)?.f_sub(&mean_x.f_square()?)?;
        let variance_y = sum(3)?.f_sub(&mean_y.f_square()?)?.f_clamp_min(0.0)?;
        let covariance = sum(4)?.f_sub(&mean_x.f_mul(&mean_y)?)?;
        Ok(Scale { window, x, y, mean_x, mean_y, variance_x, variance_y, covariance })
    }

    /// All scales of images `[N, 1, H, W]`, the largest first.
    fn all(x: &Tensor, y: &Tensor) -> Result<Vec<Scale>> {
        let (mut x, mut y) = (x.shallow_clone(), y.shallow_clone());
        let mut scales = Vec::with_capacity(SIZES.len());
        for size in SIZES {
            let window = Window::gaussian(size, size as f64 / 5.0, x.kind());
            if size != SIZES[0] {
                let sums = every_second(&sums(&window, &joined(&[x, y])?)?)?.f_contiguous()?;
                let count = sums.size()[0] / 2;
                (x, y) = (sums.f_narrow(0, 0, count)?, sums.f_narrow(0, count, count)?);
            }
            let scale = Scale::new(window, x, y)?;
            (x, y) = (scale.x.shallow_clone(), scale.y.shallow_clone());
            scales.push(scale);
        }
        Ok(scales)
    }

    /// The covariance where there is a gain, 0 elsewhere. NaN is multiplied with 0 and so stays NaN.
    fn gaining(&self) -> Result<Tensor> {
        let varies = self.variance_x.f_ge(EPS)?.f_logical_and(&self.variance_y.f_ge(EPS)?)?;
        Ok(self.covariance.f_clamp_min(0.0)?.f_mul(&varies)?)
    }

    /// The information of the target, summed over each image.
    fn of_target(&self, sigma_n_sq: f64) -> Result<Tensor> {
        let variance = self.variance_y.f_mul(&self.variance_y.f_ge(EPS)?)?;
        sum_of_logarithms(&variance.f_mul_scalar(1.0 / sigma_n_sq)?)
    }

    /// The information that the input has of it, summed over each image.
    fn of_input(&self, sigma_n_sq: f64) -> Result<Tensor> {
        let covariance = self.gaining()?;
        let gain = covariance.f_div(&self.variance_y.f_add_scalar(EPS)?)?;
        let unexplained = self.variance_x.f_sub(&gain.f_mul(&covariance)?)?.f_clamp_min(EPS)?;
        let noise = unexplained.f_add_scalar(sigma_n_sq)?;
        sum_of_logarithms(&gain.f_square()?.f_mul(&self.variance_y)?.f_div(&noise)?)
    }

    /// [`of_input`](Self::of_input), and its gradient with respect to `x`.
    ///
    /// With `q` the covariance, `r` and `p` of the target alone, and `D` the noise:
    ///
    /// ```text
    /// r = 1 / (sy + eps)     p = sy r²     D = max(sx - q² r, eps) + sigma_n_sq     u = q² p / D
    /// d log(1 + u) / d sx = -u / (D + q² p)                             0 where sx - q² r is below eps
    /// d log(1 + u) / d q  = 2 q (p + u r) / (D + q² p)                  without u r there
    /// ```
    fn of_input_with_gradient(&self, sigma_n_sq: f64) -> Result<(Tensor, Tensor)> {
        let q = self.gaining()?;
        let r = self.variance_y.f_add_scalar(EPS)?.f_reciprocal_()?;
        let p = self.variance_y.f_mul(&r)?.f_mul_(&r)?;
        let square = q.f_square()?;
        let mut noise = self.variance_x.f_sub(&square.f_mul(&r)?)?;
        let unexplained = noise.f_gt(EPS)?;
        let noise = noise.f_clamp_min_(EPS)?.f_add_scalar_(sigma_n_sq)?;
        let signal = square.f_mul(&p)?;
        let both = noise.f_add(&signal)?;
        let ratio = signal.f_div(&noise)?;
        let sum = sum_of_logarithms(&ratio)?;
        let through_noise = ratio.f_mul(&unexplained)?.f_div_(&both)?.f_mul_scalar_(1.0 / 10f64.ln())?;
        let to_covariance = p
            .f_div(&both)?
            .f_mul_scalar_(1.0 / 10f64.ln())?
            .f_addcmul_(&through_noise, &r)?
            .f_mul_(&q)?
            .f_mul_scalar_(2.0)?;
        // Twice that to the variance, with its sign.
        let to_square = through_noise.f_neg()?;
        let to_mean = to_square
            .f_mul(&self.mean_x)?
            .f_mul_scalar_(-2.0)?
            .f_addcmul_(&to_covariance.f_neg()?, &self.mean_y)?;
        let spread = spread(&self.window, &joined(&[to_square, to_covariance, to_mean])?)?;
        let count = self.x.size()[0];
        let part = |index: i64| spread.f_narrow(0, index * count, count);
        let gradient =
            part(2)?.f_addcmul_(&part(0)?.f_mul_scalar_(2.0)?, &self.x)?.f_addcmul_(&part(1)?, &self.y)?;
        Ok((sum, gradient))
    }

    /// The gradient with respect to the `x` of the scale before, from that with respect to this one's. `before` is the
    /// size of the scale before.
    fn gradient_before(&self, gradient: &Tensor, before: &[i64]) -> Result<Tensor> {
        let margin = self.window.size() - 1;
        let [count, channels, height, width] = before[..] else {
            unreachable!("an image has four dimensions")
        };
        let options = (gradient.kind(), gradient.device());
        let sums = Tensor::f_zeros([count, channels, height - margin, width - margin], options)?;
        every_second(&sums)?.f_copy_(gradient)?;
        spread(&self.window, &sums)
    }
}

/// Every second pixel of every second row.
fn every_second(planes: &Tensor) -> Result<Tensor> {
    Ok(planes.f_slice(-2, None, None, 2)?.f_slice(-1, None, None, 2)?)
}

/// The sum of `log10(1 + ratio)` over each image.
fn sum_of_logarithms(ratio: &Tensor) -> Result<Tensor> {
    let logarithms = ratio.f_add_scalar(1.0)?.f_log10()?;
    Ok(logarithms.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, ratio.kind())?)
}

/// The sum over the scales.
fn total(scales: &[Scale], of_scale: impl Fn(&Scale) -> Result<Tensor>) -> Result<Tensor> {
    let parts = scales.iter().map(of_scale).collect::<Result<Vec<Tensor>>>()?;
    Ok(Tensor::f_stack(&parts, 0)?.f_sum_dim_intlist([0i64].as_slice(), false, parts[0].kind())?)
}

fn scales_of(input: &Tensor, target: &Tensor) -> Result<Vec<Scale>> {
    let grey =
        |images: &Tensor| -> Result<Tensor> { Ok(luma(images)?.f_mul_scalar(HIGHEST)?.f_contiguous()?) };
    Scale::all(&grey(input)?, &grey(target)?)
}

impl PerImage for VifLoss {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let scales = scales_of(input, target)?;
        let kept = total(&scales, |scale| scale.of_input(self.sigma_n_sq))?;
        let of_target = total(&scales, |scale| scale.of_target(self.sigma_n_sq))?;
        Ok(kept.f_add_scalar(EPS)?.f_div(&of_target.f_add_scalar(EPS)?)?)
    }

    fn values_and_gradient(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let scales = scales_of(input, target)?;
        let of_target = total(&scales, |scale| scale.of_target(self.sigma_n_sq))?.f_add_scalar(EPS)?;
        let mut kept = of_target.f_full_like(EPS)?;
        let mut gradient: Option<Tensor> = None;
        for (index, scale) in scales.iter().enumerate().rev() {
            let (part, mut own) = scale.of_input_with_gradient(self.sigma_n_sq)?;
            kept = kept.f_add(&part)?;
            if let Some(from_smaller) = gradient {
                own = own.f_add(&from_smaller)?;
            }
            gradient = Some(match index {
                0 => own,
                _ => scale.gradient_before(&own, &scales[index - 1].x.size())?,
            });
        }
        let gradient = gradient.expect("there are four scales");
        let factor = of_target.f_reciprocal()?.f_mul_scalar(HIGHEST)?.f_view([-1, 1, 1, 1])?;
        let gradient = gradient.f_mul(&factor)?;
        let gradient = match input.size()[1] {
            3 => {
                let [red, green, blue] = Y.map(|weight| gradient.f_mul_scalar(weight));
                Tensor::f_cat(&[red?, green?, blue?], 1)?
            }
            _ => gradient,
        };
        Ok((kept.f_div(&of_target)?, gradient))
    }
}

impl Loss for VifLoss {
    fn check_options(&self) -> Result<()> {
        self.data_range.check()?;
        self.reduction.check_without_batch_mean()?;
        check::positive("sigma_n_sq", self.sigma_n_sq)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::channels(input, &[1, 3])?;
        check::least_size(input, LEAST_SIZE, "")?;
        let scores = per_image(self, self.data_range, input, target)?;
        loss_of_clamped(&scores, self.reduction, input.kind())
    }
}
