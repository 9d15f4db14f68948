//! Losses that are 1 minus a score.

use tch::{Kind, Tensor};

use crate::base::reduction::reduce;
use crate::{Reduction, Result};

/// `1 - clamp(score, 0, 1)` of the scores `[N]` of images, in `kind`. With the reduction mean, it is the mean of the
/// scores that is clamped, as in piq. A sum is that of the images' losses.
pub(crate) fn loss_of_clamped(scores: &Tensor, reduction: Reduction, kind: Kind) -> Result<Tensor> {
    let loss_of =
        |scores: &Tensor| -> Result<Tensor> { Ok(scores.f_clamp(0.0, 1.0)?.f_neg()?.f_add_scalar(1.0)?) };
    match reduction {
        Reduction::Mean => Ok(loss_of(&scores.f_mean(None)?)?.f_to_kind(kind)?),
        _ => reduce(&loss_of(scores)?, reduction, kind),
    }
}
