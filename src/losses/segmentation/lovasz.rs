//! The Lovász extension of the Jaccard index.

use tch::{no_grad, Device, Kind, Tensor};

use crate::Result;

/// From how many places on each row is sorted by itself on a CPU: libtorch has a radix sort for long vectors, but none
/// for rows of a matrix.
const LONG: i64 = 1 << 15;

/// The Lovász extension of the Jaccard loss at `errors` `[..., P]`, for the labels `[..., P]` 0 and 1: `[...]`.
/// Errors of 0 or less cost nothing.
///
/// The extension is linear in the errors as long as their order stays. So the slopes are constants, and the sum of
/// slopes times errors has the right gradient.
pub(super) fn extension(errors: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let positive = errors.f_relu()?;
    let slopes = no_grad(|| slopes(&positive.f_detach()?.f_contiguous()?, labels))?;
    Ok(positive.f_mul(&slopes)?.f_sum_dim_intlist([-1i64].as_slice(), false, None)?)
}

fn slopes(errors: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let size = errors.size();
    let places = size.last().copied().unwrap_or(1);
    let mut slopes = errors.f_empty_like()?;
    if size.len() < 2 || places < LONG || errors.device() != Device::Cpu {
        write_slopes(errors, labels, &mut slopes)?;
        return Ok(slopes);
    }
    let rows = |tensor: &Tensor| tensor.f_reshape([-1, places].as_slice());
    let (errors, labels, to) = (rows(errors)?, rows(labels)?, slopes.f_view([-1, places].as_slice())?);
    for row in 0..to.size()[0] {
        write_slopes(&errors.f_get(row)?, &labels.f_get(row)?, &mut to.f_get(row)?)?;
    }
    Ok(slopes)
}

/// How much each place adds to the Jaccard loss of all places with larger errors, for `errors` from 0 on.
///
/// The errors are sorted as integers, which takes a fifth of the time. The bits of floating-point numbers from 0 on,
/// read as an integer, have the order of the numbers. The sign's bit is free: the label takes its place, at the other
/// end, so that it needs not be gathered by the order.
fn write_slopes(errors: &Tensor, labels: &Tensor, to: &mut Tensor) -> Result<()> {
    let (bits, largest) = match errors.kind() {
        Kind::Double => (Kind::Int64, i64::MAX),
        _ => (Kind::Int, i64::from(i32::MAX)),
    };
    let mut keys = errors.f_view_dtype(bits)?.f_bitwise_left_shift_tensor_scalar(1)?;
    // The other way round, as the sort is from the lowest up.
    keys = keys.f_bitwise_or_tensor_(&labels.f_gt(0.5)?.f_to_kind(bits)?)?.f_bitwise_xor_(largest)?;
    let (mut keys, order) = keys.f_sort(-1, false)?;
    let sorted = keys.f_bitwise_and_(1)?.f_rsub_scalar(1)?.f_to_kind(errors.kind())?;
    let _ = to.f_scatter_(-1, &order, &sorted_slopes(sorted)?)?;
    Ok(())
}

/// The same for labels in the order of falling errors.
///
/// With `G` positive labels of which `c` are among the first `i`, the loss of these is `1 - (G - c) / (G + i - c)`. A
/// positive label takes one from the numerator, a negative one adds one to the denominator. Differences of the losses
/// themselves would lose digits.
fn sorted_slopes(labels: Tensor) -> Result<Tensor> {
    let positive = labels.f_sum_dim_intlist([-1i64].as_slice(), true, None)?;
    let places = labels.size().last().copied().unwrap_or(1);
    let counted = Tensor::f_arange_start(1, places + 1, (labels.kind(), labels.device()))?;
    let intersection = labels.f_cumsum(-1, labels.kind())?.f_neg_()?.f_add_(&positive)?;
    let union = { counted }.f_add(&intersection)?;
    // What a negative label costs, times the union. That is 1 at most, and 1 is what a positive one costs.
    let mut costs = { intersection }.f_div_(&union.f_sub_scalar(1.0)?.f_clamp_min_(1.0)?)?;
    costs = costs.f_clamp_min_tensor_(&labels)?;
    // Without a positive label, the first place costs all, and the others nothing.
    let first = costs.f_narrow(-1, 0, places.min(1))?;
    let _ = { first }.f_masked_fill_(&positive.f_eq(0.0)?, 1.0)?;
    Ok(costs.f_div_(&union)?)
}
