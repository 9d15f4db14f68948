//! What losses of two batches of embeddings share: the checks, and sums of squared correlations.

use tch::Tensor;

use crate::base::check;
use crate::base::heap::keep_freed_blocks;
use crate::{Error, Result};

/// Two batches `[N, D]` of one kind, with moments over `N`.
pub(super) fn check_views(z_a: &Tensor, z_b: &Tensor) -> Result<()> {
    check::floating("z_a", z_a)?;
    let given = z_a.size();
    if given.len() != 2 || given[0] < 2 || given[1] < 1 {
        let expected = "[N, D] with N at least 2 and D at least 1".into();
        return Err(Error::Shape { argument: "z_a", given, expected });
    }
    check::partners(("z_a", z_a), ("z_b", z_b))?;
    check::same_shape(("z_a", z_a), ("z_b", z_b))
}

/// Of the matrix `aᵀb / divisor` `[D, D]`, for `a` and `b` `[N, D]`: the diagonal, and the sum of the squares beside it.
/// Without `b`, it is `aᵀa / divisor`.
pub(super) fn diagonal_and_rest(a: &Tensor, b: Option<&Tensor>, divisor: f64) -> Result<(Tensor, Tensor)> {
    keep_freed_blocks();
    let size = a.size();
    let other = b.unwrap_or(a);
    if !has_less_work_by_samples(size[0], size[1]) {
        let mut matrix = a.f_tr()?.f_mm(other)?;
        let diagonal = matrix.f_diagonal(0, 0, 1)?.f_div_scalar(divisor)?;
        // In place: there are as many numbers as in a weight of a large layer. Row by row: libtorch's norm of millions of
        // numbers has lost some digits.
        let rows = matrix.f_fill_diagonal_(0.0, false)?.f_norm_scalaropt_dim(2, [1i64].as_slice(), false)?;
        let rest = rows.f_div_scalar(divisor)?.f_square()?.f_sum(None)?;
        return Ok((diagonal, rest));
    }
    // The sum of all squares is that of the products of `aaᵀ` and `bbᵀ`, which are smaller. The rank of the matrix is
    // less than D / 2, so the squares beside the diagonal are not small against those on it.
    let products =
        |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.f_mm(&tensor.f_tr()?)?.f_div_scalar(divisor)?) };
    let of_a = products(a)?;
    let all = match b {
        Some(b) => of_a.f_mul(&products(b)?)?.f_sum(None)?,
        None => of_a.f_square()?.f_sum(None)?,
    };
    let diagonal =
        a.f_mul(other)?.f_sum_dim_intlist([0i64].as_slice(), false, None)?.f_div_scalar(divisor)?;
    let rest = all.f_sub(&diagonal.f_square()?.f_sum(None)?)?;
    Ok((diagonal, rest))
}

/// Whether matrices of `samples` times `samples` are cheaper than those of `features` times `features`.
fn has_less_work_by_samples(samples: i64, features: i64) -> bool {
    2 * samples < features
}
