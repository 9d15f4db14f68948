//! [`SrSimLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Kind, Tensor};

use super::gradient_magnitude::{dissimilarity, Operator};
use super::resize::{resized, resizing};
use super::weighted::Weighted;
use super::yiq::{color_similarity, grey};
use crate::base::image::per_image::{per_image, PerImage};
use crate::base::image::pool::{average, factor_to_256};
use crate::base::image::score::loss_of_clamped;
use crate::base::image::window::Window;
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{DataRange, Error, Loss, Reduction, Result};

/// SR-SIM: how far two images differ in salience, as their spectra show it, and in gradients. What stands out in one of them
/// counts most.
///
/// ```text
/// sim(a, b, c) = (2ab + c) / (a² + b² + c)
/// S     = sim(V, V', 0.4) sqrt(sim(G, G', 225)) |sim(I, I', 200) sim(Q, Q', 200)|^0.03     the last with `chromatic`
/// score = Σ S max(V, V') / (Σ max(V, V') + eps)
/// loss  = 1 - clamp(score, 0, 1)
/// ```
///
/// `V` is the salience: the brightness is resized by `scale`, its logarithmic spectrum freed of its mean over `kernel_size`
/// by `kernel_size` frequencies, the energy of what is left blurred, brought to the range from 0 to 1 and resized back. `G` is
/// the length of the brightness's gradient by Scharr's kernels; `I` and `Q` are the colours of YIQ; `eps` is the machine
/// epsilon. All are of images from 0 to 255. Images whose shorter side is nearer to 512 pixels than to 256, or longer, are
/// averaged first, to about 256.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]` with 1 or 3 channels. H and W are at least the larger of `kernel_size`
///   and `gaussian_size` over `scale`: 40. The loss is a scalar, or `[N]` with [`Reduction::None`]. Colour has no effect
///   on one channel, as grey has `I = Q = 0`.
/// - **Values**: from 0, which equal images have, to 1. Symmetric. f16 and bf16 are computed in f32. The score is
///   `1 - loss`, under `tch::no_grad`. With the default [`SaliencyRange::Batch`], an image's loss depends on what else is in
///   the batch.
/// - **Gradients**: to both arguments. They are 0 where a magnitude is 0, as on flat and black images. Where an image has
///   next to nothing of a frequency, they are large and depend on rounding. With [`SaliencyRange::Image`], if `target`
///   requires no gradient, forward computes the gradient, a few images at a time, and second derivatives come out as zero.
/// - **Map**: `(1 - S) max(V, V') / mean(max(V, V'))`, of which the mean is the loss of each image where none is averaged
///   first. Where it is, the map is enlarged again, and its mean is near the loss.
/// - **Defaults**: `data_range` unit, `chromatic` false, `scale` 0.25, `kernel_size` 3, `sigma` 3.8, `gaussian_size` 10,
///   `saliency_range` batch, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; other numbers of channels; images that are too
///   small; a `scale` beyond 0 to 1; a `sigma` that is not positive and finite; a `kernel_size` or `gaussian_size` that is
///   below 1, or above 192 times `scale`, as large images are averaged to as few as 192 pixels.
///
/// The numbers are those of piq 0.8, up to rounding; piq resizes f64 images in f32. piq refuses `chromatic` for one channel,
/// has NaN for gradients on flat images, and takes a sum of losses to be 1 less the clamped sum of the scores; here it is the
/// sum of the images' losses.
///
/// Source: [`SRSIMLoss` of piq](https://github.com/photosynthesis-team/piq/blob/master/piq/srsim.py); L. Zhang and H. Li,
/// *SR-SIM: A Fast and High Performance IQA Index Based on Spectral Residual* (2012).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, SrSimLoss};
///
/// let restored = Tensor::rand([2, 3, 48, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let original = Tensor::rand([2, 3, 48, 64], (Kind::Float, Device::Cpu));
/// SrSimLoss::default().forward(&restored, &original).backward();
/// assert_eq!(restored.grad().size(), restored.size());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SrSimLoss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// Whether colours count as well: SR-SIMc rather than SR-SIM.
    pub chromatic: bool,
    /// By which factor images are resized for their salience: at most 1.
    pub scale: f64,
    /// The side of the window whose mean of the logarithmic spectrum is what is expected there.
    pub kernel_size: i64,
    /// The standard deviation of the blur of the salience, in resized pixels.
    pub sigma: f64,
    /// The side of the window of that blur, in resized pixels.
    pub gaussian_size: i64,
    /// Of what the salience is brought to the range from 0 to 1.
    pub saliency_range: SaliencyRange,
    /// How the images' losses are reduced.
    pub reduction: Reduction,
}

/// Of what [`SrSimLoss`] brings the salience to the range from 0 to 1.
///
/// In an objective's file it is a word: `saliency_range = "image"`.
///
/// - **Default**: [`Batch`](Self::Batch).
///
/// ```
/// use tch_losses::{SaliencyRange, SrSimLoss};
///
/// let loss = SrSimLoss::default().with_saliency_range(SaliencyRange::Image);
/// assert_ne!(loss, SrSimLoss::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaliencyRange {
    /// The whole batch at once, as piq does: the loss of an image depends on what else is in the batch.
    #[default]
    Batch,
    /// Each image, as the authors do.
    Image,
}

impl Default for SrSimLoss {
    fn default() -> Self {
        SrSimLoss {
            data_range: DataRange::Unit,
            chromatic: false,
            scale: 0.25,
            kernel_size: 3,
            sigma: 3.8,
            gaussian_size: 10,
            saliency_range: SaliencyRange::Batch,
            reduction: Reduction::Mean,
        }
    }
}

setters!(SrSimLoss {
    with_data_range(data_range: DataRange),
    with_chromatic(chromatic: bool),
    with_scale(scale: f64),
    with_kernel_size(kernel_size: i64),
    with_sigma(sigma: f64),
    with_gaussian_size(gaussian_size: i64),
    with_saliency_range(saliency_range: SaliencyRange),
    with_reduction(reduction: Reduction)
});

/// However large an image is, its shorter side has so many pixels at least when it has been shrunk, if it has been.
const LEAST_SHRUNK: i64 = 192;

/// The loss for images of one size.
struct Measure<'a> {
    loss: &'a SrSimLoss,
    /// By how much the images shrink before they are compared.
    factor: i64,
    down: [Tensor; 2],
    up: [Tensor; 2],
    expected: Window,
    blur: Window,
    /// The machine epsilon.
    eps: f64,
}

impl SrSimLoss {
    /// How many pixels both sides of an image need.
    fn least_size(&self) -> i64 {
        (self.kernel_size.max(self.gaussian_size) as f64 / self.scale).ceil() as i64
    }

    fn check_arguments(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::channels(input, &[1, 3])?;
        let remedy = "smaller `kernel_size` and `gaussian_size`, or a larger `scale`, ask for less";
        check::least_size(input, self.least_size(), remedy)
    }

    fn measure(&self, input: &Tensor) -> Result<Measure<'_>> {
        let size = input.size();
        let (kind, device) = (accumulation_kind(input.kind()), input.device());
        let factor = factor_to_256(size[2], size[3]);
        let [height, width] = [size[2], size[3]].map(|side| (side + factor - 1) / factor);
        let small = |side: i64| (side as f64 * self.scale).ceil() as i64;
        let options: (Kind, Device) = (kind, device);
        let down = |side: i64| resizing(side, small(side), self.scale, options);
        let up = |side: i64| resizing(small(side), side, side as f64 / small(side) as f64, options);
        no_grad(|| {
            Ok(Measure {
                loss: self,
                factor,
                down: [down(height)?, down(width)?],
                up: [up(height)?, up(width)?],
                expected: Window::uniform(self.kernel_size),
                blur: Window::gaussian(self.gaussian_size, self.sigma, kind),
                eps: if kind == Kind::Double { f64::EPSILON } else { f64::from(f32::EPSILON) },
            })
        })
    }
}

/// What pads planes for a window of so many pixels.
fn margins(window: &Window) -> [i64; 4] {
    let (before, after) = ((window.size() - 1) / 2, window.size() / 2);
    [before, after, before, after]
}

impl Measure<'_> {
    /// What of an image is not expected from the neighbourhood in its spectrum: `[N, 1, H, W]`.
    fn salience(&self, grey: &Tensor) -> Result<Tensor> {
        let dims = [-2i64, -1];
        let spectrum = resized(grey, &self.down)?.f_fft_fft2(None::<&[i64]>, dims.as_slice(), "backward")?;
        let logarithm = spectrum.f_abs()?.f_add_scalar(self.eps)?.f_log()?;
        let expected = self.expected.sums(&logarithm.f_replication_pad2d(margins(&self.expected))?)?;
        let residual = logarithm.f_sub(&expected)?.f_exp()?;
        let unexpected = Tensor::f_polar(&residual, &spectrum.f_angle()?)?;
        let unexpected =
            unexpected.f_fft_ifft2(None::<&[i64]>, dims.as_slice(), "backward")?.f_view_as_real()?;
        let energy = unexpected.f_square()?.f_sum_dim_intlist([-1i64].as_slice(), false, None::<Kind>)?;
        let energy = self.blur.sums(&energy.f_constant_pad_nd(margins(&self.blur).as_slice())?)?;
        let dims: &[i64] = match self.loss.saliency_range {
            SaliencyRange::Batch => &[0, 1, 2, 3],
            SaliencyRange::Image => &[1, 2, 3],
        };
        let (least, most) = (energy.f_amin(dims, true)?, energy.f_amax(dims, true)?);
        let stretched = energy.f_sub(&least)?.f_div(&most.f_sub(&least)?.f_add_scalar(self.eps)?)?;
        resized(&stretched, &self.up)
    }

    fn weighted(&self, input: &Tensor, target: &Tensor) -> Result<Weighted> {
        let (input, target) = (self.shrunk(input)?, self.shrunk(target)?);
        let (input_grey, target_grey) = (grey(&input)?, grey(&target)?);
        let (input_salience, target_salience) = (self.salience(&input_grey)?, self.salience(&target_grey)?);
        let alike = |a: &Tensor, b: &Tensor, constant: f64| -> Result<Tensor> {
            Ok(dissimilarity(a, b, constant)?.f_neg()?.f_add_scalar(1.0)?)
        };
        let magnitude = |grey: &Tensor| Operator::Scharr.magnitude(grey);
        let of_gradients = alike(&magnitude(&input_grey)?, &magnitude(&target_grey)?, 225.0)?.f_sqrt()?;
        let mut similarity = alike(&input_salience, &target_salience, 0.4)?.f_mul(&of_gradients)?;
        if self.loss.chromatic {
            if let Some(of_colors) = color_similarity(&input, &target)? {
                similarity = similarity.f_mul(&of_colors)?;
            }
        }
        let weight = input_salience.f_maximum(&target_salience)?;
        Ok(Weighted { similarity, weight, eps: [0.0, self.eps] })
    }

    fn shrunk(&self, images: &Tensor) -> Result<Tensor> {
        if self.factor == 1 {
            return Ok(images.shallow_clone());
        }
        let (before, after) = ((self.factor - 1) / 2, self.factor / 2);
        average(&images.f_constant_pad_nd([before, after, before, after].as_slice())?, self.factor)
    }
}

impl PerImage for Measure<'_> {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.weighted(input, target)?.scores()
    }
}

impl Loss for SrSimLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        check::positive("scale", self.scale)?;
        check::fraction("scale", self.scale)?;
        check::positive("sigma", self.sigma)?;
        let most = (LEAST_SHRUNK as f64 * self.scale) as i64;
        for (option, size) in [("kernel_size", self.kernel_size), ("gaussian_size", self.gaussian_size)] {
            check::at_least_1(option, size)?;
            if size > most {
                let expected = format!("at most {most}, which is {LEAST_SHRUNK} times `scale`");
                return Err(Error::Option { option, given: size.to_string(), expected });
            }
        }
        Ok(())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_arguments(input, target)?;
        let measure = self.measure(input)?;
        let unit = |images: &Tensor| self.data_range.to_unit(images);
        let scores = match self.saliency_range {
            SaliencyRange::Image => per_image(&measure, self.data_range, input, target)?,
            // Each image's score depends on all images.
            SaliencyRange::Batch => measure.weighted(&unit(input)?, &unit(target)?)?.scores()?,
        };
        loss_of_clamped(&scores, self.reduction, input.kind())
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check_arguments(input, target)?;
        let unit = |images: &Tensor| self.data_range.to_unit(images);
        let weighted = self.measure(input)?.weighted(&unit(input)?, &unit(target)?)?;
        Ok(Some(weighted.map(input)?))
    }
}
