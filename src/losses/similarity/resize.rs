//! Images in another size, by cubic interpolation as MATLAB has it: what is finer than the new pixels is averaged, and
//! the image goes on mirrored beyond its borders.

use tch::{Device, Kind, Tensor};

use crate::base::integer::div_ceil;
use crate::Result;

/// The weights `[to, from]` of the old pixels along an axis in the new ones. `scale` is how many new pixels there are to
/// an old one.
pub(super) fn resizing(from: i64, to: i64, scale: f64, options: (Kind, Device)) -> Result<Tensor> {
    // An image that shrinks has a kernel that reaches as much farther.
    let shrunk = scale.min(1.0);
    let copies = div_ceil((2.0 / shrunk).ceil() as i64 + 1, from);
    let places = Tensor::f_arange(to, options)?.f_add_scalar(0.5)?.f_div_scalar(scale)?.f_sub_scalar(0.5)?;
    let pixels = Tensor::f_arange_start(-copies * from, (copies + 1) * from, options)?;
    let weights = cubic(&places.f_unsqueeze(1)?.f_sub(&pixels)?.f_mul_scalar(shrunk)?)?;
    let weights = weights.f_div(&weights.f_sum_dim_intlist([1i64].as_slice(), true, None::<Kind>)?)?;
    // The image and its copies on both sides, of which each is the mirror image of its neighbours.
    let copies = (-copies..=copies).enumerate().map(|(index, copy)| {
        let part = weights.f_narrow(1, index as i64 * from, from)?;
        Ok(if copy % 2 == 0 { part } else { part.f_flip([1i64].as_slice())? })
    });
    let copies = Tensor::f_stack(&copies.collect::<Result<Vec<_>>>()?, 0)?;
    Ok(copies.f_sum_dim_intlist([0i64].as_slice(), false, None::<Kind>)?)
}

/// Planes `[.., H, W]` in another size, by [`resizing`] of the rows and of the columns.
pub(super) fn resized(planes: &Tensor, [down, across]: &[Tensor; 2]) -> Result<Tensor> {
    Ok(down.f_matmul(planes)?.f_matmul(&across.f_transpose(0, 1)?)?)
}

/// Keys' kernel, which is 0 from 2 on.
fn cubic(distance: &Tensor) -> Result<Tensor> {
    let d = distance.f_abs()?.f_clamp_max(2.0)?;
    // a d³ + b d² + c d + e
    let polynomial = |[a, b, c, e]: [f64; 4]| -> Result<Tensor> {
        let sum = d.f_mul_scalar(a)?.f_add_scalar(b)?.f_mul(&d)?.f_add_scalar(c)?;
        Ok(sum.f_mul(&d)?.f_add_scalar(e)?)
    };
    let (near, far) = (polynomial([1.5, -2.5, 0.0, 1.0])?, polynomial([-0.5, 2.5, -4.0, 2.0])?);
    Ok(near.f_where_self(&d.f_le(1.0)?, &far)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::<f64>::try_from(tensor.flatten(0, -1)).unwrap()
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let weights = resizing(5, 5, 1.0, DOUBLE).unwrap();
        assert_eq!(numbers(&weights), numbers(&Tensor::eye(5, DOUBLE)));
    }

    #[test]
    fn flat_images_stay_flat() {
        for (from, to, scale) in [(40, 10, 0.25), (7, 2, 0.25), (2, 1, 0.25), (11, 41, 41.0 / 11.0)] {
            let sums =
                resizing(from, to, scale, DOUBLE).unwrap().sum_dim_intlist([1i64].as_slice(), false, None);
            assert!(numbers(&sums).iter().all(|sum| (sum - 1.0).abs() < 1e-14), "{from} to {to}: {sums}");
        }
    }

    #[test]
    fn beyond_the_borders_the_image_is_mirrored() {
        // New pixel 0 is at -0.25 of the old ones: those at -2, -1, 0 and 1 count, of which two are mirror images.
        let kernel = |d: f64| match d {
            d if d <= 1.0 => 1.5 * d.powi(3) - 2.5 * d.powi(2) + 1.0,
            d => -0.5 * d.powi(3) + 2.5 * d.powi(2) - 4.0 * d + 2.0,
        };
        let first = numbers(&resizing(4, 8, 2.0, DOUBLE).unwrap().get(0));
        let expected = [kernel(0.25) + kernel(0.75), kernel(1.25) + kernel(1.75), 0.0, 0.0];
        for (own, expected) in first.iter().zip(expected) {
            assert!((own - expected).abs() < 1e-14, "{first:?}");
        }
    }
}
