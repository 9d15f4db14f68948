//! The Laplacian pyramid of [`InformationWeightedSsimLoss`](super::InformationWeightedSsimLoss): what each halving of an
//! image takes from it.
//!
//! The filter is `[1, 4, 6, 4, 1] sqrt(2) / 16` along both axes, so that each halving doubles the values. Borders are
//! mirrored. All of it works on images `[N, 1, H, W]` in libtorch's graph.

use std::f64::consts::SQRT_2;

use tch::Tensor;

use crate::Result;

const FILTER: [f64; 5] = [SQRT_2 / 16.0, SQRT_2 / 4.0, SQRT_2 * 3.0 / 8.0, SQRT_2 / 4.0, SQRT_2 / 16.0];

/// The smallest side that can be halved.
pub(super) const LEAST_SIDE: i64 = 3;

/// The image of half the size, and what it lacks of the whole one.
pub(super) fn halve(image: &Tensor) -> Result<(Tensor, Tensor)> {
    let half = shrink(&shrink(&image.f_reflection_pad2d([2i64; 4].as_slice())?, -1)?, -2)?;
    let size = image.size();
    let back = enlarge(&enlarge(&half, -1, size[3])?, -2, size[2])?;
    Ok((half, image.f_sub(&back)?))
}

/// Filters a padded image along one axis and takes every second result.
fn shrink(padded: &Tensor, dim: i64) -> Result<Tensor> {
    let length = padded.size()[axis(dim)] - FILTER.len() as i64 + 1;
    let shifted = |by: i64| padded.f_slice(dim, by, by + length, 2);
    let outer = shifted(0)?.f_add(&shifted(4)?)?.f_mul_scalar(FILTER[0])?;
    let inner = shifted(1)?.f_add(&shifted(3)?)?.f_mul_scalar(FILTER[1])?;
    Ok(shifted(2)?.f_mul_scalar(FILTER[2])?.f_add(&outer)?.f_add(&inner)?)
}

/// Puts zeros between the elements along one axis, filters, and keeps the first `length` results.
///
/// The zeros never have to be there: results at even places meet every second weight of the filter, those at odd places
/// the others. In the mirrored border, the last element meets itself, the first one its neighbour.
fn enlarge(half: &Tensor, dim: i64, length: i64) -> Result<Tensor> {
    let count = half.size()[axis(dim)];
    let extended = [half.f_narrow(dim, 1, 1)?, half.shallow_clone(), half.f_narrow(dim, count - 1, 1)?];
    let extended = Tensor::f_cat(&extended, dim)?;
    let shifted = |by: i64| extended.f_narrow(dim, by, count);
    let outer = shifted(0)?.f_add(&shifted(2)?)?.f_mul_scalar(FILTER[0])?;
    let even = shifted(1)?.f_mul_scalar(FILTER[2])?.f_add(&outer)?;
    let odd = shifted(1)?.f_add(&shifted(2)?)?.f_mul_scalar(FILTER[1])?;
    let mut size = half.size();
    size[axis(dim)] = 2 * count;
    // Behind their axis, so that the two alternate along it.
    Ok(Tensor::f_stack(&[even, odd], dim)?.f_reshape(size)?.f_narrow(dim, 0, length)?)
}

/// Where a negative axis of an image is.
fn axis(dim: i64) -> usize {
    (dim + 4) as usize
}

/// An image of twice the size, by linear interpolation between the pixels, continued straight beyond the outer ones.
///
/// It is enlarged four times, gets a border of one pixel, and then every second pixel is taken. Of its first size 3 are
/// missing, and 1 with the border.
pub(super) fn doubled(image: &Tensor) -> Result<Tensor> {
    let size = image.size();
    let (height, width) = (4 * size[2] - 3, 4 * size[3] - 3);
    let enlarged = image.f_upsample_bilinear2d([height, width].as_slice(), false, None, None)?;
    continued(&continued(&enlarged, -2)?, -1)
}

/// Every second element along one axis, beginning with one before the first and ending with one behind the last.
fn continued(image: &Tensor, dim: i64) -> Result<Tensor> {
    let length = image.size()[axis(dim)];
    let beyond = |outer: i64, inner: i64| -> Result<Tensor> {
        Ok(image.f_narrow(dim, outer, 1)?.f_mul_scalar(2.0)?.f_sub(&image.f_narrow(dim, inner, 1)?)?)
    };
    let inside = image.f_slice(dim, 1, length, 2)?;
    Ok(Tensor::f_cat(&[beyond(0, 1)?, inside, beyond(length - 1, length - 2)?], dim)?)
}
