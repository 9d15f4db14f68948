//! From tensors to pixels.

use image::{Rgb, RgbImage};
use tch::{Device, Kind, Tensor};

use crate::{check, Error, Result};

/// One plane or image, as `[C, H, W]` in f64 on the CPU, whatever the tensor was.
///
/// Accepts `[1, C, H, W]` with one of the channel counts of `channels`, and only the height and width of
/// `like`, if given.
pub(super) fn single(
    argument: &'static str,
    tensor: &Tensor,
    channels: &[i64],
    like: Option<&Tensor>,
) -> Result<Tensor> {
    check::image(argument, tensor)?;
    let given = tensor.size();
    let size = like.map_or_else(|| given.clone(), Tensor::size);
    if given[0] != 1 || !channels.contains(&given[1]) || given[2..] != size[size.len() - 2..] {
        let shapes = channels.iter().map(|channels| match like {
            Some(_) => format!("[1, {channels}, {}, {}]", size[size.len() - 2], size[size.len() - 1]),
            None => format!("[1, {channels}, H, W]"),
        });
        let expected = shapes.collect::<Vec<_>>().join(" or ");
        return Err(Error::Shape { argument, given, expected });
    }
    Ok(tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_squeeze_dim(0)?)
}

/// `[C, H, W]` at another size: the mean over the area that a new pixel covers. Enlarged, the old pixels show
/// as even rectangles.
pub(super) fn resized(planes: &Tensor, (width, height): (u32, u32)) -> Result<Tensor> {
    let size = planes.size();
    let target = [i64::from(height), i64::from(width)];
    let mut enlarged = planes.shallow_clone();
    for (dim, (old, new)) in (1..).zip(size[1..].iter().zip(target)) {
        enlarged = enlarged.f_repeat_interleave_self_int((new + old - 1) / old, dim, None)?;
    }
    Ok(enlarged.f_adaptive_avg_pool2d(target.as_slice())?)
}

/// The values of a tensor, in its order.
pub(super) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.f_reshape([-1i64].as_slice())?.try_into()?)
}

/// `[C, H, W]` as a picture, each pixel's channels turned into a colour.
pub(super) fn painted(planes: &Tensor, colour: impl Fn(&[f64]) -> Rgb<u8>) -> Result<RgbImage> {
    let size = planes.size();
    let values = values(&planes.f_permute([1i64, 2, 0].as_slice())?)?;
    let (Ok(height), Ok(width)) = (u32::try_from(size[1]), u32::try_from(size[2])) else {
        let expected = "H and W that fit in 32 bits".into();
        return Err(Error::Shape { argument: "map", given: size, expected });
    };
    let bytes = values.chunks(size[0] as usize).flat_map(|pixel| colour(pixel).0).collect();
    Ok(RgbImage::from_raw(width, height, bytes).expect("three bytes per pixel"))
}
