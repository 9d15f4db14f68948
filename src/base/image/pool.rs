//! Images of fewer pixels, as the reference implementations make them.

use tch::Tensor;

use crate::Result;

/// By how much to shrink images whose shorter side is of 256 pixels to the nearest multiple: at least 1. Halves are
/// rounded to the even number, as Python's `round` does.
pub(crate) fn factor_to_256(height: i64, width: i64) -> i64 {
    ((height.min(width) as f64 / 256.0).round_ties_even() as i64).max(1)
}

/// Means of `size` by `size` pixels; what is left over on the right and at the bottom is dropped.
pub(crate) fn average(images: &Tensor, size: i64) -> Result<Tensor> {
    if size == 1 {
        return Ok(images.shallow_clone());
    }
    Ok(images.f_avg_pool2d([size, size], [size, size], [0, 0], false, true, None::<i64>)?)
}

/// The gradient of the images behind [`average`].
pub(crate) fn average_gradient(gradient: &Tensor, images: &Tensor, size: i64) -> Result<Tensor> {
    if size == 1 {
        return Ok(gradient.shallow_clone());
    }
    let (window, none) = ([size, size], [0i64, 0]);
    Ok(images.f_avg_pool2d_backward(gradient, window, window, none, false, true, None::<i64>)?)
}

/// Means of 2 by 2 pixels. If one of the sides is odd, zeros are added to both sides, on the right and at the bottom,
/// as piq does.
pub(crate) fn halved(images: &Tensor) -> Result<Tensor> {
    let size = images.size();
    let [.., height, width] = size[..] else { unreachable!("an image has four dimensions") };
    if height % 2 == 0 && width % 2 == 0 {
        return average(images, 2);
    }
    average(&images.f_constant_pad_nd([0i64, 1, 0, 1].as_slice())?, 2)
}

#[cfg(test)]
mod tests {
    use super::factor_to_256;

    #[test]
    fn halves_are_rounded_to_even() {
        for (side, factor) in [(1, 1), (383, 1), (384, 2), (512, 2), (640, 2), (641, 3), (1152, 4), (1153, 5)]
        {
            assert_eq!(factor_to_256(side, 2000), factor, "{side}");
        }
    }
}
