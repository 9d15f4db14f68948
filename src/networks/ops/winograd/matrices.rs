//! The matrices of F(4x4, 3x3).
//!
//! The rounding error depends on the points at which the polynomials behind the matrices are evaluated, and
//! on the length of the sums. The points 0, ±5/8, ±3/2 and infinity give two thirds of the error of 0, ±1,
//! 1/2, -2, and less than half of that of the usual 0, ±1, ±2.

use tch::{Kind, Tensor};

use crate::Result;

/// `Bᵀ`
pub(super) const INPUT: [[f64; 6]; 6] = [
    [225.0 / 256.0, 0.0, -169.0 / 64.0, 0.0, 1.0, 0.0],
    [0.0, -45.0 / 32.0, -2.25, 0.625, 1.0, 0.0],
    [0.0, 45.0 / 32.0, -2.25, -0.625, 1.0, 0.0],
    [0.0, -75.0 / 128.0, -25.0 / 64.0, 1.5, 1.0, 0.0],
    [0.0, 75.0 / 128.0, -25.0 / 64.0, -1.5, 1.0, 0.0],
    [0.0, 225.0 / 256.0, 0.0, -169.0 / 64.0, 0.0, 1.0],
];

/// `G`
pub(super) const WEIGHT: [[f64; 3]; 6] = [
    [256.0 / 225.0, 0.0, 0.0],
    [-2048.0 / 2975.0, -256.0 / 595.0, -32.0 / 119.0],
    [-2048.0 / 2975.0, 256.0 / 595.0, -32.0 / 119.0],
    [128.0 / 1071.0, 64.0 / 357.0, 32.0 / 119.0],
    [128.0 / 1071.0, -64.0 / 357.0, 32.0 / 119.0],
    [0.0, 0.0, 1.0],
];

/// `Aᵀ`
pub(super) const RESULT: [[f64; 6]; 4] = [
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, 0.625, -0.625, 1.5, -1.5, 0.0],
    [0.0, 0.390625, 0.390625, 2.25, 2.25, 0.0],
    [0.0, 0.244140625, -0.244140625, 3.375, -3.375, 1.0],
];

/// The transform of both directions at once: a matrix for tiles written as columns.
pub(super) fn transform<const ROWS: usize, const COLUMNS: usize>(
    matrix: [[f64; COLUMNS]; ROWS],
    kind: Kind,
) -> Result<Tensor> {
    let matrix =
        Tensor::f_from_slice(matrix.as_flattened())?.f_reshape([ROWS as i64, COLUMNS as i64].as_slice())?;
    Ok(matrix.f_kron(&matrix)?.f_to_kind(kind)?)
}
