//! Vectors of length 1.

use tch::Tensor;

use crate::Result;

/// The least length that a vector is divided by: that of PyTorch's `F.normalize`, which the references call.
const EPS: f64 = 1e-12;

/// The vectors of a matrix as they are compared: its rows, or its columns.
pub(super) struct Units {
    pub vectors: Tensor,
    /// How they were divided, unless they are as they were.
    division: Option<Division>,
}

struct Division {
    /// The axis along which a vector lies.
    axis: i64,
    /// What each vector was multiplied with.
    factors: Tensor,
    /// 1 where that depends on the vector, 0 where the vector is shorter than [`EPS`].
    depends: Tensor,
}

impl Units {
    /// The rows divided by their length, in libtorch's graph or without. Rows shorter than [`EPS`] are divided by it, and a
    /// row of zeros stays as it is.
    pub fn of(embeddings: &Tensor) -> Result<Units> {
        Units::along(embeddings, -1)
    }

    /// The vectors along an axis, as [`of`](Self::of).
    pub fn along(matrix: &Tensor, axis: i64) -> Result<Units> {
        // The squares of vectors whose largest number is 1 can neither overflow nor vanish.
        let largest = matrix.f_detach()?.f_abs()?.f_amax([axis].as_slice(), true)?;
        // Zeros have no direction. Divided by EPS, as in PyTorch, they would have 1e12 times the gradient of the others.
        let scale = largest.f_clamp_min(EPS)?.f_masked_fill_(&largest.f_eq(0.0)?, 1.0)?;
        let scaled = matrix.f_div(&scale)?;
        // Below 1 are only the lengths of vectors shorter than EPS. The slope of libtorch's norm is 0 at 0.
        let length = scaled.f_norm_scalaropt_dim(2, [axis].as_slice(), true)?;
        let divisor = length.f_clamp_min(1.0)?;
        let vectors = scaled.f_div(&divisor)?;
        let factors = divisor.f_detach()?.f_mul(&scale)?.f_reciprocal()?;
        let depends = length.f_detach()?.f_ge(1.0)?.f_to_kind(matrix.kind())?;
        Ok(Units { vectors, division: Some(Division { axis, factors, depends }) })
    }

    /// The rows as they are.
    pub fn as_given(embeddings: &Tensor) -> Result<Units> {
        Ok(Units { vectors: embeddings.shallow_clone(), division: None })
    }

    /// The slopes with respect to the matrix, given those with respect to the vectors.
    pub fn back(&self, slopes: &Tensor) -> Result<Tensor> {
        let Some(Division { axis, factors, depends }) = &self.division else {
            return Ok(slopes.shallow_clone());
        };
        // A unit vector moves at a right angle to itself.
        let along = slopes.f_mul(&self.vectors)?.f_sum_dim_intlist([*axis].as_slice(), true, None)?;
        let along = along.f_mul(depends)?;
        Ok(slopes.f_sub(&self.vectors.f_mul(&along)?)?.f_mul_(factors)?)
    }
}
