//! How unevenly two images differ in their gradient magnitudes: what GMSD measures on each of its scales.

use tch::Tensor;

use super::gradient_magnitude::Operator;
use crate::base::image;
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
    /// `d` for planes `[N, 1, H, W]`.
    pub(super) fn dissimilarity(self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (a, b) = (Operator::Prewitt.magnitude(input)?, Operator::Prewitt.magnitude(target)?);
        let mut denominator = a.f_square()?.f_add(&b.f_square()?)?;
        if self.masking != 0.0 {
            denominator = denominator.f_sub(&a.f_mul(&b)?.f_mul_scalar(self.masking)?)?;
        }
        Ok(a.f_sub(&b)?.f_square()?.f_div(&denominator.f_add_scalar(self.constant)?)?)
    }

    /// The mean squared deviation from the mean, for each image: `[N]`.
    pub(super) fn variance(self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let map = self.dissimilarity(input, target)?;
        let mean = map.f_mean_dim(PIXELS, true, map.kind())?;
        Ok(map.f_sub(&mean)?.f_square()?.f_mean_dim(PIXELS, false, map.kind())?)
    }

    /// The standard deviation, for each image: `[N]`.
    pub(super) fn deviation(self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        image::sqrt(&self.variance(input, target)?)
    }
}
