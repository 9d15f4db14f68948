//! [`MultiScaleSsimLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Tensor};

use super::formula::{Formula, Means, Part};
use super::options::{SsimPadding, SsimWindow};
use super::pooling::ScalePooling;
use super::ssim::images_at_once;
use crate::base::image::per_image::{by_autograd, per_image, PerImage};
use crate::base::image::window::{packed, Window};
use crate::base::image::DataRange;
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// MS-SSIM as a loss: contrast and structure at several scales, luminance at the coarsest.
///
/// ```text
/// cs_1 .. cs_M  = mean contrast and structure of the images, halved in size from scale to scale
/// ssim_M        = mean SSIM at the last scale
/// ms_ssim       = relu(cs_1)^weights_1 * .. * relu(cs_(M-1))^weights_(M-1) * relu(ssim_M)^weights_M
/// loss          = reduce(1 - mean of ms_ssim over the channels)
/// ```
///
/// Contrast, structure and SSIM are those of [`SsimLoss`](crate::SsimLoss).
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, any number of channels, sides of at least
///   `(size - 1) * 2^(M - 1) + 1` pixels: 161 with the default window and five scales. The loss is a scalar, or `[N]`
///   with [`Reduction::None`].
/// - **Values**: from 0, for equal images, to 1. `input` and `target` can be exchanged. `1 - loss` under
///   [`tch::no_grad`] is the score. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments. Where a mean is negative, as for an image and its negative,
///   [`SsimNormalize::Relu`] makes the loss 1 and the gradient 0: nothing is learnt. Just above 0 the gradient of a
///   small power is huge. [`SsimNormalize::Simple`] has neither problem. If `target` requires no gradient, forward
///   computes the gradient in closed form, a few images at a time, and second derivatives come out as zero.
/// - **Map**: none, as the loss is a product of means.
/// - **Defaults**: those of pytorch-msssim for values from 0 to 1: a Gaussian window of 11 pixels with `sigma` 1.5 that
///   stays within the image, `k1` 0.01, `k2` 0.03, the paper's five weights. `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; images that are too small; a window of an
///   even size; weights that are none, more than 30, negative or not finite; other numbers that are not positive and
///   finite.
///
/// pytorch-msssim asks for 161 pixels whatever the number of weights; here fewer scales take smaller images. The
/// paper's weights have the sum 1.0001. piq's module divides them by it and its function does not: [`piq`](Self::piq)
/// is the module, and with `with_weights` of the default the function. A sum over images is the sum of their losses,
/// where piq's module has `1 - sum of scores`.
///
/// | preset | halving of odd sides | mean over channels | besides |
/// |---|---|---|---|
/// | [`default`](Self::default): pytorch-msssim | zeros around the image | of the product | window in f32 |
/// | [`piq`](Self::piq) | the first row and column twice | of the product | weights of sum 1 |
/// | [`torchmetrics`](Self::torchmetrics) | the last row and column left out | of each factor | last scale mirrored |
///
/// Source: [`MS_SSIM` of pytorch-msssim](https://github.com/VainF/pytorch-msssim); Z. Wang et al.,
/// [*Multi-scale structural similarity for image quality
/// assessment*](https://ece.uwaterloo.ca/~z70wang/publications/msssim.pdf) (2003).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, MultiScaleSsimLoss};
///
/// let real = Tensor::rand([1, 3, 64, 64], (Kind::Float, Device::Cpu));
/// let fake = real.shallow_clone().set_requires_grad(true);
/// // Three scales take images from 41 pixels on.
/// let loss = MultiScaleSsimLoss::default().with_weights(vec![0.3, 0.3, 0.4]).forward(&fake, &real);
/// loss.backward();
/// assert!(loss.double_value(&[]).abs() < 1e-6);
/// ```
#[doc(alias = "MS_SSIM")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiScaleSsimLoss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// What is compared at a time.
    pub window: SsimWindow,
    /// Whether the window's weights have the precision of the images; otherwise they are rounded to f32, which differs
    /// for f64 images alone.
    pub exact_window: bool,
    /// What happens at the border of the last scale. The others have windows within the image.
    pub padding: SsimPadding,
    /// How a scale becomes the next one.
    pub pooling: ScalePooling,
    /// The exponent of each scale, from fine to coarse. Their number is that of the scales.
    pub weights: Vec<f64>,
    /// What keeps the factors of the product from being negative.
    pub normalize: SsimNormalize,
    /// Whether each factor is a mean over the channels; otherwise the product is.
    pub mean_of_channels_first: bool,
    /// Keeps the luminance of dark windows stable.
    pub k1: f64,
    /// Keeps the contrast of flat windows stable.
    pub k2: f64,
    /// Whether variances below 0, which rounding makes, count as 0.
    pub clamp_variance: bool,
    /// How the images' losses are reduced.
    pub reduction: Reduction,
}

/// What keeps the factors of a product from being negative.
///
/// In an objective's file it is a word: `normalize = "simple"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SsimNormalize {
    /// Negative factors count as 0.
    #[default]
    Relu,
    /// `(factor + 1) / 2`.
    Simple,
}

/// More halvings than an image has.
const MOST_SCALES: usize = 30;

/// The paper's.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

impl Default for MultiScaleSsimLoss {
    fn default() -> Self {
        MultiScaleSsimLoss {
            data_range: DataRange::Unit,
            window: SsimWindow::default(),
            exact_window: false,
            padding: SsimPadding::Valid,
            pooling: ScalePooling::Zeros,
            weights: WEIGHTS.to_vec(),
            normalize: SsimNormalize::Relu,
            mean_of_channels_first: false,
            k1: 0.01,
            k2: 0.03,
            clamp_variance: false,
            reduction: Reduction::Mean,
        }
    }
}

setters!(MultiScaleSsimLoss {
    with_data_range(data_range: DataRange),
    with_window(window: SsimWindow),
    with_exact_window(exact_window: bool),
    with_padding(padding: SsimPadding),
    with_pooling(pooling: ScalePooling),
    with_weights(weights: Vec<f64>),
    with_normalize(normalize: SsimNormalize),
    with_mean_of_channels_first(mean_of_channels_first: bool),
    with_k1(k1: f64),
    with_k2(k2: f64),
    with_clamp_variance(clamp_variance: bool),
    with_reduction(reduction: Reduction)
});

impl MultiScaleSsimLoss {
    /// piq's: `MultiScaleSSIMLoss` of version 0.8, the module.
    pub fn piq() -> MultiScaleSsimLoss {
        // The module holds them in f32.
        let single = WEIGHTS.map(|weight| weight as f32);
        let sum = single.iter().copied().map(f64::from).sum::<f64>() as f32;
        MultiScaleSsimLoss {
            exact_window: true,
            pooling: ScalePooling::Replicate,
            weights: single.iter().map(|weight| f64::from(weight / sum)).collect(),
            ..MultiScaleSsimLoss::default()
        }
    }

    /// torchmetrics': 1 - `multiscale_structural_similarity_index_measure` of version 1.9 with a `data_range` of 1. Its
    /// `normalize="simple"` is [`SsimNormalize::Simple`]; it holds the weights in f32.
    pub fn torchmetrics() -> MultiScaleSsimLoss {
        MultiScaleSsimLoss {
            exact_window: true,
            padding: SsimPadding::Reflect,
            pooling: ScalePooling::Floor,
            weights: WEIGHTS.iter().map(|weight| f64::from(*weight as f32)).collect(),
            mean_of_channels_first: true,
            clamp_variance: true,
            ..MultiScaleSsimLoss::default()
        }
    }

    /// How many pixels both sides need.
    fn least_size(&self) -> i64 {
        // So that `size` are left after so many halvings.
        let before = |size: i64, halvings: usize| {
            let factor = 1 << halvings;
            match self.pooling {
                ScalePooling::Zeros | ScalePooling::Replicate => {
                    (size - 1).saturating_mul(factor).saturating_add(1)
                }
                ScalePooling::Floor => size.saturating_mul(factor),
            }
        };
        let last = before(self.padding.least_size(self.window), self.weights.len() - 1);
        match self.weights.len() {
            1 => last,
            count => last.max(before(self.window.size(), count - 2)),
        }
    }
}

/// The loss for images of one kind and number of channels.
struct Measure<'a> {
    loss: &'a MultiScaleSsimLoss,
    window: Window,
    formula: Formula,
    channels: i64,
}

impl Measure<'_> {
    /// What to measure at a scale, and what its border is.
    fn at(&self, scale: usize) -> (Part, SsimPadding) {
        match scale + 1 == self.loss.weights.len() {
            true => (Part::All, self.loss.padding),
            false => (Part::Contrast, SsimPadding::Valid),
        }
    }

    /// The images, or their planes, at each scale, from fine to coarse.
    fn scales(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        let mut scales = vec![images.shallow_clone()];
        for scale in 1..self.loss.weights.len() {
            scales.push(self.loss.pooling.halved(&scales[scale - 1])?);
        }
        Ok(scales)
    }

    /// The losses `[N]` of the means `[N * C]` of each scale.
    fn of_means(&self, means: &[Tensor]) -> Result<Tensor> {
        let mut product: Option<Tensor> = None;
        for (means, weight) in means.iter().zip(&self.loss.weights) {
            let mut factor = means.f_view([-1, self.channels])?;
            if self.loss.mean_of_channels_first {
                factor = factor.f_mean_dim([1i64].as_slice(), true, None)?;
            }
            let factor = match self.loss.normalize {
                SsimNormalize::Relu => factor.f_relu()?,
                SsimNormalize::Simple => factor.f_add_scalar(1.0)?.f_mul_scalar(0.5)?,
            };
            let power = factor.f_pow_tensor_scalar(*weight)?;
            product = Some(match product {
                Some(product) => product.f_mul(&power)?,
                None => power,
            });
        }
        let product = product.expect("there are weights");
        Ok(product.f_mean_dim([1i64].as_slice(), false, None)?.f_neg()?.f_add_scalar(1.0)?)
    }

    /// The losses, and the slopes of their sum with respect to the means.
    fn slopes(&self, means: &[Tensor]) -> Result<(Tensor, Vec<Tensor>)> {
        let leaf = |means: &Tensor| means.f_detach()?.f_set_requires_grad(true);
        let leaves = means.iter().map(leaf).collect::<std::result::Result<Vec<_>, _>>()?;
        let losses = self.of_means(&leaves)?;
        let slopes = Tensor::f_run_backward(&[losses.f_sum(None)?], &leaves, false, false)?;
        Ok((losses.f_detach()?, slopes))
    }
}

impl PerImage for Measure<'_> {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let mut means = Vec::new();
        for (scale, (x, y)) in
            self.scales(&packed(input)?)?.iter().zip(self.scales(&packed(target)?)?).enumerate()
        {
            let (part, padding) = self.at(scale);
            let padded = |planes: &Tensor| padding.pad(planes, self.loss.window);
            let similarity = self.formula.map(&self.window, &padded(x)?, &padded(&y)?, part)?;
            means.push(similarity.f_mean_dim([0i64, 2, 3].as_slice(), false, None)?);
        }
        self.of_means(&means)
    }

    fn values_and_gradient(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        if !self.formula.has_closed_form() {
            return by_autograd(self, input, target);
        }
        let window = self.loss.window;
        let (xs, scales) = no_grad(|| -> Result<_> {
            let (xs, ys) = (self.scales(input)?, self.scales(target)?);
            let means = |(scale, (x, y)): (usize, (&Tensor, &Tensor))| {
                let (part, padding) = self.at(scale);
                self.formula.means(&self.window, &padding.pad(x, window)?, &padding.pad(y, window)?, part)
            };
            let scales = xs.iter().zip(&ys).enumerate().map(means).collect::<Result<Vec<_>>>()?;
            Ok((xs, scales))
        })?;
        let means: Vec<Tensor> = scales.iter().map(|scale| scale.means.shallow_clone()).collect();
        let (losses, slopes) = self.slopes(&means)?;
        let gradient = no_grad(|| -> Result<_> {
            // With respect to the images of a scale, from the coarsest to the finest.
            let mut gradient: Option<Tensor> = None;
            for (scale, Means { gradient: own, factor, .. }) in scales.into_iter().enumerate().rev() {
                let mut own = self.at(scale).1.back(own, &xs[scale], window)?;
                let slope = slopes[scale].f_mul_scalar(factor)?.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
                gradient = Some(match gradient {
                    Some(coarser) => {
                        self.loss.pooling.back(&coarser, &xs[scale])?.f_addcmul_(&own, &slope)?
                    }
                    None => own.f_mul_(&slope)?,
                });
            }
            Ok(gradient.expect("there are weights"))
        })?;
        Ok((losses, gradient))
    }

    fn images_at_once(&self, device: Device, pixels: i64) -> i64 {
        images_at_once(device, pixels, self.channels, self.formula.has_closed_form())
    }
}

impl Loss for MultiScaleSsimLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        self.window.check()?;
        check::positive("k1", self.k1)?;
        check::positive("k2", self.k2)?;
        let refuse = |given: String, expected: &str| {
            Err(Error::Option { option: "weights", given, expected: expected.into() })
        };
        if !(1..=MOST_SCALES).contains(&self.weights.len()) {
            return refuse(format!("of {} numbers", self.weights.len()), "1 to 30 numbers");
        }
        match self.weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            Some(weight) => refuse(format!("{weight} among them"), "finite numbers, 0 or more"),
            None => Ok(()),
        }
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        let remedy = "fewer `weights` or a smaller `window` take fewer";
        check::least_size(input, self.least_size(), remedy)?;
        let measure = Measure {
            loss: self,
            window: self.window.weights(self.exact_window, accumulation_kind(input.kind())),
            formula: Formula { clamp_variance: self.clamp_variance, ..Formula::new(self.k1, self.k2) },
            channels: input.size()[1],
        };
        let values = per_image(&measure, self.data_range, input, target)?;
        reduce(&values, self.reduction, input.kind())
    }
}
