//! The Lovász extension of the Jaccard index.

use tch::Tensor;

use crate::Result;

/// The Lovász extension of the Jaccard loss at `errors` `[..., P]`, for the labels `[..., P]` 0 and 1: `[...]`.
/// Errors of 0 or less cost nothing.
///
/// The extension is linear in the errors as long as their order stays. So the slopes are constants, and the sum of
/// slopes times errors has the right gradient.
pub(super) fn extension(errors: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let constant = errors.f_detach()?;
    let (_, order) = constant.f_sort(-1, true)?;
    let sorted = labels.f_gather(-1, &order, false)?;
    let slopes = constant.f_empty_like()?.f_scatter(-1, &order, &slopes(&sorted)?)?;
    Ok(errors.f_relu()?.f_mul(&slopes)?.f_sum_dim_intlist([-1i64].as_slice(), false, None)?)
}

/// How much each place adds to the Jaccard loss of all places up to it, for labels in the order of falling errors.
///
/// With `G` positive labels of which `c` are among the first `i`, that loss is `1 - (G - c) / (G + i - c)`. A
/// positive label takes one from the numerator, a negative one adds one to the denominator. Differences of the losses
/// themselves would lose digits.
fn slopes(labels: &Tensor) -> Result<Tensor> {
    let positive = labels.f_sum_dim_intlist([-1i64].as_slice(), true, None)?;
    let places = labels.size().last().copied().unwrap_or(1);
    let counted = Tensor::f_arange_start(1, places + 1, (labels.kind(), labels.device()))?;
    let intersection = positive.f_sub(&labels.f_cumsum(-1, labels.kind())?)?;
    let union = intersection.f_add(&counted)?;
    // Without a positive label, the first place costs all, and the others nothing.
    let first = counted.f_eq(1.0)?.f_logical_and(&positive.f_eq(0.0)?)?;
    let of_negative = intersection.f_div(&union.f_sub_scalar(1.0)?.f_clamp_min(1.0)?)?;
    let of_negative = of_negative.f_masked_fill(&first, 1.0)?;
    Ok(of_negative.f_lerp_tensor(&of_negative.f_ones_like()?, labels)?.f_div(&union)?)
}
