//! [`PenaltyPoints`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::check;
use crate::base::precision::accumulation_kind;
use crate::{Error, Result};

/// Where a [`GradientPenalty`](crate::GradientPenalty) looks at the discriminator's gradient.
///
/// - **Default**: mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PenaltyPoints {
    /// Between real and fake images: `a real + (1 - a) fake`, with a weight `a` of `[0, 1)` for each sample.
    #[default]
    Mixed,
    /// At the real images. The fake ones are not looked at.
    Real,
    /// At the fake images. The real ones are not looked at.
    Fake,
    /// Beside the real images, as in DRAGAN: `real + a s std(real) u`, with a weight `a` of `[0, 1)` for each sample
    /// and a number `u` of `[0, 1)` for each element. `s` is the option `noise_scale`, and the standard deviation is
    /// one number of the whole batch. The fake images are not looked at.
    #[doc(alias = "DRAGAN")]
    Perturbed,
}

impl PenaltyPoints {
    /// The images of which there is one for each point.
    pub(super) fn images<'a>(self, real: &'a Tensor, fake: &'a Tensor) -> (&'static str, &'a Tensor) {
        match self {
            PenaltyPoints::Fake => ("fake", fake),
            PenaltyPoints::Mixed | PenaltyPoints::Real | PenaltyPoints::Perturbed => ("real", real),
        }
    }

    /// Whether there is a random weight for each sample.
    pub(super) fn has_weights(self) -> bool {
        matches!(self, PenaltyPoints::Mixed | PenaltyPoints::Perturbed)
    }
}

/// One random number of `[0, 1)` for each sample.
pub(super) fn random_weights(images: &Tensor) -> Result<Tensor> {
    let kind = accumulation_kind(images.kind());
    Ok(Tensor::f_rand(one_for_each_sample(images), (kind, images.device()))?)
}

/// One random number of `[0, 1)` for each element.
pub(super) fn random_noise(images: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_rand(images.size(), (accumulation_kind(images.kind()), images.device()))?)
}

fn one_for_each_sample(images: &Tensor) -> Vec<i64> {
    let mut shape = vec![1; images.dim()];
    shape[0] = images.size()[0];
    shape
}

/// Weights `[N]` or `[N, 1, ...]` in a kind, so that they broadcast to the images.
pub(super) fn broadcast_weights(weights: &Tensor, images: (&'static str, &Tensor)) -> Result<Tensor> {
    check::floating("weights", weights)?;
    check::same_device(images, ("weights", weights))?;
    let (name, images) = images;
    let (given, batch) = (weights.size(), images.size()[0]);
    if given.first() != Some(&batch) || given[1..].iter().any(|size| *size != 1) {
        let expected = format!("[{batch}] or [{batch}, 1, ...], a number for each sample of `{name}`");
        return Err(Error::Shape { argument: "weights", given, expected });
    }
    let kind = accumulation_kind(images.kind());
    Ok(weights.f_reshape(one_for_each_sample(images))?.f_to_kind(kind)?)
}

/// Noise of the shape of the images.
pub(super) fn matching_noise(noise: &Tensor, images: (&'static str, &Tensor)) -> Result<Tensor> {
    check::floating("noise", noise)?;
    check::same_device(images, ("noise", noise))?;
    check::same_shape(images, ("noise", noise))?;
    Ok(noise.f_to_kind(accumulation_kind(images.1.kind()))?)
}
