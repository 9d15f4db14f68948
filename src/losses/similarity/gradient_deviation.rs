//! How unevenly two images differ in their gradient magnitudes: what GMSD measures on each of its scales.

use tch::Tensor;

use super::gradient_magnitude::{Lengths, Operator};
use crate::Result;

/// The deviation of the dissimilarity
///
/// ```text
/// d = 1 - ((2 - masking) ab + constant) / (a² + b² - masking ab + constant)
///   = (a - b)² / (a² + b² - masking ab + constant)
/// ```
///
/// of gradient magnitudes a and b, by Prewitt's kernels. That of the similarity `1 - d` is the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct GradientDeviation {
    pub(super) constant: f64,
    pub(super) masking: f64,
}

const PIXELS: &[i64] = &[1, 2, 3];

impl GradientDeviation {
    /// What [`dissimilarity`](Self::dissimilarity) compares of planes `[N, 1, H, W]`.
    pub(super) fn filter(plane: &Tensor) -> Result<[Tensor; 2]> {
        Operator::Prewitt.gradients(plane)
    }

    /// `d` for the gradients of both planes.
    pub(super) fn dissimilarity(self, input: [&Tensor; 2], target: [&Tensor; 2]) -> Result<Tensor> {
        let scale = Operator::Prewitt.scale();
        Lengths::of(input)?.dissimilarity(
            &Lengths::of(target)?,
            self.constant / (scale * scale),
            self.masking,
        )
    }

    /// The mean squared deviation from the mean, for each image: `[N]`.
    pub(super) fn variance(self, input: [&Tensor; 2], target: [&Tensor; 2]) -> Result<Tensor> {
        let map = self.dissimilarity(input, target)?;
        let mean = map.f_mean_dim(PIXELS, true, map.kind())?;
        Ok(map.f_sub(&mean)?.f_square()?.f_mean_dim(PIXELS, false, map.kind())?)
    }
}
