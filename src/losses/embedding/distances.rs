//! Distances between all embeddings of a batch, and how a loss of them goes back to the embeddings.

use tch::Tensor;

use super::anchors::row_sum;
use super::units::Units;
use crate::Result;

/// Of more rows, libtorch computes the distances from products of matrices.
const MOST_BY_DIFFERENCES: i64 = 25;

/// The rows `[N, D]` where their distances keep their digits. Rows of any length move as a whole to around the origin,
/// where products of matrices give their distances: squares far from the origin, of which these are small differences,
/// have too few digits.
///
/// The medians are not moved by a few rows far from the others.
pub(super) fn placed(units: &Units) -> Result<Tensor> {
    let rows = &units.vectors;
    if !units.are_as_given() || rows.size()[0] <= MOST_BY_DIFFERENCES {
        return Ok(rows.shallow_clone());
    }
    let (centre, _) = rows.f_detach()?.f_median_dim(0, true)?;
    Ok(rows.f_sub(&centre)?)
}

/// The Euclidean distances `[R, N]` of some rows from all rows, which are [placed].
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
