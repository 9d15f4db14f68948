//! [`FeatureCriterion`].

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::comparison::{sum_of_images, AcrossImages, Comparison, Other};
use crate::base::precision::{accumulation_kind, channel_mean};
use crate::Result;

/// What [`FeatureCriterion::Charbonnier`] adds to the squares: BasicSR's default.
const CHARBONNIER_EPS: f64 = 1e-12;

/// How two feature maps are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureCriterion {
    /// `mean(|a - b|)` over all elements.
    #[default]
    L1,
    /// `mean((a - b)²)` over all elements.
    Mse,
    /// `√Σ(a - b)²` over all elements of the batch: the norm that BasicSR calls `fro`. It is divided by nothing, and
    /// grows with the batch and the size of the images. Its gradient at 0 is 0.
    #[doc(alias = "fro")]
    Frobenius,
    /// `mean(√((a - b)² + 1e-12))` over all elements.
    Charbonnier,
}

impl FeatureCriterion {
    /// What the sum is taken of, from the differences.
    fn elements(self, differences: &Tensor) -> Result<Tensor> {
        Ok(match self {
            FeatureCriterion::L1 => differences.f_abs()?,
            FeatureCriterion::Mse | FeatureCriterion::Frobenius => differences.f_square()?,
            FeatureCriterion::Charbonnier => {
                differences.f_square()?.f_add_scalar_(CHARBONNIER_EPS)?.f_sqrt()?
            }
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
        match self {
            FeatureCriterion::Frobenius => 1.0,
            _ => feature_size[1..].iter().product::<i64>() as f64,
        }
    }

    fn sums(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        sum_of_images(&self.wide_elements(own, other)?)
    }

    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)> {
        let kind = match self {
            // Rounding neither turns the sign of a difference nor shifts the sum of millions.
            FeatureCriterion::L1 => own.kind(),
            _ => accumulation_kind(own.kind()),
        };
        let (own, mut features) = (own.f_to_kind(kind)?, other.features.f_to_kind(kind)?);
        // In place where possible: new memory for every difference would leave holes in the heap.
        let mut difference = if other.is_free { features.f_sub_(&own)? } else { features.f_sub(&own)? };
        let elements = self.elements(&difference)?;
        let sums = sum_of_images(&elements)?;
        let slope = match (share, self) {
            (None, _) => None,
            (Some(share), FeatureCriterion::L1) => {
                let signs = difference.f_sgn_()?;
                // f16 has few digits for smaller numbers, or none.
                let is_small = signs.kind() == Kind::Half && share < 2f64.powi(-14);
                let mut signs = if is_small { signs.f_to_kind(Kind::Float)? } else { signs };
                Some(signs.f_mul_scalar_(-share)?)
            }
            (Some(share), FeatureCriterion::Mse | FeatureCriterion::Frobenius) => {
                Some(difference.f_mul_scalar_(-2.0 * share)?)
            }
            (Some(share), FeatureCriterion::Charbonnier) => {
                Some(difference.f_div_(&elements)?.f_mul_scalar_(-share)?)
            }
        };
        Ok((sums, slope))
    }

    fn across_images(&self) -> AcrossImages {
        match self {
            FeatureCriterion::Frobenius => AcrossImages::Norm,
            _ => AcrossImages::Reduced,
        }
    }

    fn is_unbounded(&self) -> bool {
        matches!(self, FeatureCriterion::Mse | FeatureCriterion::Frobenius)
    }

    /// The channel mean of the elements; none for the norm, which is no mean of anything.
    fn map(&self, own: &Tensor, other: &Tensor) -> Result<Option<Tensor>> {
        match self {
            FeatureCriterion::Frobenius => Ok(None),
            _ => channel_mean(&self.wide_elements(own, other)?).map(Some),
        }
    }
}
