//! [`FftLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Tensor};

use super::spectrum;
use crate::base::gradient::{with_gradient, Wanted};
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// What of the coefficients [`FftLoss`] compares. In an objective's file it is a word: `parts = "modulus"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FftParts {
    /// The real and the imaginary parts, each on its own: `|Re(X - Y)|` and `|Im(X - Y)|`.
    #[default]
    RealImag,
    /// The modulus of the difference: `|X - Y|`.
    Modulus,
    /// The difference of the moduli, without the phases: `||X| - |Y||`.
    Amplitude,
}

/// Which coefficients [`FftLoss`] compares. In an objective's file it is a word: `spectrum = "half"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FftSpectrum {
    /// All of them, as `torch.fft.fft2` returns them.
    #[default]
    Full,
    /// The columns 0 to `W / 2`, as `torch.fft.rfft2` returns them. The mean has other weights for the same numbers.
    Half,
}

/// What the coefficients of [`FftLoss`] are divided by: PyTorch's `norm`. In an objective's file it is a word: `norm =
/// "ortho"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FftNorm {
    /// Nothing.
    #[default]
    Backward,
    /// `sqrt(H W)`.
    Ortho,
    /// `H W`.
    Forward,
}

impl FftNorm {
    fn word(self) -> &'static str {
        match self {
            FftNorm::Backward => "backward",
            FftNorm::Ortho => "ortho",
            FftNorm::Forward => "forward",
        }
    }

    /// The norm of the inverse transform that divides by the same number.
    fn of_adjoint(self) -> &'static str {
        match self {
            FftNorm::Backward => "forward",
            FftNorm::Ortho => "ortho",
            FftNorm::Forward => "backward",
        }
    }
}

/// L1 distance of spectra: of periodic patterns and fine detail, wherever in the image they are.
///
/// ```text
/// X, Y = fft2(input), fft2(target)              (of each channel)
/// loss = reduce(|Re(X - Y)|, |Im(X - Y)|)       (parts real_imag)
///        reduce(|X - Y|)                        (parts modulus)
///        reduce(||X| - |Y||)                    (parts amplitude)
/// ```
///
/// Losses on pixels see each coefficient through its small share in every pixel. Here a pattern that is missing costs as
/// much as one that is there and should not be. It is usual beside a loss on pixels, with a weight of 0.1 or less.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, all at least 1. The loss is a scalar; with [`Reduction::None`] it is
///   `[N, C, H, W]`, or `[N, C, H, W, 2]` with real and imaginary parts, and `W / 2 + 1` columns of half a spectrum.
/// - **Values**: any. The loss scales with them; it is 0 for equal images, and symmetric. With the norm `backward`,
///   coefficients of images from 0 to 1 are up to `H W`. f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments. Where a part is 0, its gradient is 0. If the loss is reduced and `target` requires
///   no gradient, forward computes the gradient from half the spectrum, and second derivatives come out as zero.
/// - **Map**: none, as a coefficient is of the whole image.
/// - **Defaults**: `parts` real_imag, `spectrum` full, `norm` backward, `reduction` mean: the loss of MIMO-UNet. DeepRFT
///   takes the modulus.
/// - **Errors**: arguments that are not images of one shape, kind and device.
///
/// Source: S.-J. Cho et al., [*Rethinking Coarse-to-Fine Approach in Single Image Deblurring*](https://arxiv.org/abs/2108.05054)
/// (2021).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{FftLoss, FftParts, Loss};
///
/// // A constant offset is the first coefficient of each channel, 16 pixels of 0.5, and no other.
/// let fake = Tensor::full([1, 3, 4, 4], 0.5, (Kind::Float, Device::Cpu));
/// let loss = FftLoss::default().with_parts(FftParts::Modulus).forward(&fake, &fake.zeros_like());
/// assert_eq!(loss.double_value(&[]), 8.0 / 16.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FftLoss {
    /// What of the coefficients is compared.
    pub parts: FftParts,
    /// Which coefficients are compared.
    pub spectrum: FftSpectrum,
    /// What the coefficients are divided by.
    pub norm: FftNorm,
    /// How the differences are reduced.
    pub reduction: Reduction,
}

setters!(FftLoss {
    with_parts(parts: FftParts),
    with_spectrum(spectrum: FftSpectrum),
    with_norm(norm: FftNorm),
    with_reduction(reduction: Reduction)
});

impl FftLoss {
    /// In libtorch's graph.
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let transform = |planes: &Tensor| match self.spectrum {
            FftSpectrum::Full => spectrum::full(planes, self.norm.word()),
            FftSpectrum::Half => spectrum::half(planes, self.norm.word()),
        };
        // The transform is linear: that of the difference is all that is needed.
        let difference = || transform(&input.f_sub(target)?);
        Ok(match self.parts {
            FftParts::RealImag => difference()?.f_view_as_real()?.f_abs()?,
            FftParts::Modulus => difference()?.f_abs()?,
            FftParts::Amplitude => transform(input)?.f_abs()?.f_sub(&transform(target)?.f_abs()?)?.f_abs()?,
        })
    }

    /// The sum of all elements, and its gradient with respect to `input`, without a graph.
    fn sum_and_gradient(&self, input: &Tensor, target: &Tensor, wanted: Wanted) -> Result<(Tensor, Tensor)> {
        let size = input.size();
        let plane = [size[2], size[3]];
        let transform = |planes: &Tensor| spectrum::half(planes, self.norm.word());
        let sum = |elements: &Tensor, dim| match self.spectrum {
            FftSpectrum::Full => spectrum::sum(elements, dim, plane[1]),
            FftSpectrum::Half => Ok(elements.f_sum(None)?),
        };
        // Becomes the slope in place.
        let mut half = match self.parts {
            FftParts::Amplitude => transform(input)?,
            FftParts::RealImag | FftParts::Modulus => transform(&input.f_sub(target)?)?,
        };
        let mut parts = half.f_view_as_real()?;
        let value = match self.parts {
            FftParts::RealImag => {
                let value = sum(&parts.f_abs()?, -2)?;
                let _ = parts.f_sgn_()?;
                value
            }
            FftParts::Modulus => {
                let value = sum(&half.f_abs()?, -1)?;
                let _ = half.f_sgn_()?;
                value
            }
            FftParts::Amplitude => {
                let mut difference = half.f_abs()?.f_sub_(&transform(target)?.f_abs()?)?;
                let value = sum(&difference.f_abs()?, -1)?;
                let _ = half.f_sgn_()?;
                let sign = difference.f_sgn_()?;
                let _ = half.f_mul_(&sign)?;
                value
            }
        };
        if wanted == Wanted::Value {
            return Ok((value, half));
        }
        if self.spectrum == FftSpectrum::Half {
            // The inverse transform adds what their mirror images would.
            let _ = spectrum::mirrored(&parts, -2, plane[1])?.f_mul_scalar_(0.5)?;
        }
        Ok((value, spectrum::planes(&half, plane, self.norm.of_adjoint())?))
    }

    /// The number of elements.
    fn count(&self, size: &[i64]) -> f64 {
        let columns = match self.spectrum {
            FftSpectrum::Full => size[3],
            FftSpectrum::Half => spectrum::half_width(size[3]),
        };
        let parts = if self.parts == FftParts::RealImag { 2 } else { 1 };
        (parts * size[0] * size[1] * size[2] * columns) as f64
    }
}

impl Loss for FftLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        let kind = accumulation_kind(input.kind());
        let (wide, wide_target) = (input.f_to_kind(kind)?, target.f_to_kind(kind)?);
        let wanted = Wanted::of(input, Some(target))?;
        if self.reduction == Reduction::None || wanted == Wanted::Graph {
            return reduce(&self.elements(&wide, &wide_target)?, self.reduction, input.kind());
        }
        let (sum, gradient) =
            no_grad(|| self.sum_and_gradient(&wide.f_detach()?, &wide_target.f_detach()?, wanted))?;
        let factor = match self.reduction {
            Reduction::Mean => 1.0 / self.count(&input.size()),
            _ => 1.0,
        };
        let mut loss = sum.f_mul_scalar(factor)?;
        if wanted == Wanted::InputGradient {
            loss = with_gradient(&loss, &wide, &gradient, factor)?;
        }
        Ok(loss.f_to_kind(input.kind())?)
    }
}
