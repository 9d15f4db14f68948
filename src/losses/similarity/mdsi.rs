//! [`MdsiLoss`].

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::filtered::{channels_back, Filtered};
use super::gradient_magnitude::{Lengths, Operator};
use super::map::enlarged;
use crate::base::gradient::PER_THREAD;
use crate::base::image::per_image::per_image;
use crate::base::image::{color, pool, DataRange};
use crate::base::precision::smallest_normal;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// How [`MdsiLoss`] combines the similarity of gradients with that of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MdsiCombination {
    /// `alpha gs + (1 - alpha) cs`.
    #[default]
    Sum,
    /// `gs^gamma cs^beta` with complex powers, of which piq adds the imaginary parts rather than multiplying the
    /// numbers.
    Mult,
}

/// MDSI, mean deviation similarity index: how unevenly two images differ in their edges and colours.
///
/// ```text
/// L, H, M = a luma and two colours of the images in [0, 255]
/// a, b, m = Prewitt gradient magnitudes of L(input), L(target) and their mean
/// gs      = sim(a, b, c1) + sim(a, m, c2) - sim(b, m, c2)       sim(a, b, c) = (2ab + c) / (a² + b² + c)
/// cs      = (2 (H H' + M M') + c3) / (H² + H'² + M² + M'² + c3)
/// g       = alpha gs + (1 - alpha) cs                           (combination sum)
/// z       = g^q                                                 (complex where g is negative)
/// loss    = reduce(mean(|z - mean z|^rho)^(o / rho))            (one value for each image)
/// ```
///
/// An error that is the same everywhere costs nothing: combine the loss with one on pixels.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]` with 1 or 3 channels (grey, which counts as three equal channels,
///   or red, green and blue). Images of which the shorter side is of k times 256 pixels, rounded, are shrunk by k
///   first. The loss is a scalar, or `[N]` with [`Reduction::None`].
/// - **Values**: from 0 for equal images. The loss is not symmetric: `gs` counts the edges of `input` and those of
///   `target` with different signs. The score is the loss; take it under [`tch::no_grad`]. f16 and bf16 are computed
///   in f32.
/// - **Gradients**: to both arguments, finite everywhere; piq has NaN for identical, flat and black images. Near 0 the
///   loss is steep: it is the fourth root of a mean. If `target` requires no gradient, forward computes the gradient,
///   and second derivatives come out as zero.
/// - **Map**: `|z - mean z|`. Each block of k by k pixels has one value. With the defaults, the loss of an image is
///   the fourth root of its map's mean.
/// - **Defaults**: `data_range` unit, `combination` sum, `c1` 140, `c2` 55, `c3` 550, `alpha` 0.6, `beta` 0.1, `gamma`
///   0.2, `rho` 1, `q` 0.25, `o` 0.25, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; other counts of channels; an `alpha`
///   that is not in `[0, 1]`; another number that is not positive and finite.
///
/// Source: [`MDSILoss` of piq](https://github.com/photosynthesis-team/piq/blob/master/piq/mdsi.py), whose numbers these
/// are; H. Z. Nafchi et al., [*Mean Deviation Similarity Index*](https://arxiv.org/abs/1608.07433) (2016).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, MdsiCombination, MdsiLoss};
///
/// let fake = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu));
/// let loss = MdsiLoss::default().with_combination(MdsiCombination::Mult).forward(&fake, &real);
/// loss.backward();
/// assert!(loss.double_value(&[]) > 0.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MdsiLoss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// How the similarities of gradients and colours are combined.
    pub combination: MdsiCombination,
    /// The constant of `sim(a, b)`, for values from 0 to 255.
    pub c1: f64,
    /// The constant of `sim(a, m)` and `sim(b, m)`.
    pub c2: f64,
    /// The constant of the similarity of colours.
    pub c3: f64,
    /// The weight of the gradients in the sum.
    pub alpha: f64,
    /// The power of the colours in the product.
    pub beta: f64,
    /// The power of the gradients in the product.
    pub gamma: f64,
    /// The power of the deviations.
    pub rho: f64,
    /// The power of the similarity.
    pub q: f64,
    /// The power of the mean deviation.
    pub o: f64,
    /// How the values of the images are reduced.
    pub reduction: Reduction,
}

impl Default for MdsiLoss {
    fn default() -> Self {
        MdsiLoss {
            data_range: DataRange::Unit,
            combination: MdsiCombination::Sum,
            c1: 140.0,
            c2: 55.0,
            c3: 550.0,
            alpha: 0.6,
            beta: 0.1,
            gamma: 0.2,
            rho: 1.0,
            q: 0.25,
            o: 0.25,
            reduction: Reduction::Mean,
        }
    }
}

setters!(MdsiLoss {
    with_data_range(data_range: DataRange),
    with_combination(combination: MdsiCombination),
    with_c1(c1: f64),
    with_c2(c2: f64),
    with_c3(c3: f64),
    with_alpha(alpha: f64),
    with_beta(beta: f64),
    with_gamma(gamma: f64),
    with_rho(rho: f64),
    with_q(q: f64),
    with_o(o: f64),
    with_reduction(reduction: Reduction)
});

const L: color::Row = [0.2989, 0.587, 0.114];
const H: color::Row = [0.30, 0.04, -0.35];
const M: color::Row = [0.34, -0.6, 0.17];
const PIXELS: &[i64] = &[1, 2, 3];

/// A complex number for each pixel.
struct Complex {
    real: Tensor,
    imaginary: Tensor,
}

impl MdsiLoss {
    fn check(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::channels(input, &[1, 3])
    }

    /// `1 - gs`, of the gradients of L.
    fn unlike_edges(&self, input: [&Tensor; 2], target: [&Tensor; 2]) -> Result<Tensor> {
        let mean =
            |index: usize| -> Result<Tensor> { Ok(input[index].f_add(target[index])?.f_mul_scalar(0.5)?) };
        let (a, b, m) = (Lengths::of(input)?, Lengths::of(target)?, Lengths::of([&mean(0)?, &mean(1)?])?);
        let scale = Operator::Prewitt.scale();
        let [c1, c2] = [self.c1, self.c2].map(|constant| for_unit(constant) / (scale * scale));
        let with_mean = a.dissimilarity(&m, c2, 0.0)?.f_sub(&b.dissimilarity(&m, c2, 0.0)?)?;
        Ok(a.dissimilarity(&b, c1, 0.0)?.f_add(&with_mean)?)
    }

    /// `1 - cs`, of H and M.
    fn unlike_colors(&self, [h, m]: [&Tensor; 2], [other_h, other_m]: [&Tensor; 2]) -> Result<Tensor> {
        let differences = h.f_sub(other_h)?.f_square()?.f_add(&m.f_sub(other_m)?.f_square()?)?;
        let squares =
            h.f_square()?.f_addcmul(other_h, other_h)?.f_addcmul(m, m)?.f_addcmul(other_m, other_m)?;
        Ok(differences.f_div(&squares.f_add_scalar(for_unit(self.c3))?)?)
    }

    /// `z` for each block of pixels, of what the filters found.
    fn powers(&self, input: &[Tensor], target: &[Tensor]) -> Result<Complex> {
        let edges = self.unlike_edges([&input[0], &input[1]], [&target[0], &target[1]])?;
        let colors = self.unlike_colors([&input[2], &input[3]], [&target[2], &target[3]])?;
        match self.combination {
            MdsiCombination::Sum => {
                let unlike =
                    edges.f_mul_scalar(self.alpha)?.f_add(&colors.f_mul_scalar(1.0 - self.alpha)?)?;
                power_of_real(&one_minus(&unlike)?, self.q)
            }
            MdsiCombination::Mult => {
                let edges = power_of_real(&one_minus(&edges)?, self.gamma)?;
                let colors = power_of_real(&one_minus(&colors)?, self.beta)?;
                let combined = Complex {
                    real: edges.real.f_mul(&colors.real)?,
                    imaginary: edges.imaginary.f_add(&colors.imaginary)?,
                };
                power_of_complex(&combined, self.q)
            }
        }
    }

    /// `|z - mean z|²`.
    fn squared_deviations(&self, input: &[Tensor], target: &[Tensor]) -> Result<Tensor> {
        let Complex { real, imaginary } = self.powers(input, target)?;
        let square = |part: &Tensor| -> Result<Tensor> {
            Ok(part.f_sub(&part.f_mean_dim(PIXELS, true, part.kind())?)?.f_square()?)
        };
        Ok(square(&real)?.f_add(&square(&imaginary)?)?)
    }
}

fn one_minus(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_neg()?.f_add_scalar(1.0)?)
}

/// A constant for values from 0 to 1.
fn for_unit(constant: f64) -> f64 {
    constant / (255.0 * 255.0)
}

/// By how much to shrink images, and how many zeros to add before and behind. Where the factor is even, the reference
/// adds more of them behind.
fn shrinking(images: &Tensor) -> (i64, [i64; 2]) {
    let size = images.size();
    let factor = pool::factor_to_256(size[2], size[3]);
    (factor, [(factor - 1) / 2, factor / 2])
}

/// Images of which the shorter side is nearest to 256 pixels.
fn shrunk(images: &Tensor) -> Result<Tensor> {
    let (factor, [before, after]) = shrinking(images);
    if factor == 1 {
        return Ok(images.shallow_clone());
    }
    pool::average(&images.f_constant_pad_nd([before, after, before, after].as_slice())?, factor)
}

/// The gradient of the images, given that of what is [`shrunk`].
fn shrunk_back(slopes: &Tensor, images: &Tensor) -> Result<Tensor> {
    let (factor, [before, after]) = shrinking(images);
    if factor == 1 {
        return Ok(slopes.shallow_clone());
    }
    let size = images.size();
    let [count, channels, height, width] = size[..] else { unreachable!("an image has four dimensions") };
    let padded = [count, channels, height + before + after, width + before + after];
    // Of which no more than the shape is read.
    let like = images.f_new_empty(padded, (images.kind(), images.device()))?;
    let sizes = [factor, factor];
    let back = like.f_avg_pool2d_backward(slopes, sizes, sizes, [0, 0], false, true, None::<i64>)?;
    Ok(back.f_narrow(2, before, height)?.f_narrow(3, before, width)?)
}

/// Numbers of at least 0 to a positive power, with a gradient of 0 at 0.
fn power(base: &Tensor, exponent: f64) -> Result<Tensor> {
    let zero = base.f_eq(0.0)?;
    Ok(base.f_masked_fill(&zero, 1.0)?.f_pow_tensor_scalar(exponent)?.f_masked_fill(&zero, 0.0)?)
}

/// Negative numbers have the angle π. That of 0 counts as the power of the smallest normal number, with a gradient of
/// 0.
fn power_of_real(base: &Tensor, exponent: f64) -> Result<Complex> {
    let smallest = smallest_normal(base.kind());
    let length = base.f_abs()?.f_clamp_min(smallest)?.f_pow_tensor_scalar(exponent)?;
    let negative = base.f_lt(0.0)?.f_to_kind(base.kind())?;
    let angle = PI * exponent;
    let real = negative.f_mul_scalar(angle.cos() - 1.0)?.f_add_scalar(1.0)?.f_mul(&length)?;
    Ok(Complex { real, imaginary: negative.f_mul_scalar(angle.sin())?.f_mul(&length)? })
}

fn power_of_complex(base: &Complex, exponent: f64) -> Result<Complex> {
    let square = base.real.f_square()?.f_add(&base.imaginary.f_square()?)?;
    let length = power(&square, 0.5 * exponent)?;
    let angle = base.imaginary.f_atan2(&base.real)?.f_mul_scalar(exponent)?;
    Ok(Complex { real: length.f_mul(&angle.f_cos()?)?, imaginary: length.f_mul(&angle.f_sin()?)? })
}

impl Filtered for MdsiLoss {
    /// The planes have as many pixels as the images, or as those that are shrunk to about 256 by 256.
    fn pixels_at_once(&self) -> i64 {
        PER_THREAD / 2
    }

    fn filter(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        let images = shrunk(images)?;
        let size = images.size();
        // One channel counts as three equal ones.
        let images = images.f_expand([size[0], 3, size[2], size[3]].as_slice(), false)?;
        let [along_rows, along_columns] = Operator::Prewitt.gradients(&color::channel(&images, L)?)?;
        Ok(vec![along_rows, along_columns, color::channel(&images, H)?, color::channel(&images, M)?])
    }

    fn back(&self, slopes: &[Tensor], images: &Tensor) -> Result<Tensor> {
        let [along_rows, along_columns, h, m] = slopes else { unreachable!("there are four planes") };
        let luma = Operator::Prewitt.back([along_rows, along_columns])?;
        let channels = channels_back(&[(&luma, L), (h, H), (m, M)])?;
        let channels = match images.size()[1] {
            1 => channels.f_sum_dim_intlist([1i64].as_slice(), true, channels.kind())?,
            _ => channels,
        };
        shrunk_back(&channels, images)
    }

    fn compare(&self, input: &[Tensor], target: &[Tensor]) -> Result<Tensor> {
        let deviations = power(&self.squared_deviations(input, target)?, 0.5 * self.rho)?;
        power(&deviations.f_mean_dim(PIXELS, false, deviations.kind())?, self.o / self.rho)
    }
}

impl Loss for MdsiLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        check::fraction("alpha", self.alpha)?;
        check::positive("c1", self.c1)?;
        check::positive("c2", self.c2)?;
        check::positive("c3", self.c3)?;
        check::positive("beta", self.beta)?;
        check::positive("gamma", self.gamma)?;
        check::positive("rho", self.rho)?;
        check::positive("q", self.q)?;
        check::positive("o", self.o)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check(input, target)?;
        reduce(&per_image(self, self.data_range, input, target)?, self.reduction, input.kind())
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check(input, target)?;
        let found = |images| self.filter(&self.data_range.to_unit(images)?);
        let map = power(&self.squared_deviations(&found(input)?, &found(target)?)?, 0.5)?;
        let (factor, [before, _]) = shrinking(input);
        Ok(Some(enlarged(&map, factor, before, input)?))
    }
}
