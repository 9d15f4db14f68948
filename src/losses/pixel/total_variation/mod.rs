//! How much neighbouring pixels differ.

mod plain;
mod streaming;
mod weighted;

pub use plain::{TotalVariationLoss, TotalVariationNorm};
pub use weighted::WeightedTotalVariationLoss;

use tch::Tensor;

use crate::Result;

/// Down, and to the right.
const AXES: [i64; 2] = [2, 3];

/// Each pixel's difference to the next one along an axis, one fewer than there are pixels.
fn differences(images: &Tensor, axis: i64) -> Result<Tensor> {
    let length = images.size()[axis as usize] - 1;
    Ok(images.f_narrow(axis, 1, length)?.f_sub(&images.f_narrow(axis, 0, length)?)?)
}

/// What belongs to differences along an axis, at the earlier pixel of each; 0 at the last pixels.
fn at_earlier_pixel(differences: &Tensor, axis: i64) -> Result<Tensor> {
    let padding = if axis == 3 { [0i64, 1, 0, 0] } else { [0, 0, 0, 1] };
    Ok(differences.f_constant_pad_nd(padding.as_slice())?)
}
