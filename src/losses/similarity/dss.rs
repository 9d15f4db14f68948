//! [`DssLoss`].

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use tch::{no_grad, Kind, Tensor};

use crate::base::image::color::luma;
use crate::base::image::per_image::{per_image, PerImage};
use crate::base::image::score::loss_of_clamped;
use crate::base::image::sqrt;
use crate::base::image::window::Window;
use crate::base::{check, setters};
use crate::{DataRange, Error, Loss, Reduction, Result};

/// DCT subband similarity: how much the strength of each spatial frequency varies, and where it differs most.
///
/// ```text
/// x, y  = luma of input and target, from 0 to 255, without the rows and columns beyond whole blocks
/// X, Y  = DCT of blocks of dct_size by dct_size pixels; a subband is the image of one coefficient of all blocks
/// sx, sy, sxy = variances and covariance of a subband within a Gaussian window, zero padding
/// left  = (2 sqrt(sx sy) + c) / (sx + sy + c)        c: 1000 for the subband of the means, 300 for others
/// right = (sxy + c) / (sqrt(sx sy) + c)              for the subband of the means only
/// sim   = mean of the smallest elements of left, times that of right
/// score = Σ sim weight / Σ weight                    weight: exp(-((m + 0.5)² + (n + 0.5)²) / (2 sigma_weight²)) of
///                                                    coefficient m, n; 0 where it is below 0.01
/// loss  = 1 - clamp(reduce(score), 0, 1)
/// ```
///
/// It sees blur, noise and the artefacts of compression. Only the part `percentile` of each subband counts, where it is the
/// least similar; the rest has no gradient. The score as a metric is `1 - loss` under `tch::no_grad`.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, equal, with 1 or 3 channels, `H` and `W` at least `dct_size` and
///   `kernel_size`. `percentile` of the blocks has to be one block at least: with the defaults, there are at least 11
///   blocks of 8 by 8 pixels. The loss is a scalar, or has one value for each image, `[N]`, with [`Reduction::None`].
/// - **Values**: in `data_range`, which is not checked. The loss is between 0, for equal images, and 1. It is symmetric. f16
///   and bf16 are computed in f32.
/// - **Gradients**: to both arguments, finite for equal, flat and black images. If `target` requires no gradient, forward
///   computes the gradient, and second derivatives come out as zero.
/// - **Map**: none, as only the least similar blocks of each subband count.
/// - **Defaults**: `dct_size` 8, `sigma_weight` 1.55, `kernel_size` 3, `sigma_similarity` 1.5, `percentile` 0.05,
///   `data_range` unit, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; other counts of channels; images that are
///   too small; a `dct_size` below 1; a `kernel_size` that is even or below 1; a `sigma_weight` below 0.233, with which no
///   subband has a weight; a `sigma_similarity` that is not positive and finite; a `percentile` that is not above 0 and at
///   most 1.
///
/// Source: [`DSSLoss` of piq](https://piq.readthedocs.io/en/latest/losses.html); A. Balanov et al., *Image quality
/// assessment based on DCT subband similarity* (2015). The numbers are piq's, with three exceptions. piq rounds the
/// similarities of f64 images to f32. Its loss is NaN where the gradient of a square root at 0 is multiplied with 0, and
/// where no block is left to count. And with [`Reduction::Sum`], the loss here is the sum of the images' losses, in piq it
/// is 1 minus the clamped sum of their scores. With [`Reduction::Mean`] the mean of the scores is clamped, as in piq.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{DssLoss, Loss};
///
/// let fake = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
/// // More of the image takes part, and learns.
/// let loss = DssLoss::default().with_percentile(0.5);
/// loss.forward(&fake, &real).backward();
/// assert_eq!(fake.grad().size(), fake.size());
/// ```
#[doc(alias = "DSS")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DssLoss {
    /// The side of the blocks that are transformed.
    pub dct_size: i64,
    /// How far the weights reach into high frequencies.
    pub sigma_weight: f64,
    /// The side of the Gaussian window, in blocks; odd.
    pub kernel_size: i64,
    /// The standard deviation of the Gaussian window, in blocks.
    pub sigma_similarity: f64,
    /// The part of each subband that counts.
    pub percentile: f64,
    /// The range of the images' values.
    pub data_range: DataRange,
    /// How the images' losses are reduced.
    pub reduction: Reduction,
}

impl Default for DssLoss {
    fn default() -> Self {
        DssLoss {
            dct_size: 8,
            sigma_weight: 1.55,
            kernel_size: 3,
            sigma_similarity: 1.5,
            percentile: 0.05,
            data_range: DataRange::Unit,
            reduction: Reduction::Mean,
        }
    }
}

setters!(DssLoss {
    with_dct_size(dct_size: i64),
    with_sigma_weight(sigma_weight: f64),
    with_kernel_size(kernel_size: i64),
    with_sigma_similarity(sigma_similarity: f64),
    with_percentile(percentile: f64),
    with_data_range(data_range: DataRange),
    with_reduction(reduction: Reduction)
});

/// The highest value of the images that the constants are made for.
const HIGHEST: f64 = 255.0;
/// The constant of the subband of the blocks' means.
const C_OF_MEANS: f64 = 1000.0;
/// The constant of all others.
const C: f64 = 300.0;
/// Subbands of a smaller weight are left out.
const LEAST_WEIGHT: f64 = 1e-2;
/// The `sigma_weight` with which the first subband has that weight.
const LEAST_SIGMA_WEIGHT: f64 = 0.233;

/// The subbands that have a weight.
struct Subbands {
    /// How many coefficients of each row, from the first on. The weights fall along both axes.
    counts: Vec<i64>,
}

impl DssLoss {
    fn weight(&self, row: i64, column: i64) -> f64 {
        let [row, column] = [row, column].map(|index| (index as f64 + 0.5).powi(2));
        (-(row + column) / (2.0 * self.sigma_weight.powi(2))).exp()
    }

    fn subbands(&self) -> Subbands {
        let count = |row| (0..self.dct_size).take_while(|n| self.weight(row, *n) >= LEAST_WEIGHT).count();
        let counts = (0..self.dct_size).map(|row| count(row) as i64).take_while(|count| *count > 0);
        Subbands { counts: counts.collect() }
    }

    /// How many of so many blocks count: `percentile` of them, with halves rounded to the even number.
    fn counted(&self, blocks: i64) -> i64 {
        (self.percentile * blocks as f64).round_ties_even() as i64
    }

    fn check_size(&self, input: &Tensor) -> Result<()> {
        let remedy = match self.dct_size >= self.kernel_size {
            true => "a smaller `dct_size` needs less",
            false => "a smaller `kernel_size` needs less",
        };
        check::least_size(input, self.dct_size.max(self.kernel_size), remedy)?;
        let given = input.size();
        let blocks = (given[2] / self.dct_size) * (given[3] / self.dct_size);
        if self.counted(blocks) >= 1 {
            return Ok(());
        }
        // Half a block is rounded to none.
        let least = (0.5 / self.percentile).floor() + 1.0;
        let side = self.dct_size;
        let expected = format!(
            "[N, C, H, W] with at least {least} blocks of {side} by {side} pixels; a larger `percentile` or a smaller \
             `dct_size` needs less"
        );
        Err(Error::Shape { argument: "input", given, expected })
    }

    /// The subbands that have a weight as channels: `[N, subbands, rows, columns]`, that of the means first.
    fn transformed(&self, images: &Tensor, subbands: &Subbands) -> Result<Tensor> {
        let grey = luma(images)?.f_mul_scalar(HIGHEST)?;
        let side = self.dct_size;
        let size = grey.size();
        let (rows, columns) = (size[2] / side, size[3] / side);
        let whole = grey.f_narrow(2, 0, rows * side)?.f_narrow(3, 0, columns * side)?;
        let matrix = cosines(side, subbands.counts.len() as i64, &grey)?;
        let blocks =
            whole.f_reshape([-1, rows, side, columns, side])?.f_permute([0i64, 1, 3, 2, 4].as_slice())?;
        let coefficients = matrix.f_matmul(&blocks)?.f_matmul(&matrix.f_transpose(0, 1)?)?;
        subbands.of(&coefficients.f_permute([0i64, 3, 4, 1, 2].as_slice())?, 1)
    }

    /// The weights of the subbands, `[subbands]`, with the sum 1.
    fn weights(&self, subbands: &Subbands, like: &Tensor) -> Result<Tensor> {
        let options = (like.kind(), like.device());
        let squares =
            Tensor::f_arange(subbands.counts.len() as i64, options)?.f_add_scalar(0.5)?.f_square()?;
        let along = squares.f_mul_scalar(-0.5 / self.sigma_weight.powi(2))?.f_exp()?;
        let weights = subbands.of(&along.f_unsqueeze(1)?.f_mul(&along)?, 0)?;
        Ok(weights.f_div(&weights.f_sum(None)?)?)
    }

    /// The mean of the smallest elements of each subband, `[N, subbands]`.
    fn worst(&self, similarity: &Tensor) -> Result<Tensor> {
        let flat = similarity.f_flatten(2, 3)?;
        let (worst, _) = flat.f_topk(self.counted(flat.size()[2]), 2, false, false)?;
        // NaN counts as the largest of all numbers, and would hide there.
        let nan = flat.f_sum_dim_intlist([2i64].as_slice(), false, flat.kind())?.f_mul_scalar(0.0)?;
        Ok(worst.f_mean_dim([2i64].as_slice(), false, worst.kind())?.f_add(&nan)?)
    }
}

impl Subbands {
    /// Of coefficients `m, n` at the axes `dim` and `dim + 1`, those that have a weight, along one axis.
    fn of(&self, coefficients: &Tensor, dim: i64) -> Result<Tensor> {
        let row = |(row, count): (usize, &i64)| -> Result<Tensor> {
            Ok(coefficients.f_select(dim, row as i64)?.f_narrow(dim, 0, *count)?)
        };
        let rows = self.counts.iter().enumerate().map(row).collect::<Result<Vec<Tensor>>>()?;
        Ok(Tensor::f_cat(&rows, dim)?)
    }
}

/// The first `rows` rows of the matrix of the orthonormal DCT, made on the device of `like`.
fn cosines(size: i64, rows: i64, like: &Tensor) -> Result<Tensor> {
    let options = (like.kind(), like.device());
    no_grad(|| {
        let row = Tensor::f_arange(rows, options)?.f_unsqueeze(1)?;
        let column = Tensor::f_arange_start_step(1, 2 * size, 2, options)?;
        let angle = row.f_mul_scalar(PI / (2 * size) as f64)?.f_mul(&column)?;
        let matrix = angle.f_cos()?.f_mul_scalar((2.0 / size as f64).sqrt())?;
        let _ = matrix.f_narrow(0, 0, 1)?.f_mul_scalar_(0.5f64.sqrt())?;
        Ok(matrix)
    })
}

impl PerImage for DssLoss {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let subbands = self.subbands();
        let padded = |images: &Tensor| -> Result<Tensor> {
            let margin = self.kernel_size / 2;
            Ok(self.transformed(images, &subbands)?.f_constant_pad_nd([margin; 4].as_slice())?)
        };
        let (x, y) = (padded(input)?, padded(target)?);
        let count = x.size()[1];
        let first = |subbands: &Tensor| subbands.f_narrow(1, 0, 1);
        let others = |subbands: &Tensor| subbands.f_narrow(1, 1, count - 1);
        let planes = [
            x.shallow_clone(),
            y.shallow_clone(),
            x.f_square()?,
            y.f_square()?,
            first(&x)?.f_mul(&first(&y)?)?,
        ];
        let window = Window::gaussian(self.kernel_size, self.sigma_similarity, x.kind());
        let sums = window.sums(&Tensor::f_cat(&planes, 1)?)?;
        let sum = |index: i64| sums.f_narrow(1, index * count, count);
        let (mean_x, mean_y) = (sum(0)?, sum(1)?);
        let variance_x = sum(2)?.f_sub(&mean_x.f_square()?)?.f_clamp_min(0.0)?;
        let variance_y = sum(3)?.f_sub(&mean_y.f_square()?)?.f_clamp_min(0.0)?;
        let product = sqrt(&variance_x.f_mul(&variance_y)?)?;
        let both = variance_x.f_add(&variance_y)?;
        let left = |part: &dyn Fn(&Tensor) -> std::result::Result<Tensor, tch::TchError>, c: f64| {
            let numerator = part(&product)?.f_mul_scalar(2.0)?.f_add_scalar(c)?;
            self.worst(&numerator.f_div(&part(&both)?.f_add_scalar(c)?)?)
        };
        let covariance = sums.f_narrow(1, 4 * count, 1)?.f_sub(&first(&mean_x)?.f_mul(&first(&mean_y)?)?)?;
        let right =
            covariance.f_add_scalar(C_OF_MEANS)?.f_div(&first(&product)?.f_add_scalar(C_OF_MEANS)?)?;
        let of_means = left(&first, C_OF_MEANS)?.f_mul(&self.worst(&right)?)?;
        let similarities = Tensor::f_cat(&[of_means, left(&others, C)?], 1)?;
        let weights = self.weights(&subbands, &x)?.f_add_scalar(epsilon(x.kind()))?;
        Ok(similarities.f_mul(&weights)?.f_sum_dim_intlist([1i64].as_slice(), false, x.kind())?)
    }
}

/// What piq adds to the weights: the distance from 1 to the next number.
fn epsilon(kind: Kind) -> f64 {
    match kind {
        Kind::Double => f64::EPSILON,
        _ => f64::from(f32::EPSILON),
    }
}

impl Loss for DssLoss {
    fn check_options(&self) -> Result<()> {
        let refuse = |option, given: String, expected: &str| {
            Err(Error::Option { option, given, expected: expected.into() })
        };
        check::at_least_1("dct_size", self.dct_size)?;
        if !(self.sigma_weight.is_finite() && self.sigma_weight >= LEAST_SIGMA_WEIGHT) {
            let expected = format!("a finite number of at least {LEAST_SIGMA_WEIGHT}");
            return refuse("sigma_weight", self.sigma_weight.to_string(), &expected);
        }
        if self.kernel_size < 1 || self.kernel_size % 2 == 0 {
            return refuse("kernel_size", self.kernel_size.to_string(), "an odd number of at least 1");
        }
        check::positive("sigma_similarity", self.sigma_similarity)?;
        if !(self.percentile > 0.0 && self.percentile <= 1.0) {
            return refuse("percentile", self.percentile.to_string(), "a number above 0 and at most 1");
        }
        self.data_range.check()?;
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::channels(input, &[1, 3])?;
        self.check_size(input)?;
        let scores = per_image(self, self.data_range, input, target)?;
        loss_of_clamped(&scores, self.reduction, input.kind())
    }
}
