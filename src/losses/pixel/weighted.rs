//! Losses whose elements have weights that are an argument of the call.
//!
//! The mean is that of BasicSR: the weighted sum, divided by the sum of the weights. A weight of one channel stands for
//! all channels, and counts for each of them.

use tch::Tensor;

use super::elementwise::difference;
use crate::base::check;
use crate::base::precision::{accumulation_kind, channel_mean};
use crate::{Error, Reduction, Result};

/// Weights of images: `[N, 1, H, W]` or `[N, C, H, W]`.
pub(super) fn check_weight(input: &Tensor, weight: &Tensor) -> Result<()> {
    check::partners(("input", input), ("weight", weight))?;
    let (given, whole) = (weight.size(), input.size());
    let one_channel = [whole[0], 1, whole[2], whole[3]];
    if given != whole && given != one_channel {
        let expected = match whole[1] {
            1 => format!("{whole:?}, the shape of `input`"),
            _ => format!("{whole:?}, the shape of `input`, or {one_channel:?}"),
        };
        return Err(Error::Shape { argument: "weight", given, expected });
    }
    Ok(())
}

/// `input - target` of images with weights, in f32 at least, after the check of all three.
pub(super) fn weighted_difference(input: &Tensor, target: &Tensor, weight: &Tensor) -> Result<Tensor> {
    check::image_pair(input, target)?;
    check_weight(input, weight)?;
    difference(input, target)
}

/// The reduced `elements` `[N, C, H, W]`, in their kind.
pub(super) fn weighted(elements: &Tensor, weight: &Tensor, reduction: Reduction) -> Result<Tensor> {
    let weight = weight.f_to_kind(elements.kind())?;
    let weighted = elements.f_mul(&weight)?;
    Ok(match reduction {
        Reduction::None => weighted,
        Reduction::Mean => weighted.f_sum(None)?.f_div(&total(&weight, elements)?)?,
        Reduction::Sum | Reduction::BatchMean => weighted.f_sum(None)?,
    })
}

/// What the pixels contribute to the weighted mean of `elements`: `[N, 1, H, W]`. Their mean over `pixels` elements is
/// that mean.
pub(super) fn weighted_map(elements: &Tensor, weight: &Tensor, pixels: usize) -> Result<Tensor> {
    let weight = weight.f_to_kind(accumulation_kind(elements.kind()))?;
    let total = total(&weight, elements)?;
    Ok(channel_mean(&elements.f_mul(&weight)?)?.f_mul_scalar(pixels as f64)?.f_div(&total)?)
}

/// The sum of the weights of all `elements`. If it is 0, it is 1: the mean of what has no weight is 0 and not NaN.
fn total(weight: &Tensor, elements: &Tensor) -> Result<Tensor> {
    let repeated = elements.size()[1] / weight.size()[1].max(1);
    let sum = weight.f_sum(None)?.f_mul_scalar(repeated as f64)?;
    Ok(sum.f_add(&sum.f_eq(0.0)?.f_to_kind(sum.kind())?)?)
}
