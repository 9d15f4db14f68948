//! Distances between embeddings.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::{Error as _, Unexpected};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tch::Tensor;

use crate::base::precision::is_floating;
use crate::{Result, TripletMarginLoss};

/// The distance of two batches of embeddings, one number for each pair. It is an option of
/// [`TripletMarginWithDistanceLoss`](crate::TripletMarginWithDistanceLoss).
///
/// In an objective's file it is `"pairwise"`, `"cosine"` or `"chebyshev"`. A file cannot hold a custom
/// distance.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::Distance;
///
/// let squared = Distance::custom(|a, b| Ok((a - b).f_square()?.f_sum_dim_intlist([-1i64].as_slice(), false, None)?));
/// let (a, b) = (Tensor::from_slice2(&[[0.0, 0.0]]), Tensor::from_slice2(&[[3.0, 4.0]]));
/// assert_eq!(squared.between(&a, &b)?, Tensor::from_slice(&[25.0]));
/// assert_eq!(Distance::Chebyshev.between(&a, &b)?, Tensor::from_slice(&[4.0]));
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Clone, Default)]
pub enum Distance {
    /// `(Σ (a - b + 1e-6)²)^(1/2)` over the last axis, PyTorch's `nn.PairwiseDistance()`.
    #[default]
    Pairwise,
    /// `1 - cos(a, b)` over the last axis.
    Cosine,
    /// `max |a - b|` over the last axis.
    #[doc(alias = "l_infinity")]
    Chebyshev,
    /// A function of yours; see [`custom`](Self::custom).
    Custom(CustomDistance),
}

/// A distance that is a function.
#[derive(Clone)]
pub struct CustomDistance(Arc<Mutex<Function>>);

type Function = dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + Send;

impl Distance {
    /// A distance of your own, differentiable where gradients are wanted.
    ///
    /// In it, `?` works on tch's fallible operations as well as on this crate's losses.
    pub fn custom(distance: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + 'static) -> Distance {
        Distance::Custom(CustomDistance(Arc::new(Mutex::new(distance))))
    }

    /// The distances between `a` and `b`.
    ///
    /// # Errors
    /// Arguments that libtorch refuses; an error of a custom distance.
    pub fn between(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Distance::Pairwise => {
                let TripletMarginLoss { p, eps, .. } = TripletMarginLoss::default();
                pairwise(a, b, p, eps)?
            }
            Distance::Cosine => Tensor::f_cosine_similarity(a, b, -1, 1e-8)?.f_rsub_scalar(1i64)?,
            Distance::Chebyshev => a.f_sub(b)?.f_abs()?.f_amax([-1i64].as_slice(), false)?,
            Distance::Custom(CustomDistance(function)) => {
                // A function that panicked has nothing that a later call could find broken.
                function.lock().unwrap_or_else(PoisonError::into_inner)(a, b)?
            }
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Distance::Pairwise => "pairwise",
            Distance::Cosine => "cosine",
            Distance::Chebyshev => "chebyshev",
            Distance::Custom(_) => "custom",
        }
    }
}

/// PyTorch's `pairwise_distance`, with a tensor less.
pub(super) fn pairwise(a: &Tensor, b: &Tensor, p: f64, eps: f64) -> Result<Tensor> {
    let mut differences = a.f_sub(b)?;
    differences = match is_floating(differences.kind()) {
        true => differences.f_add_scalar_(eps)?,
        false => differences.f_add_scalar(eps)?,
    };
    Ok(differences.f_norm_scalaropt_dim(p, [-1i64].as_slice(), false)?)
}

/// Custom distances are equal when one is a clone of the other.
impl PartialEq for Distance {
    fn eq(&self, other: &Distance) -> bool {
        match (self, other) {
            (Distance::Custom(own), Distance::Custom(other)) => Arc::ptr_eq(&own.0, &other.0),
            _ => self.name() == other.name(),
        }
    }
}

impl fmt::Debug for Distance {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Debug for CustomDistance {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("custom")
    }
}

impl Serialize for Distance {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Distance::Custom(_) => Err(S::Error::custom("a custom distance cannot be written to a file")),
            named => serializer.serialize_str(named.name()),
        }
    }
}

impl<'de> Deserialize<'de> for Distance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let named = [Distance::Pairwise, Distance::Cosine, Distance::Chebyshev];
        named.into_iter().find(|distance| distance.name() == name).ok_or_else(|| {
            D::Error::invalid_value(Unexpected::Str(&name), &"\"pairwise\", \"cosine\" or \"chebyshev\"")
        })
    }
}
