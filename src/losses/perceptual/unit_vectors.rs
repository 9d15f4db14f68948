//! Comparisons of features whose channels are scaled to unit length.

use tch::Tensor;

use super::comparison::{AcrossImages, Comparison, Other};
use crate::base::image::sqrt;
use crate::base::precision::accumulation_kind;
use crate::Result;

/// What piq adds to the length of a vector.
const EPS: f64 = 1e-10;

/// A comparison of `f / (‖f‖ + 1e-10)` in place of the features `f`, for the norm over the channels at each position.
pub(super) struct UnitVectors<'a>(pub &'a dyn Comparison);

/// Features of unit length, in f32 at least, the lengths that they had, and what they were multiplied by: `[N, 1, H, W]`.
fn of_unit_length(features: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    let features = features.f_to_kind(accumulation_kind(features.kind()))?;
    let squares = features.f_square()?.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
    let lengths = sqrt(&squares)?;
    // Without the mask, 1 / EPS would be the slope where there are no features at all: beside it, f16 has no others.
    let has_features = squares.f_gt(0.0)?.f_to_kind(squares.kind())?;
    let inverse = lengths.f_add_scalar(EPS)?.f_reciprocal()?.f_mul(&has_features)?;
    Ok((features.f_mul(&inverse)?, lengths, inverse))
}

impl Comparison for UnitVectors<'_> {
    fn count(&self, feature_size: &[i64]) -> f64 {
        self.0.count(feature_size)
    }

    fn sums(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        self.0.sums(&of_unit_length(own)?.0, &of_unit_length(other)?.0)
    }

    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)> {
        let (own, lengths, inverse) = of_unit_length(own)?;
        let features = of_unit_length(&other.features)?.0;
        let others = Other { features, is_free: true, statistics: None };
        let (sums, slope) = self.0.piece(&own, others, share)?;
        // For u = f / d and d = ‖f‖ + eps, the slope s of u becomes (s - u (s·u) d / ‖f‖) / d.
        let of_features = |mut slope: Tensor| -> Result<Tensor> {
            let along = slope.f_mul(&own)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
            let along = along.f_mul(&lengths.f_add_scalar(EPS)?)?.f_div(&lengths)?;
            Ok(slope.f_sub_(&own.f_mul(&along)?)?.f_mul_(&inverse)?)
        };
        Ok((sums, slope.map(of_features).transpose()?))
    }

    fn across_images(&self) -> AcrossImages {
        self.0.across_images()
    }

    /// Vectors of nearly no length turn by any angle.
    fn is_unbounded(&self) -> bool {
        true
    }

    fn map(&self, own: &Tensor, other: &Tensor) -> Result<Option<Tensor>> {
        self.0.map(&of_unit_length(own)?.0, &of_unit_length(other)?.0)
    }
}
