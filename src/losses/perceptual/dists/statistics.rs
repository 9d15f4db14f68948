//! The comparison of DISTS: means and variances of each channel.

use tch::Tensor;

use super::weights::{weights, Weights};
use crate::base::gradient::{at_once, pieces, PER_THREAD};
use crate::base::precision::accumulation_kind;
use crate::losses::perceptual::comparison::{Comparison, Other};
use crate::Result;

/// What the package adds to numerators and denominators, for means and for variances.
const EPS: f64 = 1e-6;

/// `Σ over channels of  alpha (1 - S1) + beta (1 - S2)`: see [`Dists`](crate::Dists).
///
/// The differences from 1 are computed as such: `1 - S1 = (mx - my)² / (mx² + my² + 1e-6)` and
/// `1 - S2 = var(x - y) / (var x + var y + 1e-6)`. So those of maps that are nearly the same keep their digits.
pub(super) struct ChannelStatistics {
    /// The number of the map: 0 is that of the images, features have numbers from 1.
    pub map: usize,
}

/// What is known of each channel of two maps: `[N, C, 1, 1]`.
struct Moments {
    own_mean: Tensor,
    other_mean: Tensor,
    /// The sum of the variances and [`EPS`].
    variances: Tensor,
    /// `1 - S2`
    texture: Tensor,
}

const PLACES: [i64; 2] = [2, 3];

/// As many rows of a map as stay in the cache while they are worked on. All of them if it is on another device than a CPU.
fn rows_at_once(map: &Tensor) -> i64 {
    let size = map.size();
    at_once(map.device(), size[0] * size[1] * size[3], PER_THREAD / 2)
}

/// A part of a map, its rows from the first number, without its mean.
fn centered(map: &Tensor, mean: &Tensor, (start, length): (i64, i64)) -> Result<Tensor> {
    Ok(map.f_narrow(2, start, length)?.f_sub(mean)?)
}

impl Moments {
    /// For maps of one kind. The means come first: a variance from the mean of squares would lose the digits of flat maps.
    fn new(own: &Tensor, other: &Tensor, rows: i64) -> Result<Moments> {
        let mean = |map: &Tensor| map.f_mean_dim(PLACES.as_slice(), true, None);
        let sum = |map: &Tensor| map.f_sum_dim_intlist(PLACES.as_slice(), true, None);
        let (own_mean, other_mean) = (mean(own)?, mean(other)?);
        let (mut squares, mut differences) = (own_mean.f_zeros_like()?, own_mean.f_zeros_like()?);
        let size = own.size();
        for part in pieces(size[2], rows) {
            let (own, other) = (centered(own, &own_mean, part)?, centered(other, &other_mean, part)?);
            squares = squares.f_add(&sum(&own.f_square()?.f_addcmul(&other, &other)?)?)?;
            differences = differences.f_add(&sum(&own.f_sub(&other)?.f_square()?)?)?;
        }
        let count = (size[2] * size[3]) as f64;
        let variances = squares.f_div_scalar(count)?.f_add_scalar(EPS)?;
        let texture = differences.f_div_scalar(count)?.f_div(&variances)?;
        Ok(Moments { own_mean, other_mean, variances, texture })
    }

    /// `mx² + my² + EPS`
    fn squares(&self) -> Result<Tensor> {
        Ok(self.own_mean.f_square()?.f_add(&self.other_mean.f_square()?)?.f_add_scalar(EPS)?)
    }

    /// `1 - S1`
    fn structure(&self) -> Result<Tensor> {
        Ok(self.own_mean.f_sub(&self.other_mean)?.f_square()?.f_div(&self.squares()?)?)
    }

    fn sums(&self, Weights { alpha, beta }: &Weights) -> Result<Tensor> {
        let weighted = self.structure()?.f_mul(alpha)?.f_add(&self.texture.f_mul(beta)?)?;
        Ok(weighted.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, None)?)
    }

    /// The gradient of `share` times the sum over all images, with respect to `own`. It takes the place of `other`.
    fn slope(
        &self,
        own: &Tensor,
        other: Tensor,
        Weights { alpha, beta }: &Weights,
        share: f64,
    ) -> Result<Tensor> {
        let size = own.size();
        // A mean has so many elements.
        let share = 2.0 * share / (size[2] * size[3]) as f64;
        let of_mean =
            self.own_mean.f_sub(&self.other_mean)?.f_sub(&self.own_mean.f_mul(&self.structure()?)?)?;
        let of_mean = of_mean.f_mul(alpha)?.f_div(&self.squares()?)?.f_mul_scalar(share)?;
        let of_other = beta.f_div(&self.variances)?.f_mul_scalar(-share)?;
        let of_own = of_other.f_mul(&self.texture.f_sub_scalar(1.0)?)?;
        for part in pieces(size[2], rows_at_once(own)) {
            let mut own = centered(own, &self.own_mean, part)?;
            let mut other = other.f_narrow(2, part.0, part.1)?;
            let mut slope = other.f_sub_(&self.other_mean)?.f_mul_(&of_other)?;
            // Two products that are both rounded: those of equal maps cancel.
            let _ = slope.f_add_(&own.f_mul_(&of_own)?)?.f_add_(&of_mean)?;
        }
        Ok(other)
    }
}

impl Comparison for ChannelStatistics {
    /// The weights are all there is to divide by.
    fn count(&self, _feature_size: &[i64]) -> f64 {
        1.0
    }

    fn sums(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(own.kind());
        let (own, other) = (own.f_to_kind(kind)?, other.f_to_kind(kind)?);
        Moments::new(&own, &other, i64::MAX)?.sums(&weights(self.map, &own)?)
    }

    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)> {
        let kind = accumulation_kind(own.kind());
        let is_free = other.is_free || other.features.kind() != kind;
        let (own, mut other) = (own.f_to_kind(kind)?, other.features.f_to_kind(kind)?);
        let moments = Moments::new(&own, &other, rows_at_once(&own))?;
        let weights = weights(self.map, &own)?;
        let sums = moments.sums(&weights)?;
        let Some(share) = share else { return Ok((sums, None)) };
        if !is_free {
            let mut copied = other.f_empty_like()?;
            copied.f_copy_(&other)?;
            other = copied;
        }
        Ok((sums, Some(moments.slope(&own, other, &weights, share)?)))
    }

    /// Where a map is flat, its slopes are as steep as 1 / EPS.
    fn is_unbounded(&self) -> bool {
        true
    }

    /// Statistics of whole maps have no place.
    fn map(&self, _own: &Tensor, _other: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}
