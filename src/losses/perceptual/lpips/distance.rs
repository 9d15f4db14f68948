//! How LPIPS compares the features at a tap.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::super::comparison::{sum_of_images, Comparison, Other};
use crate::base::gradient::pieces;
use crate::base::image::sqrt;
use crate::base::precision::{accumulation_kind, smallest_normal};
use crate::Result;

/// What [`Lpips`](crate::Lpips) divides the features of a pixel by: their norm over the channels, and a small number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LpipsNorm {
    /// `√Σf² + 1e-10`, of lpips and piq.
    #[default]
    Original,
    /// `√(Σf² + 1e-8)`, of torchmetrics. Pixels with small features count less.
    Torchmetrics,
}

const ORIGINAL_EPS: f64 = 1e-10;
const TORCHMETRICS_EPS: f64 = 1e-8;

/// So many features at a time take part in a comparison: three tensors of that size stay in a core's cache.
const AT_A_TIME: i64 = 1 << 17;

/// For each pixel `Σ w (f̂ - ĝ)²` over the channels, of features divided by their norm.
///
/// Norms, differences and sums are computed in f32 at least: squares of f16 overflow.
pub(super) struct ChannelDistance {
    /// `[1, C, 1, 1]`, of the weights of the channels, in [`accumulation_kind`] of the network's kind.
    root: Tensor,
    norm: LpipsNorm,
}

/// What the closed form needs of the norms of features, `[N, 1, h, w]`.
struct Factors {
    /// 1 / norm; 0 where there are no features at all.
    inverse: Tensor,
    /// The derivative of `-f̂` with respect to `f`, along `f`, is this times `f̂` and `f`.
    back: Tensor,
}

impl ChannelDistance {
    /// For the weights `[C]` of the channels, none of which is negative.
    pub(super) fn new(weight: &Tensor, norm: LpipsNorm) -> Result<ChannelDistance> {
        Ok(ChannelDistance { root: weight.f_sqrt()?.f_view([1i64, -1, 1, 1].as_slice())?, norm })
    }

    /// The features by their norm, in libtorch's graph. The gradient where all are 0 is 0.
    fn normalized(&self, features: &Tensor) -> Result<Tensor> {
        let squares = features.f_square()?.f_sum_dim_intlist([1i64].as_slice(), true, features.kind())?;
        Ok(match self.norm {
            LpipsNorm::Original => {
                // Without the mask, 1 / 1e-10 would be the slope where a pixel has no features at all.
                let inverse = sqrt(&squares)?.f_add_scalar(ORIGINAL_EPS)?.f_reciprocal()?;
                features.f_mul(&inverse.f_mul(&squares.f_gt(0.0)?.f_to_kind(features.kind())?)?)?
            }
            LpipsNorm::Torchmetrics => features.f_div(&squares.f_add_scalar(TORCHMETRICS_EPS)?.f_sqrt()?)?,
        })
    }

    /// `w (f̂ - ĝ)²`, in libtorch's graph.
    fn elements(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(own.kind());
        let (own, other) =
            (self.normalized(&own.f_to_kind(kind)?)?, self.normalized(&other.f_to_kind(kind)?)?);
        Ok(own.f_sub(&other)?.f_mul(&self.root)?.f_square()?)
    }

    fn factors(&self, features: &Tensor) -> Result<Factors> {
        let norm = channel_norm(features)?;
        Ok(match self.norm {
            LpipsNorm::Original => {
                let has_features = norm.f_gt(0.0)?.f_to_kind(norm.kind())?;
                let inverse = norm.f_add_scalar(ORIGINAL_EPS)?.f_reciprocal()?.f_mul_(&has_features)?;
                let back = inverse.f_div(&norm.f_clamp_min(smallest_normal(norm.kind()))?)?;
                Factors { inverse, back }
            }
            LpipsNorm::Torchmetrics => {
                let inverse = norm.f_square()?.f_add_scalar_(TORCHMETRICS_EPS)?.f_rsqrt()?;
                let back = inverse.f_square()?;
                Factors { inverse, back }
            }
        })
    }

    /// The numbers `[N]` of features. With a `share` it leaves the slope in `work`, which may be `other`.
    fn compare(&self, own: &Tensor, other: &Tensor, mut work: Tensor, share: Option<f64>) -> Result<Tensor> {
        let Factors { inverse, back } = self.factors(own)?;
        let mut unit = own.f_mul(&inverse)?;
        let _ = other.f_mul_out(&work, &self.factors(other)?.inverse)?;
        // √w (ĝ - f̂)
        let _ = work.f_sub_(&unit)?.f_mul_(&self.root)?;
        let sums = sum_of_images(&channel_norm(&work)?.f_square_()?)?;
        let Some(share) = share else { return Ok(sums) };
        // Σ w (ĝ - f̂) f̂: what of the slope only makes the features longer.
        let along = channel_product(&unit.f_mul_(&work)?, &self.root)?.f_mul_(&back)?;
        let _ = work.f_mul_(&self.root)?.f_mul_(&inverse.f_mul_scalar(-2.0 * share)?)?;
        let _ = work.f_addcmul_(own, &along.f_mul_scalar(2.0 * share)?)?;
        Ok(sums)
    }
}

impl Comparison for ChannelDistance {
    fn count(&self, feature_size: &[i64]) -> f64 {
        (feature_size[2] * feature_size[3]) as f64
    }

    fn sums(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        sum_of_images(&self.elements(own, other)?)
    }

    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)> {
        let kind = accumulation_kind(own.kind());
        let is_free = other.is_free || other.features.kind() != kind;
        let (own, other) = (own.f_to_kind(kind)?, other.features.f_to_kind(kind)?);
        let work = if is_free { other.shallow_clone() } else { other.f_empty_like()? };
        let [count, channels, height, width] = own.size()[..] else {
            unreachable!("features have four dimensions")
        };
        let rows = match own.device() {
            Device::Cpu => (AT_A_TIME / (count * channels * width).max(1)).max(1),
            _ => height,
        };
        let mut sums: Option<Tensor> = None;
        for (row, rows) in pieces(height, rows) {
            let [own, other, work] = [&own, &other, &work].map(|features| features.f_narrow(2, row, rows));
            let part = self.compare(&own?, &other?, work?, share)?;
            sums = Some(match sums {
                Some(mut sums) => sums.f_add_(&part)?,
                None => part,
            });
        }
        let sums = match sums {
            Some(sums) => sums,
            None => Tensor::f_zeros([count].as_slice(), (kind, own.device()))?,
        };
        Ok((sums, share.map(|_| work)))
    }

    /// The slopes of features near 0 are as steep as their norm is small.
    fn is_unbounded(&self) -> bool {
        true
    }

    fn map(&self, own: &Tensor, other: &Tensor) -> Result<Option<Tensor>> {
        let elements = self.elements(own, other)?;
        Ok(Some(elements.f_sum_dim_intlist([1i64].as_slice(), true, elements.kind())?))
    }

    fn enlarged(&self, map: &Tensor, size: &[i64]) -> Result<Tensor> {
        Ok(map.f_upsample_bilinear2d(size, false, None, None)?)
    }
}

/// The norm over the channels, `[N, 1, h, w]`.
fn channel_norm(features: &Tensor) -> Result<Tensor> {
    Ok(features.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?)
}

/// The sum over the channels of features times `factors`, `[N, 1, h, w]`.
fn channel_product(features: &Tensor, factors: &Tensor) -> Result<Tensor> {
    let last = features.f_permute([0i64, 2, 3, 1].as_slice())?;
    // libtorch's autocast would round the factors.
    let product = tch::autocast(false, || last.f_matmul(&factors.f_flatten(0, -1)?))?;
    Ok(product.f_unsqueeze(1)?)
}

#[cfg(test)]
mod tests {
    use tch::{no_grad, Device, Kind, Tensor};

    use super::super::super::comparison::{Comparison, Other};
    use super::{ChannelDistance, LpipsNorm};

    const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

    /// The closed form against libtorch's graph, on features as a ReLU leaves them, with pixels of nothing but zeros
    /// and with small and large norms.
    #[test]
    fn the_slope_is_that_of_the_graph() {
        tch::manual_seed(0);
        for norm in [LpipsNorm::Original, LpipsNorm::Torchmetrics] {
            // The last is compared in three parts. Of a single channel the directions would be equal, and their
            // distance nothing but rounding.
            for [count, channels, height, width] in [[2, 7, 1, 1], [3, 5, 4, 2], [1, 64, 70, 65]] {
                let features = || {
                    let sizes = Tensor::randn([count, 1, height, width], DOUBLE) * 4.0;
                    let directions = Tensor::randn([count, channels, height, width], DOUBLE).relu();
                    let has_features = Tensor::rand([count, 1, height, width], DOUBLE).gt(0.2);
                    directions * sizes.exp() * has_features
                };
                let weight = Tensor::rand([channels], DOUBLE);
                let distance = ChannelDistance::new(&weight, norm).unwrap();
                let (own, other) = (features().set_requires_grad(true), features());
                let expected = distance.sums(&own, &other).unwrap();
                let total = expected.sum(Kind::Double) * 0.25;
                let slope = Tensor::run_backward(&[total], &[&own], false, false).remove(0);
                // Channels first and last in memory, with features that have to stay as they are or not.
                for (last, is_free) in [(false, false), (true, false), (false, true), (true, true)] {
                    let in_memory = |tensor: &Tensor| {
                        let order = if last { [0i64, 2, 3, 1] } else { [0, 1, 2, 3] };
                        let back = if last { [0i64, 3, 1, 2] } else { [0, 1, 2, 3] };
                        tensor.detach().permute(order).copy().permute(back)
                    };
                    let (own, given) = (in_memory(&own), in_memory(&other));
                    let piece = Other { features: given.shallow_clone(), is_free, statistics: None };
                    let (sums, found) = no_grad(|| distance.piece(&own, piece, Some(0.25))).unwrap();
                    let close = |own: &Tensor, expected: &Tensor| {
                        let error = (own - expected).abs().max().double_value(&[]);
                        let largest = expected.abs().max().double_value(&[]);
                        // Sums of thousands of numbers in f64.
                        assert!(error <= 1e-12 * largest, "{norm:?} {channels}: {error} of {largest}");
                    };
                    close(&sums, &expected.detach());
                    close(&found.unwrap(), &slope);
                    assert!(is_free || given == other);
                }
            }
        }
    }
}
