//! How much information the pixels around a place have: the weights of
//! [`InformationWeightedSsimLoss`](super::InformationWeightedSsimLoss).
//!
//! The model: a patch of the target is Gaussian, with the covariance `C` of all patches, times a factor `s` of its own.
//! The input is the patch with a gain `g` and noise of the variance `v`. Both are seen with noise of the variance `n`.
//!
//! ```text
//! s      = y' C⁻¹ y / K                       y: the patch's K pixels
//! weight = Σ log2(1 + ((v + (1 + g²) n) s λ + n v) / n²)     over the eigenvalues λ of C
//! ```

use tch::{no_grad, Kind, Tensor};

use crate::base::image::window::Window;
use crate::Result;

/// The options of the model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model {
    /// The side of a patch, odd.
    pub(super) side: i64,
    /// `n`.
    pub(super) noise: f64,
}

impl Model {
    /// The weights at all places where a patch lies within the image, `[N, 1, H - side + 1, W - side + 1]`. `parent` is
    /// an image of the target's size, whose pixel in the middle belongs to the patch, too.
    pub(super) fn weights(&self, input: &Tensor, target: &Tensor, parent: Option<&Tensor>) -> Result<Tensor> {
        let eps = epsilon(input.kind());
        let (gain, variance) = self.gain_and_variance(input, target, eps)?;
        let patches = self.patches(target, parent)?;
        let (eigenvalues, scale) = spectrum_and_scales(&patches)?;
        let size = gain.size();
        let scale = scale.f_view([size[0], 1, size[2], size[3]])?;
        let eigenvalues = eigenvalues.f_view([size[0], -1, 1, 1])?;
        let noise = self.noise;
        let signal =
            gain.f_square()?.f_add_scalar(1.0)?.f_mul_scalar(noise)?.f_add(&variance)?.f_mul(&scale)?;
        let ratio = signal
            .f_mul(&eigenvalues)?
            .f_add(&variance.f_mul_scalar(noise)?)?
            .f_mul_scalar(1.0 / (noise * noise))?;
        let weights = ratio.f_add_scalar(1.0)?.f_log2()?;
        let weights = weights.f_sum_dim_intlist([1i64].as_slice(), true, input.kind())?;
        Ok(weights.f_masked_fill(&weights.f_lt(eps)?, 0.0)?)
    }

    /// `g` and `v`.
    fn gain_and_variance(&self, input: &Tensor, target: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
        let window = Window::uniform(self.side);
        let planes = [
            input.shallow_clone(),
            target.shallow_clone(),
            input.f_square()?,
            target.f_square()?,
            input.f_mul(target)?,
        ];
        let sums = window.sums(&Tensor::f_cat(&planes, 1)?)?;
        let sum = |index: i64| sums.f_narrow(1, index, 1);
        let (mean_x, mean_y) = (sum(0)?, sum(1)?);
        let variance_x = sum(2)?.f_sub(&mean_x.f_square()?)?.f_relu()?;
        let variance_y = sum(3)?.f_sub(&mean_y.f_square()?)?.f_relu()?;
        let covariance = sum(4)?.f_sub(&mean_x.f_mul(&mean_y)?)?;
        let gain = covariance.f_div(&variance_y.f_add_scalar(eps)?)?;
        let unexplained = variance_x.f_sub(&gain.f_mul(&covariance)?)?;
        let (flat_x, flat_y) = (variance_x.f_lt(eps)?, variance_y.f_lt(eps)?);
        let variance = variance_x.f_where_self(&flat_y, &unexplained)?.f_masked_fill(&flat_x, 0.0)?;
        let gain = gain.f_masked_fill(&flat_y.f_logical_or(&flat_x)?, 0.0)?;
        // Rounding alone makes it negative.
        Ok((gain, variance.f_clamp_min(0.0)?))
    }

    /// The patches as columns, `[N, K, places]`.
    fn patches(&self, target: &Tensor, parent: Option<&Tensor>) -> Result<Tensor> {
        let size = target.size();
        let (height, width) = (size[2] - self.side + 1, size[3] - self.side + 1);
        let from = |image: &Tensor, row: i64, column: i64| -> Result<Tensor> {
            Ok(image.f_narrow(2, row, height)?.f_narrow(3, column, width)?)
        };
        let mut pixels = Vec::new();
        for row in 0..self.side {
            for column in 0..self.side {
                pixels.push(from(target, row, column)?);
            }
        }
        if let Some(parent) = parent {
            pixels.push(from(parent, self.side / 2, self.side / 2)?);
        }
        Ok(Tensor::f_cat(&pixels, 1)?.f_flatten(2, 3)?)
    }
}

/// The eigenvalues `[N, K]` of the patches' covariance, and `s` of each patch, `[N, places]`.
///
/// The gradient of an eigenvector is infinite where two eigenvalues are equal, as they are in flat images. None is
/// needed: the eigenvalues' gradients take the vectors as constants, and so does that of the inverse,
/// `d C⁻¹ = -C⁻¹ dC C⁻¹`.
///
/// Flat images have a covariance without an inverse. What of it is rounding alone counts as 0, in its inverse as well:
/// patches have no part there.
fn spectrum_and_scales(patches: &Tensor) -> Result<(Tensor, Tensor)> {
    let size = patches.size();
    let [_, pixels, places] = size[..] else { unreachable!("patches have three dimensions") };
    let covariance = patches.f_matmul(&patches.f_transpose(1, 2)?)?.f_div_scalar(places as f64)?;
    let constant = covariance.f_detach()?;
    let (vectors, inverse) = no_grad(|| -> Result<_> {
        // The decomposition refuses what is not finite. The loss shows it all the same, by the patches.
        let (values, vectors) = constant.f_nan_to_num(0.0, 0.0, 0.0)?.f_linalg_eigh("L")?;
        let largest = values.f_narrow(1, pixels - 1, 1)?;
        let kind = values.kind();
        let rounding = largest.f_mul_scalar(pixels as f64 * epsilon(kind))?.f_clamp_min(least(kind))?;
        let reciprocal = values.f_reciprocal()?.f_masked_fill(&values.f_le_tensor(&rounding)?, 0.0)?;
        let inverse = vectors.f_mul(&reciprocal.f_unsqueeze(1)?)?.f_matmul(&vectors.f_transpose(1, 2)?)?;
        Ok((vectors, inverse))
    })?;
    let eigenvalues = covariance.f_matmul(&vectors)?.f_mul(&vectors)?;
    let eigenvalues = eigenvalues.f_sum_dim_intlist([1i64].as_slice(), false, patches.kind())?;
    // 0, with a gradient.
    let change = covariance.f_sub(&constant)?;
    let inverse = inverse.f_sub(&inverse.f_matmul(&change)?.f_matmul(&inverse)?)?;
    let scales = inverse.f_matmul(patches)?.f_mul(patches)?.f_mul_scalar(1.0 / pixels as f64)?;
    let scales = scales.f_sum_dim_intlist([1i64].as_slice(), false, patches.kind())?;
    Ok((eigenvalues.f_clamp_min(0.0)?, scales))
}

/// The distance from 1 to the next number.
fn epsilon(kind: Kind) -> f64 {
    match kind {
        Kind::Double => f64::EPSILON,
        _ => f64::from(f32::EPSILON),
    }
}

/// A number whose square and the square of whose reciprocal the kind holds.
fn least(kind: Kind) -> f64 {
    match kind {
        Kind::Double => f64::MIN_POSITIVE.sqrt(),
        _ => f64::from(f32::MIN_POSITIVE).sqrt(),
    }
}
