//! [`MultiScaleGmsdLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::gradient_deviation::GradientDeviation;
use super::map::enlarged;
use crate::base::image::per_image::{per_image, PerImage};
use crate::base::image::{self, color, pool, DataRange};
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// MS-GMSD: gradient magnitude similarity deviation on several scales, with or without colour.
///
/// ```text
/// a, b  = Prewitt gradient magnitudes of luma in [0, 255], on scale s after s means of 2x2 pixels
/// g     = ((2 - alpha) ab + t) / (a² + b² - alpha ab + t)
/// m     = sqrt(sum over s of w(s) * mean((g - mean g)²))
/// loss  = reduce(m)                                  (one value for each image)
///
/// with chromatic:
/// r     = sqrt(mean((I(input) - I(target))²) + mean((Q(input) - Q(target))²))      (on the last scale)
/// gamma = 2 / (1 + beta2 exp(-beta3 m)) - 1
/// loss  = reduce(gamma m + (1 - gamma) beta1 r)
/// ```
///
/// The first scale has the images' own size, where [`GmsdLoss`](crate::GmsdLoss) starts with half of it.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]` with 1 or 3 channels (grey, or red, green and blue), 3 with
///   `chromatic`. H and W are at least `2^S + 1` for S scales: 17 by default. Where a side is odd, a row and a column
///   of zeros are added before the means. The loss is a scalar, or `[N]` with [`Reduction::None`].
/// - **Values**: from 0 for equal images. The loss is symmetric. The score is the loss; take it under [`tch::no_grad`].
///   f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments, 0 in flat regions and for identical images, where piq has NaN. If `target`
///   requires no gradient, forward computes the gradient, and second derivatives come out as zero.
/// - **Map**: the mean of `1 - g` over the scales with their weights, from 0 (alike) to 1. On scale s, each block of
///   `2^s` by `2^s` pixels has one value. Colour is not in it. The loss is a deviation, so it is not the mean of this
///   map.
/// - **Defaults**: `data_range` unit, `scale_weights` 0.096, 0.596, 0.289, 0.019, `chromatic` false, `alpha` 0.5,
///   `beta1` 0.01, `beta2` 0.32, `beta3` 15, `t` 170, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; other counts of channels; images that
///   are too small; an option out of its range.
///
/// Source: [`multi_scale_gmsd` of piq](https://github.com/photosynthesis-team/piq/blob/master/piq/gmsd.py), whose
/// numbers these are; B. Zhang et al., *Gradient Magnitude Similarity Deviation on Multiple Scales for Color Image
/// Quality Assessment* (2017). piq's module `MultiScaleGMSDLoss` rounds the weights to f32, so that its f64 values are
/// off by 1e-8.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, MultiScaleGmsdLoss};
///
/// let fake = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu));
/// let loss = MultiScaleGmsdLoss::default().with_chromatic(true).forward(&fake, &real);
/// loss.backward();
/// // Two scales do for small images.
/// let small = MultiScaleGmsdLoss::default().with_scale_weights(vec![1.0, 3.0]);
/// assert!(small.try_forward(&fake.narrow(2, 0, 5), &real.narrow(2, 0, 5)).is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiScaleGmsdLoss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// The weight of each scale, from fine to coarse. They are divided by their sum.
    pub scale_weights: Vec<f64>,
    /// Whether differences in colour count (MS-GMSDc).
    pub chromatic: bool,
    /// How much edges that only one image has are masked by edges that both have: from 0 to 1.
    pub alpha: f64,
    /// The weight of colour.
    pub beta1: f64,
    /// How much colour counts where the edges are alike.
    pub beta2: f64,
    /// How fast colour fades as the edges differ.
    pub beta3: f64,
    /// The constant that keeps the quotient stable, for values from 0 to 255.
    pub t: f64,
    /// How the values of the images are reduced.
    pub reduction: Reduction,
}

impl Default for MultiScaleGmsdLoss {
    fn default() -> Self {
        MultiScaleGmsdLoss {
            data_range: DataRange::Unit,
            scale_weights: vec![0.096, 0.596, 0.289, 0.019],
            chromatic: false,
            alpha: 0.5,
            beta1: 0.01,
            beta2: 0.32,
            beta3: 15.0,
            t: 170.0,
            reduction: Reduction::Mean,
        }
    }
}

setters!(MultiScaleGmsdLoss {
    with_data_range(data_range: DataRange),
    with_scale_weights(scale_weights: Vec<f64>),
    with_chromatic(chromatic: bool),
    with_alpha(alpha: f64),
    with_beta1(beta1: f64),
    with_beta2(beta2: f64),
    with_beta3(beta3: f64),
    with_t(t: f64),
    with_reduction(reduction: Reduction)
});

impl MultiScaleGmsdLoss {
    fn check(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::channels(input, if self.chromatic { &[3] } else { &[1, 3] })?;
        // No image has so many pixels as 62 scales need.
        let least = (1 << self.scale_weights.len().min(62)) + 1;
        check::least_size(input, least, "fewer `scale_weights` need less")
    }

    /// The weights with the sum 1.
    fn weights(&self) -> impl Iterator<Item = f64> + '_ {
        let sum: f64 = self.scale_weights.iter().sum();
        self.scale_weights.iter().map(move |weight| weight / sum)
    }

    fn deviation(&self) -> GradientDeviation {
        // The images' values are from 0 to 1.
        GradientDeviation { constant: self.t / (255.0 * 255.0), masking: self.alpha }
    }

    /// For each scale, what `compare` makes of the gradients of both images, with the scale's weight.
    fn on_scales<T>(
        &self,
        input: &Tensor,
        target: &Tensor,
        compare: impl Fn([&Tensor; 2], [&Tensor; 2]) -> Result<T>,
    ) -> Result<Vec<(f64, T)>> {
        let (mut input, mut target) = (color::luma(input)?, color::luma(target)?);
        let mut results = Vec::new();
        for (scale, weight) in self.weights().enumerate() {
            if scale > 0 {
                (input, target) = (pool::halved(&input)?, pool::halved(&target)?);
            }
            let [own, other] = [GradientDeviation::filter(&input)?, GradientDeviation::filter(&target)?];
            results.push((weight, compare([&own[0], &own[1]], [&other[0], &other[1]])?));
        }
        Ok(results)
    }

    /// How far the colours are apart on the last scale, for values from 0 to 255: `[N]`.
    fn color_distance(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        // All of it is linear: the difference is taken first.
        let mut difference = input.f_sub(target)?;
        for _ in 1..self.scale_weights.len() {
            difference = pool::halved(&difference)?;
        }
        let square = |row| -> Result<Tensor> {
            let plane = color::channel(&difference, row)?;
            Ok(plane.f_square()?.f_mean_dim([1i64, 2, 3].as_slice(), false, plane.kind())?)
        };
        Ok(image::sqrt(&square(color::I)?.f_add(&square(color::Q)?)?)?.f_mul_scalar(255.0)?)
    }
}

impl PerImage for MultiScaleGmsdLoss {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let deviation = self.deviation();
        let scales = self.on_scales(input, target, |input, target| deviation.variance(input, target))?;
        let edges = image::sqrt(&weighted_sum(scales)?)?;
        if !self.chromatic {
            return Ok(edges);
        }
        let colors = self.color_distance(input, target)?.f_mul_scalar(self.beta1)?;
        let exponential = edges.f_mul_scalar(-self.beta3)?.f_exp()?;
        let gamma = exponential.f_mul_scalar(self.beta2)?.f_add_scalar(1.0)?.f_reciprocal()?;
        let gamma = gamma.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?;
        Ok(colors.f_add(&gamma.f_mul(&edges.f_sub(&colors)?)?)?)
    }
}

fn weighted_sum(terms: Vec<(f64, Tensor)>) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (weight, term) in terms {
        let term = term.f_mul_scalar(weight)?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&term)?,
            None => term,
        });
    }
    Ok(sum.expect("there are scales"))
}

impl Loss for MultiScaleGmsdLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        let weights = &self.scale_weights;
        let sum: f64 = weights.iter().sum();
        if !(sum > 0.0 && sum.is_finite() && weights.iter().all(|weight| *weight >= 0.0)) {
            return Err(Error::Option {
                option: "scale_weights",
                given: format!("{weights:?}"),
                expected: "numbers of at least 0, with a finite sum greater than 0".into(),
            });
        }
        check::fraction("alpha", self.alpha)?;
        check::non_negative("beta1", self.beta1)?;
        check::non_negative("beta2", self.beta2)?;
        check::non_negative("beta3", self.beta3)?;
        check::positive("t", self.t)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check(input, target)?;
        reduce(&per_image(self, self.data_range, input, target)?, self.reduction, input.kind())
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check(input, target)?;
        let (unit_input, unit_target) = (self.data_range.to_unit(input)?, self.data_range.to_unit(target)?);
        let deviation = self.deviation();
        let maps = self
            .on_scales(&unit_input, &unit_target, |input, target| deviation.dissimilarity(input, target))?;
        let enlarge = |(scale, (weight, map)): (usize, (f64, Tensor))| {
            Ok((weight, enlarged(&map, 1 << scale, 0, &unit_input)?))
        };
        let maps = maps.into_iter().enumerate().map(enlarge).collect::<Result<Vec<_>>>()?;
        Ok(Some(weighted_sum(maps)?.f_to_kind(input.kind())?))
    }
}
