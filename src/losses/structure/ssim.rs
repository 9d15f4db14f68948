//! [`SsimLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Tensor};

use super::formula::{Formula, Means, Part};
use super::options::{SsimPadding, SsimWindow};
use crate::base::gradient::{at_once, PER_THREAD};
use crate::base::image::per_image::{by_autograd, per_image, PerImage};
use crate::base::image::window::{packed, Window};
use crate::base::image::{pool, DataRange};
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// SSIM as a loss: luminance, contrast and structure of small windows. Blur costs, and a change of brightness hardly
/// does.
///
/// ```text
/// mx, my        = means of input and target in the window
/// vx, vy, cov   = their variances and their covariance in the window
/// ssim          = (2 mx my + c1) (2 cov + c2) / ((mx² + my² + c1) (vx + vy + c2))
/// loss          = reduce(1 - mean of ssim over the places of the window and the channels)
/// c1 = (k1 L)²    c2 = (k2 L)²    L = the length of data_range
/// ```
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, any number of channels, sides at least as long as the window. The
///   loss is a scalar, or `[N]` with [`Reduction::None`].
/// - **Values**: from 0, for equal images, to 2. Negative structure is legal: an image against its negative has an SSIM
///   below 0 and a loss above 1. `input` and `target` can be exchanged. `1 - loss` under [`tch::no_grad`] is the score.
///   f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments, finite everywhere. If `target` requires none, forward computes the gradient, in
///   closed form without `eps`, `clamp_variance` and [`SsimForm::Halved`], and second derivatives come out as zero.
/// - **Map**: the mean over the channels. With [`SsimPadding::Valid`] it lies in the middle, within a border of zeros as
///   wide as half the window; it is scaled so that its mean is the loss. Pixels that `downsample` joins have one value.
/// - **Defaults**: those of pytorch-msssim for values from 0 to 1: a Gaussian window of 11 pixels with `sigma` 1.5 that
///   stays within the image, `k1` 0.01, `k2` 0.03. pytorch-msssim itself takes values from 0 to 255 unless told
///   otherwise; then give [`DataRange::Bytes`]. `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; images smaller than the window
///   (pytorch-msssim leaves out the filter along a side that is too short); a window of an even size; numbers that are
///   not positive and finite.
///
/// Libraries differ in what they do at the border and in rounding, and each has its preset here:
///
/// | preset | window | border | besides |
/// |---|---|---|---|
/// | [`default`](Self::default): pytorch-msssim | in f32, also for f64 images | valid | |
/// | [`piq`](Self::piq) | exact | valid | images from 384 pixels on are shrunk |
/// | [`kornia`](Self::kornia) | exact | reflect | `(1 - ssim) / 2`, `eps` in the denominator |
/// | [`torchmetrics`](Self::torchmetrics) | exact | reflect | variances of at least 0 |
///
/// The default and piq's without `downsample` differ by the rounding of the window: 1e-6. With another `sigma` than 1.5, the
/// exponentials of PyTorch may round the window otherwise in the last bit of f32, which moves the loss by some 1e-7.
/// scikit-image has a uniform window of 7 pixels and sample variances, which no option gives. A sum over images is the sum of their losses, where
/// piq's module has `1 - sum of scores`; with [`Reduction::None`] and kornia's preset there is a value for each image,
/// where kornia has one for each element.
///
/// Source: [`SSIM` of pytorch-msssim](https://github.com/VainF/pytorch-msssim); Z. Wang et al.,
/// [*Image quality assessment: from error visibility to structural
/// similarity*](https://ece.uwaterloo.ca/~z70wang/publications/ssim.pdf) (2004).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, SsimLoss};
///
/// let real = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu));
/// let fake = real.shallow_clone().set_requires_grad(true);
/// let loss = SsimLoss::default().forward(&fake, &real);
/// loss.backward();
/// assert!(loss.double_value(&[]).abs() < 1e-6);
/// assert!(fake.grad().abs().max().double_value(&[]) < 1e-6);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SsimLoss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// What is compared at a time.
    pub window: SsimWindow,
    /// Whether the window's weights have the precision of the images; otherwise they are rounded to f32, which differs
    /// for f64 images alone.
    pub exact_window: bool,
    /// What happens at the border.
    pub padding: SsimPadding,
    /// Whether large images are shrunk, so that the shorter side has about 256 pixels: by a whole factor, of means.
    pub downsample: bool,
    /// Keeps the luminance of dark windows stable.
    pub k1: f64,
    /// Keeps the contrast of flat windows stable.
    pub k2: f64,
    /// What is added to the denominator of SSIM.
    pub eps: f64,
    /// Whether variances below 0, which rounding makes, count as 0.
    pub clamp_variance: bool,
    /// Whether a channel whose mean SSIM is negative counts as 0. It has no gradient then.
    pub nonnegative: bool,
    /// How SSIM becomes a loss.
    pub form: SsimForm,
    /// How the images' losses are reduced.
    pub reduction: Reduction,
}

/// How SSIM becomes a loss.
///
/// In an objective's file it is a word: `form = "halved"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SsimForm {
    /// `1 - ssim`, from 0 to 2.
    #[default]
    OneMinus,
    /// `(1 - ssim) / 2`, clamped to `[0, 1]` at each pixel: kornia's, also called DSSIM.
    Halved,
}

impl Default for SsimLoss {
    fn default() -> Self {
        SsimLoss {
            data_range: DataRange::Unit,
            window: SsimWindow::default(),
            exact_window: false,
            padding: SsimPadding::Valid,
            downsample: false,
            k1: 0.01,
            k2: 0.03,
            eps: 0.0,
            clamp_variance: false,
            nonnegative: false,
            form: SsimForm::OneMinus,
            reduction: Reduction::Mean,
        }
    }
}

setters!(SsimLoss {
    with_data_range(data_range: DataRange),
    with_window(window: SsimWindow),
    with_exact_window(exact_window: bool),
    with_padding(padding: SsimPadding),
    with_downsample(downsample: bool),
    with_k1(k1: f64),
    with_k2(k2: f64),
    with_eps(eps: f64),
    with_clamp_variance(clamp_variance: bool),
    with_nonnegative(nonnegative: bool),
    with_form(form: SsimForm),
    with_reduction(reduction: Reduction)
});

/// Shrunk images have this many pixels along each side at least.
const LEAST_SHRUNK: i64 = 192;

impl SsimLoss {
    /// piq's: `SSIMLoss` of version 0.8. Large images are shrunk.
    pub fn piq() -> SsimLoss {
        SsimLoss { exact_window: true, downsample: true, ..SsimLoss::default() }
    }

    /// kornia's: `SSIMLoss(11)` of version 0.9. Its `padding="valid"` is [`SsimPadding::Valid`]; its `window_size` is
    /// the size of the Gaussian, of which `sigma` stays 1.5.
    pub fn kornia() -> SsimLoss {
        let (padding, form) = (SsimPadding::Reflect, SsimForm::Halved);
        SsimLoss { exact_window: true, padding, eps: 1e-12, form, ..SsimLoss::default() }
    }

    /// torchmetrics': 1 - `structural_similarity_index_measure` of version 1.9 with a `data_range` of 1. Its Gaussian
    /// has the size `2 * floor(3.5 * sigma + 0.5) + 1`, whatever its `kernel_size`, which is that of its uniform window.
    /// Two numbers as its `data_range` clamp the values; here they do not.
    pub fn torchmetrics() -> SsimLoss {
        let padding = SsimPadding::Reflect;
        SsimLoss { exact_window: true, padding, clamp_variance: true, ..SsimLoss::default() }
    }

    fn check(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::least_size(input, self.padding.least_size(self.window), "a smaller `window` takes fewer")
    }

    fn measure(&self, input: &Tensor) -> Measure<'_> {
        let size = input.size();
        let factor = if self.downsample { pool::factor_to_256(size[2], size[3]) } else { 1 };
        let window = self.window.weights(self.exact_window, accumulation_kind(input.kind()));
        let formula =
            Formula { eps: self.eps, clamp_variance: self.clamp_variance, ..Formula::new(self.k1, self.k2) };
        Measure { loss: self, window, formula, factor, channels: size[1] }
    }

    /// The loss of a similarity, which is linear.
    fn of_similarity(&self, similarity: &Tensor) -> Result<Tensor> {
        Ok(similarity.f_mul_scalar(-self.slope())?.f_add_scalar(self.slope())?)
    }

    fn slope(&self) -> f64 {
        match self.form {
            SsimForm::OneMinus => 1.0,
            SsimForm::Halved => 0.5,
        }
    }
}

/// The loss for images of one size and kind.
struct Measure<'a> {
    loss: &'a SsimLoss,
    window: Window,
    formula: Formula,
    /// By how much the images are shrunk.
    factor: i64,
    channels: i64,
}

impl Measure<'_> {
    /// SSIM `[1, N * C, H, W]` at each place of the window.
    fn similarity(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let planes = |images: &Tensor| {
            self.loss.padding.pad(&pool::average(&packed(images)?, self.factor)?, self.loss.window)
        };
        let similarity = self.formula.map(&self.window, &planes(input)?, &planes(target)?, Part::All)?;
        Ok(match self.loss.form {
            SsimForm::OneMinus => similarity,
            // The loss is from 0 to 1.
            SsimForm::Halved => similarity.f_clamp(-1.0, 1.0)?,
        })
    }

    fn has_closed_form(&self) -> bool {
        self.formula.has_closed_form() && self.loss.form == SsimForm::OneMinus
    }

    /// The losses `[N]` of the mean similarities of planes `[N * C]`.
    fn of_means(&self, means: &Tensor) -> Result<Tensor> {
        let means = means.f_view([-1, self.channels])?;
        let means = if self.loss.nonnegative { means.f_relu()? } else { means };
        self.loss.of_similarity(&means.f_mean_dim([1i64].as_slice(), false, None)?)
    }

    fn map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let size = input.size();
        let [count, channels, height, width] = size[..] else { unreachable!("an image has four dimensions") };
        let mut similarity = self.similarity(input, target)?;
        if self.loss.nonnegative {
            let means = similarity.f_mean_dim([2i64, 3].as_slice(), true, None)?;
            similarity = similarity.f_mul(&means.f_gt(0.0)?)?;
        }
        let places = similarity.size();
        let similarity = similarity.f_view([count, channels, places[2], places[3]])?;
        let map = self.loss.of_similarity(&similarity.f_mean_dim([1i64].as_slice(), true, None)?)?;
        // One value for all pixels that were joined.
        let (rows, columns) = (places[2] * self.factor, places[3] * self.factor);
        let map = match self.factor {
            1 => map,
            _ => map.f_upsample_nearest2d([rows, columns], None, None)?,
        };
        let before = match self.loss.padding {
            SsimPadding::Valid => self.window.size() / 2 * self.factor,
            SsimPadding::Reflect => 0,
        };
        let border = [before, width - columns - before, before, height - rows - before];
        let scale = (height * width) as f64 / (rows * columns) as f64;
        Ok(map.f_mul_scalar(scale)?.f_constant_pad_nd(border.as_slice())?)
    }
}

impl PerImage for Measure<'_> {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let similarity = self.similarity(input, target)?;
        self.of_means(&similarity.f_mean_dim([0i64, 2, 3].as_slice(), false, None)?)
    }

    fn values_and_gradient(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        if !self.has_closed_form() {
            return by_autograd(self, input, target);
        }
        no_grad(|| {
            let (padding, window) = (self.loss.padding, self.loss.window);
            let pooled = |planes: &Tensor| pool::average(planes, self.factor);
            let x = pooled(input)?;
            let y = padding.pad(&pooled(target)?, window)?;
            let Means { means, gradient, factor } =
                self.formula.means(&self.window, &padding.pad(&x, window)?, &y, Part::All)?;
            let gradient = padding.back(gradient, &x, window)?;
            let mut gradient = pool::average_gradient(&gradient, input, self.factor)?;
            // Of the loss with respect to the mean of a channel.
            let slope = -self.loss.slope() * factor / means.size()[1] as f64;
            let _ = match self.loss.nonnegative {
                true => {
                    let positive = means.f_gt(0.0)?.f_to_kind(means.kind())?;
                    gradient.f_mul_(&positive.f_mul_scalar(slope)?.f_unsqueeze(-1)?.f_unsqueeze(-1)?)?
                }
                false => gradient.f_mul_scalar_(slope)?,
            };
            Ok((self.of_means(&means)?, gradient))
        })
    }

    fn images_at_once(&self, device: Device, pixels: i64) -> i64 {
        images_at_once(device, pixels, self.channels, self.has_closed_form())
    }
}

/// How many images to work on at a time. In the time of one plane oneDNN filters sixteen that lie side by side, and the
/// closed form goes through them in strips; libtorch's graph holds all that it computes.
pub(super) fn images_at_once(device: Device, pixels: i64, channels: i64, closed_form: bool) -> i64 {
    match device {
        Device::Cpu if closed_form => (16 / channels).max(1),
        _ => at_once(device, pixels, PER_THREAD),
    }
}

impl Loss for SsimLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        self.window.check()?;
        check::positive("k1", self.k1)?;
        check::positive("k2", self.k2)?;
        check::non_negative("eps", self.eps)?;
        if self.downsample && self.window.size() > LEAST_SHRUNK {
            return Err(Error::Option {
                option: "window",
                given: format!("of the size {} with `downsample`", self.window.size()),
                expected: format!("a size of at most {LEAST_SHRUNK}, which shrunk images have at least"),
            });
        }
        Ok(())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check(input, target)?;
        let values = per_image(&self.measure(input), self.data_range, input, target)?;
        reduce(&values, self.reduction, input.kind())
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check(input, target)?;
        let unit = |images: &Tensor| self.data_range.to_unit(images);
        let map = self.measure(input).map(&unit(input)?, &unit(target)?)?;
        Ok(Some(map.f_to_kind(input.kind())?))
    }
}
