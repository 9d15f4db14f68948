//! The losses: a folder for each family, a file for each loss.

mod classification;
mod distribution;
mod edge;
mod embedding;
mod perceptual;
mod pixel;
mod sequence;

pub use classification::*;
pub use distribution::*;
pub use edge::*;
pub use embedding::*;
pub use perceptual::*;
pub use pixel::*;
pub use sequence::*;

use tch::Tensor;

use crate::base::precision::channel_mean;
use crate::Result;

/// The map of a loss that is computed element by element: the mean over the channels of `input`.
fn map_of_elements(elements: &Tensor, input: &Tensor) -> Result<Option<Tensor>> {
    Ok(Some(channel_mean(elements)?.f_to_kind(input.kind())?))
}
