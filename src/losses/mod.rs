//! The losses: a folder for each family, a file for each loss.

mod adversarial;
mod audio;
mod boxes;
mod classification;
mod distribution;
mod edge;
mod embedding;
mod frequency;
mod penalty;
mod perceptual;
mod pixel;
mod regression;
mod segmentation;
mod self_supervised;
mod sequence;
mod similarity;
mod structure;

pub use adversarial::*;
pub use audio::*;
pub use boxes::*;
pub use classification::*;
pub use distribution::*;
pub use edge::*;
pub use embedding::*;
pub use frequency::*;
pub use penalty::*;
pub use perceptual::*;
pub use pixel::*;
pub use regression::*;
pub use segmentation::*;
pub use self_supervised::*;
pub use sequence::*;
pub use similarity::*;
pub use structure::*;

use tch::Tensor;

use crate::base::check;
use crate::base::precision::channel_mean;
use crate::{Loss, Result};

/// The map of a loss that is computed element by element: the mean of its `elements` over the channels of `input`.
fn map_of_elements(
    loss: &impl Loss,
    input: &Tensor,
    target: &Tensor,
    elements: impl FnOnce() -> Result<Tensor>,
) -> Result<Option<Tensor>> {
    loss.check_options()?;
    check::image_pair(input, target)?;
    Ok(Some(channel_mean(&elements()?)?.f_to_kind(input.kind())?))
}
