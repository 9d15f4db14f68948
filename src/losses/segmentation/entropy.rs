//! Cross entropy beside a loss on overlaps.

use tch::Tensor;

use super::dice_ce::not_zero;
use super::mode::{Places, Truth};
use crate::losses::classification::class_entropy::counting;
use crate::Result;

/// The mean cross entropy of classes, times a factor. It has the soft-max of the loss that it is beside.
pub(super) struct Entropy {
    pub factor: f64,
}

/// The classes of places that have one each, `[N, 1, P]`.
fn classes_of(places: &Places) -> Result<Tensor> {
    let Truth::Classes(classes) = &places.truth else { unreachable!("the entropy is that of classes") };
    Ok(classes.f_unsqueeze(1)?)
}

impl Entropy {
    /// What the mean's sum is divided by, over the factor.
    pub fn divisor(&self, places: &Places) -> Result<Tensor> {
        let count = match &places.counted {
            Some(counted) => counted.f_sum(None)?,
            None => {
                let options = (places.input.kind(), places.input.device());
                Tensor::f_full([0i64; 0].as_slice(), classes_of(places)?.numel() as i64, options)?
            }
        };
        Ok(not_zero(&count)?.f_div_scalar(self.factor)?)
    }

    /// The sum over a piece of the places, of which these are the probabilities.
    pub fn sum(probabilities: &Tensor, piece: &Places) -> Result<Tensor> {
        let largest = |tensor: &Tensor| tensor.f_amax([1i64].as_slice(), true);
        let scores = piece.input.f_gather(1, &classes_of(piece)?, false)?;
        // `log p`: the largest score has exp(0) over the sum of all.
        let logs = { scores }.f_sub_(&largest(&piece.input)?)?.f_add_(&largest(probabilities)?.f_log_()?)?;
        let sum = match &piece.counted {
            Some(counted) => counting(&logs, counted)?.f_sum(None)?,
            None => logs.f_sum(None)?,
        };
        Ok(sum.f_neg()?)
    }

    /// The slopes of the sum over `divisor`. The piece has its classes, or their labels.
    pub fn slopes(probabilities: &Tensor, piece: &Places, divisor: &Tensor) -> Result<Tensor> {
        let share = divisor.f_reciprocal()?;
        let mut slopes = match &piece.truth {
            Truth::Values(labels) => probabilities.f_sub(labels)?.f_mul_(&share)?,
            Truth::Classes(_) => {
                let classes = classes_of(piece)?;
                let of_truth = share.f_neg()?.f_expand_as(&classes)?;
                probabilities.f_mul(&share)?.f_scatter_add_(1, &classes, &of_truth)?
            }
        };
        if let Some(counted) = &piece.counted {
            slopes = slopes.f_mul_(counted)?;
        }
        Ok(slopes)
    }
}
