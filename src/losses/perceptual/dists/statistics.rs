//! The comparison of DISTS: means and variances of each channel.

use tch::Tensor;

use super::weights::{weights, Weights};
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

/// Two maps without their means, and what is known of each channel, `[N, C, 1, 1]`.
struct Centered {
    own: Tensor,
    other: Tensor,
    own_mean: Tensor,
    other_mean: Tensor,
    /// The sum of the variances and [`EPS`].
    variances: Tensor,
    /// `1 - S2`
    texture: Tensor,
}

/// Mean over the places of each channel.
fn mean(map: &Tensor) -> Result<Tensor> {
    Ok(map.f_mean_dim([2i64, 3].as_slice(), true, None)?)
}

impl Centered {
    /// For maps of one kind. If `other` is free, it is overwritten.
    fn new(own: &Tensor, mut other: Tensor, is_free: bool) -> Result<Centered> {
        let (own_mean, other_mean) = (mean(own)?, mean(&other)?);
        let own = own.f_sub(&own_mean)?;
        let other = if is_free { other.f_sub_(&other_mean)? } else { other.f_sub(&other_mean)? };
        let variances = mean(&own.f_square()?)?.f_add(&mean(&other.f_square()?)?)?.f_add_scalar(EPS)?;
        let texture = mean(&own.f_sub(&other)?.f_square()?)?.f_div(&variances)?;
        Ok(Centered { own, other, own_mean, other_mean, variances, texture })
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

    /// The gradient of `share` times the sum over all images, with respect to the first map.
    fn slope(self, Weights { alpha, beta }: &Weights, share: f64) -> Result<Tensor> {
        let size = self.own.size();
        let share = 2.0 * share / (size[2] * size[3]) as f64;
        // Per element of the map, of which a mean has so many.
        let of_mean =
            self.own_mean.f_sub(&self.other_mean)?.f_sub(&self.own_mean.f_mul(&self.structure()?)?)?;
        let of_mean = of_mean.f_mul(alpha)?.f_div(&self.squares()?)?.f_mul_scalar(share)?;
        let of_other = beta.f_div(&self.variances)?.f_mul_scalar(-share)?;
        let of_own = of_other.f_mul(&self.texture.f_sub_scalar(1.0)?)?;
        let Centered { mut own, mut other, .. } = self;
        Ok(own.f_mul_(&of_own)?.f_add_(&other.f_mul_(&of_other)?)?.f_add_(&of_mean)?)
    }
}

impl Comparison for ChannelStatistics {
    /// The weights are all there is to divide by.
    fn count(&self, _feature_size: &[i64]) -> f64 {
        1.0
    }

    fn sums(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(own.kind());
        let centered = Centered::new(&own.f_to_kind(kind)?, other.f_to_kind(kind)?, false)?;
        centered.sums(&weights(self.map, &centered.own)?)
    }

    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)> {
        let kind = accumulation_kind(own.kind());
        let is_free = other.is_free || other.features.kind() != kind;
        let centered = Centered::new(&own.f_to_kind(kind)?, other.features.f_to_kind(kind)?, is_free)?;
        let weights = weights(self.map, &centered.own)?;
        let sums = centered.sums(&weights)?;
        Ok((sums, share.map(|share| centered.slope(&weights, share)).transpose()?))
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
