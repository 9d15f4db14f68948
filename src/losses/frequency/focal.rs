//! [`FocalFrequencyLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Tensor};

use super::spectrum;
use crate::base::gradient::{with_gradient, Wanted};
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::weight::placed;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result, WeightTensor};

const NORM: &str = "ortho";

/// Focal frequency loss: squared distance of spectra, in which the frequencies that are farthest off count most.
///
/// ```text
/// X, Y = fft2(patches(input)), fft2(patches(target))   (of each channel, divided by sqrt(h w))
/// w    = |X - Y|^alpha                                 (log_matrix: log(|X - Y|^alpha + 1))
/// w    = w / max(w)                                    (of each spectrum; batch_matrix: of all)
/// loss = loss_weight * reduce(w * |X - Y|²)
/// ```
///
/// The weights turn to the frequencies that a generator neglects. They count as constants: the gradient is that of the
/// squared distance with the present weights.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]`, all at least 1, H and W divisible by `patch_factor`. The loss is a
///   scalar; with [`Reduction::None`] it is `[N, P, C, h, w]`: `P = patch_factor²` patches, row by row, of `h = H /
///   patch_factor` by `w = W / patch_factor`. N is 1 there with `ave_spectrum`.
/// - **Values**: any. The loss scales with their square; it is 0 for equal images, never negative, and symmetric. f16 and
///   bf16 are computed in f32.
/// - **Gradients**: to both arguments, none to `matrix`. If the loss is reduced and `target` requires no gradient, forward
///   computes the gradient from half the spectrum, and second derivatives come out as zero.
/// - **Map**: none, as a coefficient is of the whole image.
/// - **Defaults**: `loss_weight` 1, `alpha` 1, `patch_factor` 1, `ave_spectrum`, `log_matrix` and `batch_matrix` false, no
///   `matrix`, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; sizes that `patch_factor` does not divide; a
///   `loss_weight` or an `alpha` that is negative or not finite; a `patch_factor` below 1; a `matrix` that does not
///   broadcast to `[N, P, C, h, w]`, or numbers in it outside of `[0, 1]`. Those of a tensor are not looked at.
///
/// Values and gradients are those of focal-frequency-loss 0.3.0, which has the reduction mean alone, and takes `matrix` with
/// each call.
///
/// Source: L. Jiang et al., [*Focal Frequency Loss for Image Reconstruction and Synthesis*](https://arxiv.org/abs/2012.12821)
/// (2021); [focal-frequency-loss](https://github.com/EndlessSora/focal-frequency-loss).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{FocalFrequencyLoss, Loss};
///
/// // A constant offset is one coefficient, 16 pixels of 0.5 over 4. Its weight is 1, it is one of 16.
/// let fake = Tensor::full([1, 3, 4, 4], 0.5, (Kind::Float, Device::Cpu));
/// let loss = FocalFrequencyLoss::default().forward(&fake, &fake.zeros_like());
/// assert!((loss.double_value(&[]) - 4.0 / 16.0).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FocalFrequencyLoss {
    /// The factor of the loss.
    pub loss_weight: f64,
    /// The power of the distances in the weights. At 0, all weights are equal.
    pub alpha: f64,
    /// Into how many patches each side of an image is cut.
    pub patch_factor: i64,
    /// Whether to compare the means of the spectra of a batch.
    pub ave_spectrum: bool,
    /// Whether to take the logarithm of the weights.
    pub log_matrix: bool,
    /// Whether the greatest weight is 1 in the batch, instead of in each spectrum.
    pub batch_matrix: bool,
    /// Weights from 0 to 1 that replace the computed ones: a shape that broadcasts to `[N, P, C, h, w]`, the frequencies
    /// in the order of `torch.fft.fft2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix: Option<WeightTensor>,
    /// How the weighted squares are reduced.
    pub reduction: Reduction,
}

impl Default for FocalFrequencyLoss {
    fn default() -> Self {
        FocalFrequencyLoss {
            loss_weight: 1.0,
            alpha: 1.0,
            patch_factor: 1,
            ave_spectrum: false,
            log_matrix: false,
            batch_matrix: false,
            matrix: None,
            reduction: Reduction::Mean,
        }
    }
}

setters!(FocalFrequencyLoss {
    with_loss_weight(loss_weight: f64),
    with_alpha(alpha: f64),
    with_patch_factor(patch_factor: i64),
    with_ave_spectrum(ave_spectrum: bool),
    with_log_matrix(log_matrix: bool),
    with_batch_matrix(batch_matrix: bool),
    with_reduction(reduction: Reduction);
    with_matrix(matrix: WeightTensor)
});

impl FocalFrequencyLoss {
    /// `[N, P, C, h, w]` of images `[N, C, H, W]`.
    fn spectra_size(&self, size: &[i64]) -> [i64; 5] {
        let factor = self.patch_factor;
        let count = if self.ave_spectrum { 1 } else { size[0] };
        [count, factor * factor, size[1], size[2] / factor, size[3] / factor]
    }

    fn check_sizes(&self, input: &Tensor) -> Result<()> {
        let (given, factor) = (input.size(), self.patch_factor);
        if given[2] % factor != 0 || given[3] % factor != 0 {
            let expected =
                format!("[N, C, H, W] with H and W divisible by {factor}, the option `patch_factor`");
            return Err(Error::Shape { argument: "input", given, expected });
        }
        let Some(matrix) = &self.matrix else { return Ok(()) };
        let (own, shape) = (matrix.size(), self.spectra_size(&given));
        let mut aligned = own.iter().rev().zip(shape.iter().rev());
        if own.len() > shape.len() || !aligned.all(|(own, of_spectra)| own == of_spectra || *own == 1) {
            let expected =
                format!("a shape that broadcasts to {shape:?}, [N, P, C, h, w] of the spectra of `input`");
            return Err(Error::Shape { argument: "matrix", given: own, expected });
        }
        Ok(())
    }

    /// What is transformed, `[N, P, C, h, w]`. The mean of spectra is the spectrum of the mean.
    fn difference(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let difference = input.f_sub(target)?;
        let difference = match self.ave_spectrum {
            true => difference.f_mean_dim([0i64].as_slice(), true, difference.kind())?,
            false => difference,
        };
        let ([count, _, channels, height, width], factor) =
            (self.spectra_size(&input.size()), self.patch_factor);
        let rows_and_columns = difference.f_reshape([count, channels, factor, height, factor, width])?;
        let patches = rows_and_columns.f_permute([0i64, 2, 4, 1, 3, 5].as_slice())?;
        Ok(patches.f_reshape([count, factor * factor, channels, height, width])?)
    }

    /// The inverse of [`difference`](Self::difference), for images of this size.
    fn images(&self, patches: &Tensor, size: &[i64]) -> Result<Tensor> {
        let ([count, _, channels, height, width], factor) = (self.spectra_size(size), self.patch_factor);
        let rows_and_columns = patches.f_reshape([count, factor, factor, channels, height, width])?;
        let images = rows_and_columns.f_permute([0i64, 3, 1, 4, 2, 5].as_slice())?;
        Ok(images.f_reshape([count, channels, size[2], size[3]])?.f_expand(size, false)?)
    }

    /// The weights of the coefficients of the whole spectrum or of its half.
    fn weights(&self, coefficients: &Tensor) -> Result<Tensor> {
        let parts = coefficients.f_view_as_real()?;
        let (real, imaginary) = (parts.f_select(-1, 0)?, parts.f_select(-1, 1)?);
        // The modulus by hand: libtorch's takes twice as long.
        let mut squares = real.f_square()?.f_addcmul_(&imaginary, &imaginary)?;
        let mut weights = match self.alpha {
            1.0 => squares.f_sqrt_()?,
            alpha => squares.f_sqrt_()?.f_pow_(alpha)?,
        };
        if self.log_matrix {
            weights = weights.f_log1p_()?;
        }
        let greatest = match self.batch_matrix {
            true => weights.f_max()?,
            false => weights.f_amax([-2i64, -1].as_slice(), true)?,
        };
        // The package's answer to 0 / 0, where images are equal, and to powers that overflow.
        Ok(weights.f_div_(&greatest)?.f_nan_to_num_(0.0, None, None)?)
    }

    /// In libtorch's graph, `[N, P, C, h, w]`.
    fn elements(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let coefficients = spectrum::full(&self.difference(input, target)?, NORM)?;
        let weights = no_grad(|| match placed("matrix", self.matrix.as_ref(), input)? {
            Some(matrix) => Ok(matrix.f_detach()?),
            None => self.weights(&coefficients.f_detach()?),
        })?;
        let squares = coefficients.f_view_as_real()?.f_square()?.f_sum_dim_intlist(
            [-1i64].as_slice(),
            false,
            input.kind(),
        )?;
        Ok(squares.f_mul(&weights)?.f_mul_scalar(self.loss_weight)?)
    }

    /// The sum over the whole spectra, without `loss_weight`, and half its gradient with respect to the
    /// [`difference`](Self::difference). Without a graph.
    fn sum_and_gradient(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let mut difference = self.difference(input, target)?;
        let [.., height, width] = self.spectra_size(&input.size());
        let mut half = spectrum::half(&difference, NORM)?;
        let weights = match placed("matrix", self.matrix.as_ref(), input)? {
            Some(matrix) => symmetric_half(&matrix.f_detach()?, [height, width])?,
            None => self.weights(&half)?,
        };
        let _ = half.f_mul_(&weights)?;
        let gradient = spectrum::planes(&half, [height, width], NORM)?;
        // The transform keeps products: this one is that of the spectra, where it is the weighted squares.
        let sum = difference.f_mul_(&gradient)?.f_sum(None)?;
        Ok((sum, gradient))
    }
}

/// The half of weights of a whole spectrum that gives each pair of mirror images the same sum.
fn symmetric_half(matrix: &Tensor, plane: [i64; 2]) -> Result<Tensor> {
    let size = matrix.size();
    let leading = &size[..size.len().saturating_sub(2)];
    let whole = matrix.f_expand([leading, &plane].concat(), false)?;
    let mirrored =
        whole.f_flip([-2i64, -1].as_slice())?.f_roll([1i64, 1].as_slice(), [-2i64, -1].as_slice())?;
    let symmetric = whole.f_add(&mirrored)?.f_mul_scalar_(0.5)?;
    Ok(symmetric.f_narrow(-1, 0, spectrum::half_width(plane[1]))?)
}

impl Loss for FocalFrequencyLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::non_negative("loss_weight", self.loss_weight)?;
        check::non_negative("alpha", self.alpha)?;
        check::at_least_1("patch_factor", self.patch_factor)?;
        self.matrix.as_ref().map_or(Ok(()), |matrix| matrix.check_each("matrix", check::fraction))
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::image_pair(input, target)?;
        self.check_sizes(input)?;
        let kind = accumulation_kind(input.kind());
        let (wide, wide_target) = (input.f_to_kind(kind)?, target.f_to_kind(kind)?);
        let wanted = Wanted::of(input, Some(target))?;
        if self.reduction == Reduction::None || wanted == Wanted::Graph {
            return reduce(&self.elements(&wide, &wide_target)?, self.reduction, input.kind());
        }
        let (sum, gradient) = no_grad(|| self.sum_and_gradient(&wide.f_detach()?, &wide_target.f_detach()?))?;
        let size = input.size();
        let factor = match self.reduction {
            Reduction::Mean => self.loss_weight / self.spectra_size(&size).iter().product::<i64>() as f64,
            _ => self.loss_weight,
        };
        let mut loss = sum.f_mul_scalar(factor)?;
        if wanted == Wanted::InputGradient {
            let gradient = no_grad(|| self.images(&gradient, &size))?;
            // Each image has its share in the mean.
            let images = if self.ave_spectrum { size[0] } else { 1 };
            loss = with_gradient(&loss, &wide, &gradient, 2.0 * factor / images as f64)?;
        }
        Ok(loss.f_to_kind(input.kind())?)
    }
}
