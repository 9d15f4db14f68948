//! How features are compared at a tap.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::precision::{accumulation_kind, channel_mean};
use crate::Result;

/// A comparison of the features of two batches at one tap.
///
/// Its value is a sum over the images, divided by [`count`](Self::count). So a batch can be compared in
/// pieces.
pub(super) trait Comparison {
    /// What the sum over the images of a whole batch is divided by, for features of this size.
    fn count(&self, feature_size: &[i64]) -> f64;

    /// The value for whole batches, in libtorch's graph.
    fn value(&self, own: &Tensor, other: &Tensor) -> Result<Tensor>;

    /// The sum over the images of a piece, without a graph. With a `share` also the gradient of `share` times
    /// that sum with respect to `own`.
    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)>;

    /// Whether gradients can be of any magnitude. If not, they are at most 1 before the `share`.
    fn is_unbounded(&self) -> bool;

    /// Where in the features the value comes from, `[N, 1, h, w]`.
    fn map(&self, own: &Tensor, other: &Tensor) -> Result<Tensor>;
}

/// The target's features of a piece.
pub(super) struct Other {
    pub features: Tensor,
    /// Whether nothing else needs them, so that they may be overwritten.
    pub is_free: bool,
}

/// How two feature maps are compared, by the mean over all their elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureCriterion {
    /// `mean(|a - b|)`
    #[default]
    L1,
    /// `mean((a - b)²)`
    Mse,
}

impl FeatureCriterion {
    /// What the mean is taken of, from the differences.
    fn elements(self, differences: &Tensor) -> Result<Tensor> {
        Ok(match self {
            FeatureCriterion::L1 => differences.f_abs()?,
            FeatureCriterion::Mse => differences.f_square()?,
        })
    }

    /// The same for two feature maps, in f32 at least.
    fn wide_elements(self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(own.kind());
        self.elements(&own.f_to_kind(kind)?.f_sub(&other.f_to_kind(kind)?)?)
    }
}

impl Comparison for FeatureCriterion {
    fn count(&self, feature_size: &[i64]) -> f64 {
        feature_size.iter().product::<i64>() as f64
    }

    fn value(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        Ok(self.wide_elements(own, other)?.f_mean(None)?)
    }

    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)> {
        let wide = accumulation_kind(own.kind());
        let kind = match self {
            // Rounding neither turns the sign of a difference nor shifts the sum of millions.
            FeatureCriterion::L1 => own.kind(),
            FeatureCriterion::Mse => wide,
        };
        let (own, mut features) = (own.f_to_kind(kind)?, other.features.f_to_kind(kind)?);
        // In place where possible: new memory for every difference would leave holes in the heap.
        let mut difference = if other.is_free { features.f_sub_(&own)? } else { features.f_sub(&own)? };
        let sum = self.elements(&difference)?.f_sum(wide)?;
        let slope = match (share, self) {
            (None, _) => None,
            (Some(share), FeatureCriterion::L1) => Some(difference.f_sgn_()?.f_mul_scalar_(-share)?),
            (Some(share), FeatureCriterion::Mse) => Some(difference.f_mul_scalar_(-2.0 * share)?),
        };
        Ok((sum, slope))
    }

    fn is_unbounded(&self) -> bool {
        *self == FeatureCriterion::Mse
    }

    fn map(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        channel_mean(&self.wide_elements(own, other)?)
    }
}
