//! Frequencies of a discrete Fourier transform, as piq has them.

use tch::{Device, Kind, Tensor};

use crate::Result;

/// Frequencies along an axis of so many pixels, 0 first, in parts of the sampling rate. Those of an odd number are
/// stretched to reach half of it, as in the authors' code.
pub(super) fn frequencies(length: i64, options: (Kind, Device)) -> Result<Tensor> {
    let half = length / 2;
    let steps = if length % 2 == 0 { length } else { length - 1 };
    let ordered = Tensor::f_arange_start(-half, length - half, options)?.f_div_scalar(steps)?;
    Ok(ordered.f_roll([-half].as_slice(), [0i64].as_slice())?)
}

/// The distance from frequency 0 `[H, W]` of frequencies along the rows and along the columns.
pub(super) fn radius(down: &Tensor, across: &Tensor) -> Result<Tensor> {
    Ok(down.f_square()?.f_unsqueeze(1)?.f_add(&across.f_square()?)?.f_sqrt()?)
}

/// Sets what filters `[.., H, W]` have for frequency 0.
pub(super) fn set_zero_frequency(filters: &Tensor, value: f64) -> Result<()> {
    let _ = filters.f_narrow(-1, 0, 1)?.f_narrow(-2, 0, 1)?.f_fill_(value)?;
    Ok(())
}

/// Spectra of real images end in the middle: the rest mirrors what is before.
pub(super) fn half(filters: &Tensor) -> Result<Tensor> {
    let width = filters.size()[filters.dim() - 1];
    Ok(filters.f_narrow(-1, 0, width / 2 + 1)?)
}

/// Spectra `[.., H, W / 2 + 1]` of real images `[.., H, W]`, as pairs of numbers `[.., 2]`.
pub(super) fn spectra(images: &Tensor) -> Result<Tensor> {
    let spectra = images.f_fft_rfft2(None::<&[i64]>, [-2i64, -1].as_slice(), "backward")?;
    Ok(spectra.f_view_as_real()?)
}

/// The inverse of [`spectra`].
pub(super) fn images(spectra: &Tensor, [height, width]: [i64; 2]) -> Result<Tensor> {
    let complex = spectra.f_view_as_complex()?;
    Ok(complex.f_fft_irfft2([height, width].as_slice(), [-2i64, -1].as_slice(), "backward")?)
}
