//! Maps of measures that work on fewer pixels than the images have.

use tch::{Kind, Tensor};

use crate::Result;

/// Gives each pixel of `images` the value of its block. The blocks have `size` by `size` pixels; the first one starts
/// `before` pixels above and to the left of the image. Pixels behind the last block get that one's value.
pub(super) fn enlarged(blocks: &Tensor, size: i64, before: i64, images: &Tensor) -> Result<Tensor> {
    let mut map = blocks.shallow_clone();
    for dim in if size == 1 { 2..2 } else { 2..4 } {
        let pixels = Tensor::f_arange(images.size()[dim], (Kind::Int64, images.device()))?;
        let block = pixels.f_add_scalar(before)?.f_floor_divide_scalar(size)?;
        map = map.f_index_select(dim as i64, &block.f_clamp_max(blocks.size()[dim] - 1)?)?;
    }
    Ok(map.f_to_kind(images.kind())?)
}
