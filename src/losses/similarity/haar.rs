//! Haar wavelet coefficients of planes `[N, 1, H, W]`, and sums over 2x2 pixels.
//!
//! A square of pixels is made of four of half the size, so that each level adds and subtracts what the one before it
//! has summed.

use tch::Tensor;

use crate::base::tensor::side;
use crate::Result;

/// The sizes of the squares.
pub(super) const SIZES: [i64; 3] = [2, 4, 8];

/// Zeros before and after the plane, for the largest square.
const BEFORE: i64 = 3;
const AFTER: i64 = 4;

/// Half a square, and where the first one begins in what the level starts with: 3, 1 and 0 pixels before the plane.
const LEVELS: [(i64, i64); 3] = [(1, 3), (2, 2), (4, 0)];

/// For each of [`SIZES`], the difference of the sums over the upper and the lower half of the square, then that over
/// the left and the right half.
pub(super) fn coefficients(plane: &Tensor) -> Result<Vec<Tensor>> {
    let (height, width) = (side(plane, -2), side(plane, -1));
    let mut found = Vec::new();
    // Sums over squares of half the size.
    let mut halves = plane.f_constant_pad_nd([BEFORE, AFTER, BEFORE, AFTER].as_slice())?;
    for (half, start) in LEVELS {
        let below = shifted(&halves, -2, half, start, height)?;
        let upper_lower = below[0].f_sub(&below[1])?;
        let beside = shifted(&upper_lower, -1, half, start, width)?;
        found.push(beside[0].f_add(&beside[1])?);
        let all = shifted(&halves, -2, half, 0, side(&halves, -2) - half)?;
        let rows = all[0].f_add(&all[1])?;
        let beside = shifted(&rows.f_narrow(-2, start, height)?, -1, half, start, width)?;
        found.push(beside[0].f_sub(&beside[1])?);
        let all = shifted(&rows, -1, half, 0, side(&rows, -1) - half)?;
        // The last level leaves squares of 8 by 8 that nobody needs.
        if half < 4 {
            halves = all[0].f_add(&all[1])?;
        }
    }
    Ok(found)
}

/// The gradient of the plane, given those of its [`coefficients`]. Without a graph.
pub(super) fn coefficients_back(slopes: &[Tensor]) -> Result<Tensor> {
    let size = slopes[0].size();
    let [count, _, height, width] = size[..] else { unreachable!("a plane has four dimensions") };
    let zeros = |height: i64, width: i64| {
        slopes[0].f_new_zeros([count, 1, height, width], (slopes[0].kind(), slopes[0].device()))
    };
    // Of the sums over squares that the next level starts with.
    let mut wholes: Option<Tensor> = None;
    for (level, (half, start)) in LEVELS.into_iter().enumerate().rev() {
        let (upper_lower, left_right) = (&slopes[2 * level], &slopes[2 * level + 1]);
        let covered = LEVELS[..level].iter().map(|(half, _)| half).sum::<i64>();
        let (rows, columns) = (height + BEFORE + AFTER - covered, width + BEFORE + AFTER - covered);
        let of_rows = zeros(rows - half, columns)?;
        if let Some(wholes) = &wholes {
            for part in shifted(&of_rows, -1, half, 0, columns - half)? {
                let _ = { part }.f_add_(wholes)?;
            }
        }
        let [first, second] = shifted(&of_rows.f_narrow(-2, start, height)?, -1, half, start, width)?;
        let _ = ({ first }.f_add_(left_right)?, { second }.f_sub_(left_right)?);
        let of_difference = zeros(height, columns)?;
        for part in shifted(&of_difference, -1, half, start, width)? {
            let _ = { part }.f_add_(upper_lower)?;
        }
        let halves = zeros(rows, columns)?;
        for part in shifted(&halves, -2, half, 0, rows - half)? {
            let _ = { part }.f_add_(&of_rows)?;
        }
        let [first, second] = shifted(&halves, -2, half, start, height)?;
        let _ = ({ first }.f_add_(&of_difference)?, { second }.f_sub_(&of_difference)?);
        wholes = Some(halves);
    }
    let padded = wholes.expect("there are levels");
    Ok(padded.f_narrow(-2, BEFORE, height)?.f_narrow(-1, BEFORE, width)?)
}

/// The sums over 2x2 pixels, with zeros below and to the right.
pub(super) fn sums(plane: &Tensor) -> Result<Tensor> {
    sums_of(&plane.f_constant_pad_nd([0i64, 1, 0, 1].as_slice())?)
}

/// The gradient of the plane, given that of its [`sums`].
pub(super) fn sums_back(slopes: &Tensor) -> Result<Tensor> {
    sums_of(&slopes.f_constant_pad_nd([1i64, 0, 1, 0].as_slice())?)
}

fn sums_of(padded: &Tensor) -> Result<Tensor> {
    let [upper, lower] = shifted(padded, -2, 1, 0, side(padded, -2) - 1)?;
    let rows = upper.f_add(&lower)?;
    let [left, right] = shifted(&rows, -1, 1, 0, side(&rows, -1) - 1)?;
    Ok(left.f_add(&right)?)
}

/// Two views of `length` along `dim`, of which the second begins `by` after the first.
fn shifted(planes: &Tensor, dim: i64, by: i64, start: i64, length: i64) -> Result<[Tensor; 2]> {
    Ok([planes.f_narrow(dim, start, length)?, planes.f_narrow(dim, start + by, length)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn noise(seed: i64) -> Tensor {
        let steps = Tensor::arange(2 * 11 * 9, (Kind::Double, Device::Cpu)).view([2, 1, 11, 9]);
        (steps * (0.37 + seed as f64)).sin()
    }

    fn largest(tensor: &Tensor) -> f64 {
        tensor.abs().max().double_value(&[])
    }

    #[test]
    fn coefficients_are_those_of_a_convolution() {
        let plane = noise(0);
        let found = coefficients(&plane).unwrap();
        for (level, size) in SIZES.into_iter().enumerate() {
            let half = Tensor::ones([size / 2, size], (Kind::Double, Device::Cpu));
            let kernel = Tensor::cat(&[&half, &-&half], 0);
            let (before, after) = (size / 2 - 1, size / 2);
            let padded = plane.constant_pad_nd([before, after, before, after].as_slice());
            for (orientation, kernel) in [kernel.shallow_clone(), kernel.transpose(0, 1)].iter().enumerate() {
                let kernel = kernel.reshape([1, 1, size, size]);
                let expected = padded.conv2d(&kernel, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1);
                assert!(
                    largest(&(&found[2 * level + orientation] - expected)) < 1e-12,
                    "{size} {orientation}"
                );
            }
        }
    }

    /// `<A x, y> = <x, A' y>`.
    #[test]
    fn back_is_the_adjoint() {
        let plane = noise(0);
        let slopes: Vec<Tensor> = (1..7).map(noise).collect();
        let found = coefficients(&plane).unwrap();
        let there: Tensor = found.iter().zip(&slopes).map(|(found, slope)| (found * slope).sum(None)).sum();
        let back = (&plane * coefficients_back(&slopes).unwrap()).sum(None);
        assert!(largest(&(there - back)) < 1e-11);
        let there = (sums(&plane).unwrap() * &slopes[0]).sum(None);
        let back = (plane * sums_back(&slopes[0]).unwrap()).sum(None);
        assert!(largest(&(there - back)) < 1e-12);
    }
}
