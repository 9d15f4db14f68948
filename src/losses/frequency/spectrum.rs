//! Discrete Fourier transforms of planes of real numbers, along their last two axes.
//!
//! The spectrum of real numbers is symmetric: the coefficient at `(-u, -v)` is the conjugate of that at `(u, v)`. The
//! half with the columns 0 to `width / 2` holds all of it, at half the cost. The other columns are mirror images: all
//! but the first one and, of an even width, the last one of the half stand for two.

use tch::Tensor;

use crate::Result;

const AXES: [i64; 2] = [-2, -1];

/// The half of the spectrum.
pub(super) fn half(planes: &Tensor, norm: &str) -> Result<Tensor> {
    Ok(planes.f_fft_rfft2(None::<&[i64]>, AXES.as_slice(), norm)?)
}

/// The whole spectrum.
pub(super) fn full(planes: &Tensor, norm: &str) -> Result<Tensor> {
    Ok(planes.f_fft_fft2(None::<&[i64]>, AXES.as_slice(), norm)?)
}

/// The planes of this height and width that have the symmetric spectrum with this half.
pub(super) fn planes(half: &Tensor, [height, width]: [i64; 2], norm: &str) -> Result<Tensor> {
    Ok(half.f_fft_irfft2([height, width].as_slice(), AXES.as_slice(), norm)?)
}

/// The number of columns in the half of a spectrum.
pub(super) fn half_width(width: i64) -> i64 {
    width / 2 + 1
}

/// The columns of a half, along `dim`, that stand for two.
pub(super) fn mirrored(half: &Tensor, dim: i64, width: i64) -> Result<Tensor> {
    Ok(half.f_narrow(dim, 1, (width - 1) / 2)?)
}

/// The sum over the whole spectrum of values that are as symmetric as it is, from those of its half.
pub(super) fn sum(half: &Tensor, dim: i64, width: i64) -> Result<Tensor> {
    let mut sum = mirrored(half, dim, width)?.f_sum(None)?.f_mul_scalar_(2.0)?;
    let _ = sum.f_add_(&half.f_narrow(dim, 0, 1)?.f_sum(None)?)?;
    if width % 2 == 0 {
        let _ = sum.f_add_(&half.f_narrow(dim, width / 2, 1)?.f_sum(None)?)?;
    }
    Ok(sum)
}
