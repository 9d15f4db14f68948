//! From tensors to pixels.

use image::{Rgb, RgbImage};
use tch::Tensor;

use super::rows::Image;
use crate::{Error, Result};

/// `[1, C, H, W]` in f64 at another size: the mean over the area that a new pixel covers. Enlarged, the old
/// pixels show as even rectangles.
///
/// The areas are those of `adaptive_avg_pool2d`, which this calls for one row of new pixels at a time, so that
/// a large image is never there as a whole.
pub(super) fn resized(image: Image, (width, height): (u32, u32)) -> Result<Tensor> {
    let (width, height) = (i64::from(width), i64::from(height));
    let (down, across) = (times(image.height, height), times(image.width, width));
    let enlarged = image.height * down;
    let row = |row: i64| -> Result<Tensor> {
        let (start, end) = (row * enlarged / height, ((row + 1) * enlarged + height - 1) / height);
        let (first, last) = (start / down, (end - 1) / down);
        let area = repeated(image.rows(first, last - first + 1)?, 2, down)?;
        let area = repeated(area.f_narrow(2, start - first * down, end - start)?, 3, across)?;
        Ok(area.f_adaptive_avg_pool2d([1, width].as_slice())?)
    };
    let rows = (0..height).map(row).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::f_cat(&rows, 2)?)
}

/// How often to repeat `old` pixels so that they are at least `new`.
fn times(old: i64, new: i64) -> i64 {
    (new + old - 1) / old
}

fn repeated(image: Tensor, dim: i64, times: i64) -> Result<Tensor> {
    match times {
        1 => Ok(image),
        _ => Ok(image.f_repeat_interleave_self_int(times, dim, None)?),
    }
}

/// The values of a tensor, in its order.
pub(super) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.f_reshape([-1i64].as_slice())?.try_into()?)
}

/// The image as a picture of the same size, each pixel's channels turned into a colour.
pub(super) fn painted(image: Image, colour: impl Fn(&[f64]) -> Rgb<u8>) -> Result<RgbImage> {
    let (Ok(height), Ok(width)) = (u32::try_from(image.height), u32::try_from(image.width)) else {
        let given = vec![1, image.channels, image.height, image.width];
        let expected = "H and W that fit in 32 bits".into();
        return Err(Error::Shape { argument: "map", given, expected });
    };
    let mut bytes = Vec::with_capacity(3 * width as usize * height as usize);
    for portion in image.portions() {
        let values = values(&portion?.f_permute([0i64, 2, 3, 1].as_slice())?)?;
        bytes.extend(values.chunks(image.channels as usize).flat_map(|pixel| colour(pixel).0));
    }
    Ok(RgbImage::from_raw(width, height, bytes).expect("three bytes per pixel"))
}
