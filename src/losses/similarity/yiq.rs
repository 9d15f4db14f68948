//! Brightness and colour, from 0 to 255, as FSIM and SR-SIM compare them.

use tch::Tensor;

use super::gradient_magnitude::dissimilarity;
use crate::base::image::color::{channel, Row, I, Q, Y};
use crate::Result;

/// What the constants of the measures are made for.
pub(super) const LEVELS: f64 = 255.0;

/// The images `[N, 1, H, W]` in grey.
pub(super) fn grey(images: &Tensor) -> Result<Tensor> {
    match images.size()[1] {
        3 => scaled_channel(images, Y),
        _ => Ok(images.f_mul_scalar(LEVELS)?),
    }
}

/// The gradient of images, given that of [`grey`].
pub(super) fn grey_gradient(gradient: &Tensor, channels: i64) -> Result<Tensor> {
    let weights = if channels == 3 { Y.to_vec() } else { vec![1.0] };
    let parts = weights.iter().map(|weight| Ok(gradient.f_mul_scalar(weight * LEVELS)?));
    Ok(Tensor::f_cat(&parts.collect::<Result<Vec<Tensor>>>()?, 1)?)
}

/// How alike the colours are: `|sim(I) sim(Q)|^0.03`. `None` for images of one channel, as grey has no colour.
pub(super) fn color_similarity(input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
    if input.size()[1] != 3 {
        return Ok(None);
    }
    let similarity = |row: Row| -> Result<Tensor> {
        let (input, target) = (scaled_channel(input, row)?, scaled_channel(target, row)?);
        Ok(dissimilarity(&input, &target, 200.0)?.f_neg()?.f_add_scalar(1.0)?)
    };
    Ok(Some(power_of_magnitude(&similarity(I)?.f_mul(&similarity(Q)?)?, 0.03)?))
}

/// `|base|^exponent`, with a gradient of 0 at 0, where that of libtorch is NaN.
pub(super) fn power_of_magnitude(base: &Tensor, exponent: f64) -> Result<Tensor> {
    let zero = base.f_eq(0.0)?;
    let power = base.f_masked_fill(&zero, 1.0)?.f_abs()?.f_pow_tensor_scalar(exponent)?;
    // 0^0 is 1.
    Ok(if exponent == 0.0 { power } else { power.f_masked_fill(&zero, 0.0)? })
}

fn scaled_channel(images: &Tensor, row: Row) -> Result<Tensor> {
    channel(images, row.map(|weight| weight * LEVELS))
}
