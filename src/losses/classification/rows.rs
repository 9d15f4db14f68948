//! Losses of scores `[N, C, ...]` that depend on all classes of a place.

use tch::Tensor;

use crate::base::gradient::Wanted;
use crate::base::pointwise::sum_of_places;
use crate::base::precision::accumulation_kind;
use crate::{Reduction, Result};

/// What [`reduced`] needs to know of a loss.
pub(in crate::losses) trait Rows {
    /// The losses of the places `[N, ...]`. Works in libtorch's graph and without.
    fn places(&self, input: &Tensor, constants: &[Tensor]) -> Result<Tensor>;

    /// The sum of the losses, and its slopes with respect to `input`. Behind the classes, it has one axis at most.
    fn sum_and_slopes(&self, input: &Tensor, constants: &[Tensor]) -> Result<(Tensor, Tensor)>;
}

/// A soft-max over the classes, and what its logarithms are: `log p = shifted + largest`.
///
/// No exponential is taken twice, and those sums keep the digits of probabilities too small for their kind.
pub(in crate::losses) struct Softened {
    /// The scores less the largest of their place.
    pub shifted: Tensor,
    pub probabilities: Tensor,
    /// The logarithm of the largest probability of each place.
    pub largest: Tensor,
}

impl Softened {
    pub fn of(scores: &Tensor) -> Result<Softened> {
        let shifted = scores.f_sub(&scores.f_amax([1i64].as_slice(), true)?)?;
        let probabilities = shifted.f_softmax(1, None)?;
        // The largest is exp(0) over the sum of all.
        let largest = probabilities.f_amax([1i64].as_slice(), true)?.f_log_()?;
        Ok(Softened { shifted, probabilities, largest })
    }
}

/// The sum over the classes.
pub(in crate::losses) fn over_classes(scores: &Tensor, keep: bool) -> Result<Tensor> {
    Ok(scores.f_sum_dim_intlist([1i64].as_slice(), keep, None)?)
}

/// The reduced loss of scores `[C]` or `[N, C, ...]`, in f32 at least. The constants belong to the samples; a single
/// sample has constants without a batch.
pub(in crate::losses) fn reduced(
    loss: &dyn Rows,
    input: &Tensor,
    constants: &[&Tensor],
    reduction: Reduction,
) -> Result<Tensor> {
    let kind = accumulation_kind(input.kind());
    let single = input.dim() == 1;
    let batched = |tensor: &Tensor| -> Result<Tensor> {
        let wide = if tensor.is_floating_point() { tensor.f_to_kind(kind)? } else { tensor.shallow_clone() };
        Ok(if single { wide.f_unsqueeze(0)? } else { wide })
    };
    let scores = batched(input)?.f_contiguous()?;
    let constants = constants.iter().map(|tensor| batched(tensor)).collect::<Result<Vec<Tensor>>>()?;
    let tracked = constants.iter().find(|tensor| tensor.requires_grad());
    let size = scores.size();
    let places = size[0] * size[2..].iter().product::<i64>();
    if reduction == Reduction::None || places == 0 || Wanted::of(&scores, tracked)? != Wanted::InputGradient {
        let losses = loss.places(&scores, &constants)?;
        let losses = if single { losses.f_squeeze_dim(0)? } else { losses };
        return finish(losses, reduction, size[0], input);
    }
    let behind = size.len() as i64 - 2;
    let flat = |tensor: &Tensor| match behind {
        0 | 1 => Ok(tensor.shallow_clone()),
        _ => tensor.f_flatten(tensor.dim() as i64 - behind, -1),
    };
    let constants = constants.iter().map(flat).collect::<std::result::Result<Vec<_>, _>>()?;
    let sum = sum_of_places(&flat(&scores)?, &constants, &|input, constants| {
        loss.sum_and_slopes(input, constants)
    })?;
    let share = match reduction {
        Reduction::Mean => places as f64,
        Reduction::BatchMean => size[0] as f64,
        _ => 1.0,
    };
    Ok(sum.f_div_scalar(share)?.f_to_kind(input.kind())?)
}

/// The reduced losses of places, in `input`'s kind.
pub(super) fn finish(losses: Tensor, reduction: Reduction, batch: i64, input: &Tensor) -> Result<Tensor> {
    let reduced = match reduction {
        Reduction::None => losses,
        Reduction::Mean => losses.f_mean(None)?,
        Reduction::Sum => losses.f_sum(None)?,
        Reduction::BatchMean => losses.f_sum(None)?.f_div_scalar(batch as f64)?,
    };
    Ok(reduced.f_to_kind(input.kind())?)
}
