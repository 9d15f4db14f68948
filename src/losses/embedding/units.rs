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
    lengths: Tensor,
    divisors: Tensor,
}

impl Units {
    /// The rows divided by their lengths, in libtorch's graph or without.
    ///
    /// As in PyTorch, rows shorter than [`EPS`] are divided by it, and those whose squares are beyond the kind's range
    /// become zeros. A row of zeros, or one whose squares vanish, stays as it is: divided by `EPS`, as in PyTorch, it
    /// would have 1e12 times the gradient of the others.
    pub fn of(embeddings: &Tensor) -> Result<Units> {
        Units::along(embeddings, -1)
    }

    /// The vectors along an axis, as [`of`](Self::of).
    pub fn along(matrix: &Tensor, axis: i64) -> Result<Units> {
        // The slope of libtorch's norm is 0 at 0.
        let lengths = matrix.f_norm_scalaropt_dim(2, [axis].as_slice(), true)?;
        let divisors = lengths.f_clamp_min(EPS)?.f_masked_fill(&lengths.f_eq(0.0)?, 1.0)?;
        let vectors = matrix.f_div(&divisors)?;
        Ok(Units { vectors, division: Some(Division { axis, lengths, divisors }) })
    }

    /// The rows as they are.
    pub fn as_given(embeddings: &Tensor) -> Result<Units> {
        Ok(Units { vectors: embeddings.shallow_clone(), division: None })
    }

    /// Whether the vectors are as they were given, and so of any length.
    pub fn are_as_given(&self) -> bool {
        self.division.is_none()
    }

    /// The slopes with respect to the matrix, given those with respect to the vectors.
    pub fn back(&self, slopes: &Tensor) -> Result<Tensor> {
        let Some(Division { axis, lengths, divisors }) = &self.division else {
            return Ok(slopes.shallow_clone());
        };
        // A unit vector moves at a right angle to itself. The divisor of shorter vectors is a constant.
        let along = slopes.f_mul(&self.vectors)?.f_sum_dim_intlist([*axis].as_slice(), true, None)?;
        let along = along.f_mul(&lengths.f_ge(EPS)?.f_to_kind(slopes.kind())?)?.f_neg()?;
        Ok(self.vectors.f_mul(&along)?.f_add_(slopes)?.f_div_(divisors)?)
    }
}
