//! Distances between all embeddings of a batch, and how a loss of them goes back to the embeddings.

use tch::Tensor;

use super::anchors::row_sum;
use crate::Result;

/// The rows `[N, D]`, moved as a whole to around the origin. No distance changes, and sums of squares far from the origin,
/// of which the distances would be small differences, have too few digits for them.
pub(super) fn around_origin(rows: &Tensor) -> Result<Tensor> {
    let centre = rows.f_detach()?.f_mean_dim([0i64].as_slice(), true, None)?;
    Ok(rows.f_sub(&centre)?)
}

/// The Euclidean distances `[R, N]` of some rows from all rows, which are [around the origin](around_origin).
pub(super) fn distances(some: &Tensor, rows: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_cdist(some, rows, 2.0, None)?)
}

/// Adds to `slopes` `[N, D]` those of a loss of the distances of some rows, from `start` on, given its slopes `weights`
/// with respect to them, `[R, N]`. Overwrites the weights.
pub(super) fn add_slopes(
    slopes: &mut Tensor,
    rows: &Tensor,
    start: i64,
    mut weights: Tensor,
    distances: &Tensor,
) -> Result<()> {
    let count = distances.size()[0];
    // Equal embeddings have no direction away from each other.
    let weights = weights.f_div_(distances)?.f_masked_fill_(&distances.f_eq(0.0)?, 0.0)?;
    let some = rows.f_narrow(0, start, count)?;
    let mut own = slopes.f_narrow(0, start, count)?;
    let _ = own.f_addcmul_(&some, &row_sum(&weights)?)?.f_sub_(&weights.f_mm(rows)?)?;
    let columns = weights.f_transpose(0, 1)?;
    let _ = slopes.f_addcmul_(rows, &row_sum(&columns)?)?.f_sub_(&columns.f_mm(&some)?)?;
    Ok(())
}
