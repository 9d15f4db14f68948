//! Colour spaces that are weighted sums of the channels red, green and blue.

use tch::Tensor;

use crate::Result;

/// The weights of red, green and blue in a channel of another colour space.
pub(crate) type Row = [f64; 3];

/// The luma Y of YIQ and of greyscale images.
pub(crate) const Y: Row = [0.299, 0.587, 0.114];
/// Orange to blue.
pub(crate) const I: Row = [0.5959, -0.2746, -0.3213];
/// Purple to green.
pub(crate) const Q: Row = [0.2115, -0.5227, 0.3112];

/// The channel of images `[N, 3, H, W]` with these weights: `[N, 1, H, W]`.
pub(crate) fn channel(images: &Tensor, row: Row) -> Result<Tensor> {
    let [red, green, blue] = [0, 1, 2].map(|index| images.f_narrow(1, index, 1));
    Ok(red?
        .f_mul_scalar(row[0])?
        .f_add(&green?.f_mul_scalar(row[1])?)?
        .f_add(&blue?.f_mul_scalar(row[2])?)?)
}

/// [`Y`] of images of three channels; those of one channel are grey already.
pub(crate) fn luma(images: &Tensor) -> Result<Tensor> {
    match images.size()[1] {
        3 => channel(images, Y),
        _ => Ok(images.shallow_clone()),
    }
}
