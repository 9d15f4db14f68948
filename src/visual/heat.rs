//! Numbers as colours.

use image::{Rgb, RgbImage};
use tch::Tensor;

use super::pixels::painted;
use super::rows::Image;
use crate::base::check;
use crate::{Error, Result};

/// The colour of values that are not finite: cyan, which the colour map does not have.
pub const NOT_FINITE: Rgb<u8> = Rgb([0, 255, 255]);

/// A map of numbers as a picture of the same size, in the perceptually uniform colour map *inferno*: black,
/// purple, orange, pale yellow.
///
/// - **Shapes**: `[H, W]` or `[1, 1, H, W]`, nothing empty.
/// - **Values**: `range` goes from black to pale yellow, values outside are drawn as its ends; NaN and
///   infinite ones in [`NOT_FINITE`].
/// - **Errors**: other shapes and kinds; a range that is empty or not finite.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::visual::{heat_map, NOT_FINITE};
///
/// let map = Tensor::from_slice(&[0.0, 0.5, 1.0, f64::NAN]).view([2, 2]);
/// let picture = heat_map(&map, (0.0, 1.0))?;
/// assert_eq!(picture.dimensions(), (2, 2));
/// assert_eq!(picture.get_pixel(0, 0).0, [0, 0, 4]);
/// assert_eq!(*picture.get_pixel(1, 1), NOT_FINITE);
/// # Ok::<(), tch_losses::Error>(())
/// ```
pub fn heat_map(map: &Tensor, range: (f64, f64)) -> Result<RgbImage> {
    check::floating("map", map)?;
    range_option(range)?;
    let given = map.size();
    let plane = match given.len() {
        2 => map.f_unsqueeze(0)?.f_unsqueeze(0)?,
        4 => map.shallow_clone(),
        _ => {
            let expected = "[H, W] or [1, 1, H, W]".into();
            return Err(Error::Shape { argument: "map", given, expected });
        }
    };
    heat(Image::single("map", &plane, &[1], None)?, range)
}

/// [`heat_map`] of a plane.
pub(super) fn heat(plane: Image, range: (f64, f64)) -> Result<RgbImage> {
    painted(plane, |value| finite(value, |value| heat_colour(position(value[0], range))))
}

/// The colour at a place on the scale; its ends for places beyond 0 and 1.
pub(super) fn heat_colour(position: f64) -> Rgb<u8> {
    Rgb(colorous::INFERNO.eval_continuous(position).into_array())
}

/// An image of one or three channels as a grey or colour picture, `range` from black to full.
pub(super) fn photo(image: Image, range: (f64, f64)) -> Result<RgbImage> {
    let level = |value| (position(value, range) * 255.0).round() as u8;
    painted(image, |pixel| {
        finite(pixel, |pixel| match pixel {
            [red, green, blue] => Rgb([level(*red), level(*green), level(*blue)]),
            _ => Rgb([level(pixel[0]); 3]),
        })
    })
}

/// A range that can be drawn.
pub(super) fn range_option(range @ (low, high): (f64, f64)) -> Result<()> {
    if low < high && (high - low).is_finite() {
        return Ok(());
    }
    let expected = "two finite numbers, the first less than the second".into();
    Err(Error::Option { option: "range", given: format!("{range:?}"), expected })
}

/// Where `value` lies in `range`: from 0 to 1, or beyond.
fn position(value: f64, (low, high): (f64, f64)) -> f64 {
    (value - low) / (high - low)
}

fn finite(pixel: &[f64], colour: impl Fn(&[f64]) -> Rgb<u8>) -> Rgb<u8> {
    if pixel.iter().all(|value| value.is_finite()) {
        colour(pixel)
    } else {
        NOT_FINITE
    }
}
