//! Embeddings of length 1.

use tch::Tensor;

use crate::Result;

/// The rows of `[N, D]` as they are compared.
pub(super) struct Units {
    pub rows: Tensor,
    /// The factors `[N, 1]` of the given rows, unless they are as they were.
    factors: Option<Tensor>,
}

impl Units {
    /// The rows divided by their length, in libtorch's graph or without. A row of zeros stays as it is.
    pub fn of(embeddings: &Tensor) -> Result<Units> {
        // The squares of rows whose largest number is 1 can neither overflow nor vanish.
        let largest = embeddings.f_detach()?.f_abs()?.f_amax([-1i64].as_slice(), true)?;
        let largest = largest.f_masked_fill(&largest.f_eq(0.0)?, 1.0)?;
        let scaled = embeddings.f_div(&largest)?;
        // All lengths are 1 or more, but those of zeros. The slope of libtorch's norm is 0 at 0.
        let length = scaled.f_norm_scalaropt_dim(2, [-1i64].as_slice(), true)?.f_clamp_min(0.5)?;
        let rows = scaled.f_div(&length)?;
        let factors = length.f_detach()?.f_mul(&largest)?.f_reciprocal()?;
        Ok(Units { rows, factors: Some(factors) })
    }

    /// The rows as they are.
    pub fn as_given(embeddings: &Tensor) -> Result<Units> {
        Ok(Units { rows: embeddings.shallow_clone(), factors: None })
    }

    /// The slopes with respect to the embeddings, given those with respect to the rows.
    pub fn back(&self, slopes: &Tensor) -> Result<Tensor> {
        let Some(factors) = &self.factors else { return Ok(slopes.shallow_clone()) };
        // A unit vector moves at a right angle to itself.
        let along = slopes.f_mul(&self.rows)?.f_sum_dim_intlist([-1i64].as_slice(), true, None)?;
        Ok(slopes.f_sub(&self.rows.f_mul(&along)?)?.f_mul_(factors)?)
    }
}
