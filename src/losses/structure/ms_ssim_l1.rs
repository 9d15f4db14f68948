//! [`MsSsimL1Loss`].

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::base::image::per_image::{per_image, PerImage};
use crate::base::image::window::{packed, Window};
use crate::base::image::DataRange;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// SSIM at several scales together with L1: the mix for restoration of Zhao et al.
///
/// ```text
/// G_s          = Gaussian window with the s-th of sigmas, the image within zeros
/// cs_s(c)      = contrast and structure of channel c under G_s, l(c) = luminance under the last one
/// ms_ssim(c)   = l(c) * cs_1(c) * .. * cs_S(c)
/// map          = compensation * mean over c of (alpha (1 - ms_ssim(c)) + (1 - alpha) G_S * |input - target| / L)
/// loss         = reduce(map)
/// ```
///
/// Contrast, structure and luminance are those of [`SsimLoss`](crate::SsimLoss). All scales have the image's full size
/// and one size of window, `2 * floor(2 * last of sigmas) + 1` pixels: 33. `L` is the length of `data_range`.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, any number of channels (three with [`MaskLayout::ScaleMajor`]) and
///   any size. The loss is a scalar, or `[N, H, W]` with [`Reduction::None`].
/// - **Values**: 0 for equal images. `input` and `target` can be exchanged. As contrast and structure may be negative, a
///   product of them may be of either sign, and `1 - ms_ssim` is from 0 to 2. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments, finite everywhere. If the loss is reduced and `target` requires none, forward
///   computes the gradient, a few images at a time, and second derivatives come out as zero.
/// - **Map**: `map`, whose mean is the loss.
/// - **Defaults**: those of kornia: `sigmas` 0.5, 1, 2, 4 and 8, `alpha` 0.025, `compensation` 200, `k1` 0.01, `k2` 0.03,
///   `reduction` mean. The paper has an `alpha` of 0.84 and no compensation (1).
/// - **Errors**: arguments that are not images of one shape, kind and device; `sigmas` that are none, not positive or
///   larger than 1000; an `alpha` outside of `[0, 1]`; a `compensation` that is negative or not finite.
///
/// kornia rounds the products of its windows' weights to f32, for f64 images, too. So does this loss for f64 images; for
/// others it filters along one axis after the other, which is many times faster and equal within rounding.
///
/// Source: [`MS_SSIMLoss` of kornia](https://kornia.readthedocs.io/en/latest/losses.html), version 0.9; H. Zhao et al.,
/// [*Loss functions for image restoration with neural networks*](https://arxiv.org/abs/1511.08861) (2016).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, MsSsimL1Loss};
///
/// let real = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu));
/// let fake = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let paper = MsSsimL1Loss::default().with_alpha(0.84).with_compensation(1.0);
/// paper.forward(&fake, &real).backward();
/// assert_eq!(fake.grad().size(), fake.size());
/// ```
#[doc(alias = "MS_SSIMLoss")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MsSsimL1Loss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// The standard deviations of the windows, in pixels. The last one decides how many pixels all windows have.
    pub sigmas: Vec<f64>,
    /// The part of MS-SSIM. L1 has the rest.
    pub alpha: f64,
    /// What the loss is multiplied by.
    pub compensation: f64,
    /// Keeps the luminance of dark windows stable.
    pub k1: f64,
    /// Keeps the contrast of flat windows stable.
    pub k2: f64,
    /// Which channel has which windows.
    pub layout: MaskLayout,
    /// How the pixels' losses are reduced.
    pub reduction: Reduction,
}

/// Which channel has which windows.
///
/// In an objective's file it is a word: `layout = "scale_major"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskLayout {
    /// Each channel has all of them.
    #[default]
    ChannelMajor,
    /// What kornia had before version 0.9, and psyrocloud's MS-SSIM_L1_LOSS has: of the list of all windows, each of
    /// them three times, each of three channels has the next part. So red has the small ones and blue the large ones.
    /// MS-SSIM is one product over all channels, in which the luminance of the last three counts.
    ScaleMajor,
}

impl Default for MsSsimL1Loss {
    fn default() -> Self {
        MsSsimL1Loss {
            data_range: DataRange::Unit,
            sigmas: vec![0.5, 1.0, 2.0, 4.0, 8.0],
            alpha: 0.025,
            compensation: 200.0,
            k1: 0.01,
            k2: 0.03,
            layout: MaskLayout::ChannelMajor,
            reduction: Reduction::Mean,
        }
    }
}

setters!(MsSsimL1Loss {
    with_data_range(data_range: DataRange),
    with_sigmas(sigmas: Vec<f64>),
    with_alpha(alpha: f64),
    with_compensation(compensation: f64),
    with_k1(k1: f64),
    with_k2(k2: f64),
    with_layout(layout: MaskLayout),
    with_reduction(reduction: Reduction)
});

/// Beyond it, a window is larger than images are.
const LARGEST_SIGMA: f64 = 1000.0;

/// Means and variances under one window, of planes `[1, K, H, W]`.
struct Moments {
    /// Contrast and structure.
    contrast: Tensor,
    /// The means of input and target.
    means: [Tensor; 2],
}

impl MsSsimL1Loss {
    /// The half width of all windows.
    fn margin(&self) -> i64 {
        (2.0 * self.sigmas[self.sigmas.len() - 1]) as i64
    }

    fn check(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        self.check_options()?;
        check::image_pair(input, target)?;
        match self.layout {
            MaskLayout::ChannelMajor => Ok(()),
            MaskLayout::ScaleMajor => check::channels(input, &[3]),
        }
    }

    /// The sums of `planes` `[M, K, H, W]` within zeros under one window, `[M, K, H, W]`.
    fn filtered(&self, planes: &Tensor, sigma: f64) -> Result<Tensor> {
        let margin = self.margin();
        let window = Window::gaussian(2 * margin + 1, sigma, Kind::Float);
        match planes.kind() {
            Kind::Double => window.products_in_f32(planes, margin),
            _ => window.sums(&planes.f_constant_pad_nd([margin; 4].as_slice())?),
        }
    }

    /// What the product over the scales has of one window.
    fn moments(&self, moments: &Tensor, sigma: f64) -> Result<Moments> {
        let sums = self.filtered(moments, sigma)?;
        let sum = |index: i64| sums.f_narrow(0, index, 1);
        let (mx, my) = (sum(0)?, sum(1)?);
        let c2 = self.k2 * self.k2;
        let above = sum(3)?.f_sub(&mx.f_mul(&my)?)?.f_mul_scalar(2.0)?.f_add_scalar(c2)?;
        let below = sum(2)?.f_sub(&mx.f_square()?)?.f_sub(&my.f_square()?)?.f_add_scalar(c2)?;
        Ok(Moments { contrast: above.f_div(&below)?, means: [mx, my] })
    }

    /// The map `[N, H, W]` of images with values from 0 to 1.
    fn map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let size = input.size();
        let [count, channels, height, width] = size[..] else { unreachable!("an image has four dimensions") };
        let (x, y) = (packed(input)?, packed(target)?);
        let squares = x.f_square()?.f_add(&y.f_square()?)?;
        let moments = Tensor::f_cat(&[&x, &y, &squares, &x.f_mul(&y)?], 0)?;
        let of_images = |planes: &Tensor| planes.f_view([count, channels, height, width]);
        let last = self.sigmas.len() - 1;
        let mut product: Option<Tensor> = None;
        let mut multiply = |factor: Tensor| -> Result<()> {
            product = Some(match product.take() {
                Some(product) => product.f_mul(&factor)?,
                None => factor,
            });
            Ok(())
        };
        for (scale, sigma) in self.sigmas.iter().enumerate() {
            let Moments { contrast, means: [mx, my] } = self.moments(&moments, *sigma)?;
            let contrast = of_images(&contrast)?;
            match self.layout {
                MaskLayout::ChannelMajor => multiply(contrast)?,
                MaskLayout::ScaleMajor => {
                    for channel in self.channels_with(scale) {
                        multiply(contrast.f_narrow(1, channel, 1)?)?;
                    }
                }
            }
            if scale == last {
                let c1 = self.k1 * self.k1;
                let above = mx.f_mul(&my)?.f_mul_scalar(2.0)?.f_add_scalar(c1)?;
                let below = mx.f_square()?.f_add(&my.f_square()?)?.f_add_scalar(c1)?;
                let luminance = of_images(&above.f_div(&below)?)?;
                match self.layout {
                    MaskLayout::ChannelMajor => multiply(luminance)?,
                    MaskLayout::ScaleMajor => {
                        for channel in self.channels_with(scale) {
                            multiply(luminance.f_narrow(1, channel, 1)?)?;
                        }
                    }
                }
            }
        }
        let product = product.expect("there are sigmas").f_mean_dim([1i64].as_slice(), false, None)?;
        let error = self.filtered(&x.f_sub(&y)?.f_abs()?, self.sigmas[last])?;
        let error = of_images(&error)?.f_mean_dim([1i64].as_slice(), false, None)?;
        let [structure, error_weight] = [self.alpha, 1.0 - self.alpha].map(|part| part * self.compensation);
        let structure = product.f_mul_scalar(-structure)?.f_add_scalar(structure)?;
        Ok(structure.f_add(&error.f_mul_scalar(error_weight)?)?)
    }

    /// The map of images with values of `data_range`, in f32 at least.
    fn unit_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let unit = |images: &Tensor| self.data_range.to_unit(images);
        self.map(&unit(input)?, &unit(target)?)
    }

    /// The channels that have the window of a scale with [`MaskLayout::ScaleMajor`]: of the list of all windows, each
    /// three times, a channel has as many in a row as there are scales.
    fn channels_with(&self, scale: usize) -> impl Iterator<Item = i64> {
        let scales = self.sigmas.len();
        (3 * scale..3 * scale + 3).map(move |place| (place / scales) as i64)
    }
}

/// The mean of the map of each image.
struct Measure<'a> {
    loss: &'a MsSsimL1Loss,
}

impl PerImage for Measure<'_> {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(self.loss.map(input, target)?.f_mean_dim([1i64, 2].as_slice(), false, None)?)
    }
}

impl Loss for MsSsimL1Loss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        let refuse = |given: String, expected: &str| {
            Err(Error::Option { option: "sigmas", given, expected: expected.into() })
        };
        if self.sigmas.is_empty() {
            return refuse("empty".into(), "a number at least");
        }
        if let Some(sigma) = self.sigmas.iter().find(|sigma| !(**sigma > 0.0 && **sigma <= LARGEST_SIGMA)) {
            return refuse(format!("{sigma} among them"), "numbers greater than 0, up to 1000");
        }
        check::fraction("alpha", self.alpha)?;
        check::non_negative("compensation", self.compensation)?;
        check::positive("k1", self.k1)?;
        check::positive("k2", self.k2)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check(input, target)?;
        if self.reduction == Reduction::None {
            return Ok(self.unit_map(input, target)?.f_to_kind(input.kind())?);
        }
        let size = input.size();
        let measure = Measure { loss: self };
        let values = per_image(&measure, self.data_range, input, target)?;
        let loss = reduce(&values, self.reduction, values.kind())?;
        let loss = match self.reduction {
            Reduction::Sum => loss.f_mul_scalar((size[2] * size[3]) as f64)?,
            _ => loss,
        };
        Ok(loss.f_to_kind(input.kind())?)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check(input, target)?;
        Ok(Some(self.unit_map(input, target)?.f_unsqueeze(1)?.f_to_kind(input.kind())?))
    }
}
