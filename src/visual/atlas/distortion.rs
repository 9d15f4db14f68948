//! The faults that photos are given.

use std::f64::consts::TAU;

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{ExtendedColorType, ImageDecoder};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::base::check;
use crate::base::image::window::Window;
use crate::visual::numbers::number;
use crate::{Error, Result};

/// A fault of a picture, of any strength. 0 leaves the picture as it is.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::visual::Distortion;
///
/// let grey = Tensor::full([1, 3, 32, 32], 0.5, (Kind::Float, Device::Cpu));
/// // One pixel brighter, the next one darker.
/// let board = Distortion::Checkerboard.apply(&grey, 0.1, 0)?;
/// assert!((board.double_value(&[0, 0, 0, 0]) - 0.6).abs() < 1e-6);
/// assert!((board.double_value(&[0, 0, 0, 1]) - 0.4).abs() < 1e-6);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Distortion {
    /// A Gaussian window. The strength is its standard deviation in pixels; it ends after three of them, rounded up.
    /// Beyond the edges the picture is mirrored. torchvision's `gaussian_blur`.
    Blur,
    /// A JPEG file, written and read again, without subsampling of colours. The strength is 100 less the quality,
    /// rounded.
    Jpeg,
    /// Gaussian noise, other for each pixel and channel. The strength is its standard deviation. Strengths with the
    /// same seed have the same noise, larger or smaller.
    Noise,
    /// The strength is added to every other pixel and subtracted from those between, as strided transposed
    /// convolutions do.
    Checkerboard,
    /// To the right by so many pixels, interpolated linearly between pixels. The edge is repeated.
    Shift,
    /// Counterclockwise about the middle by so many degrees, interpolated linearly. The edge is repeated.
    Rotation,
    /// `m + (1 - strength) * (x - m)`, where `m` is the mean of the picture's luminance: torchvision's
    /// `adjust_contrast`.
    Contrast,
    /// The strength is added to red and subtracted from blue. Green falls by 0.315 of it, which leaves the luminance
    /// (that of BT.601) as it was.
    ColourCast,
    /// A grey rectangle of the picture's proportions. The strength is its part of the area; the seed tells the place.
    MissingPatch,
}

/// What green weighs in the luminance, and how much more red weighs than blue.
const GREEN: f64 = 0.587;
const RED_WITHOUT_BLUE: f64 = 0.299 - 0.114;
/// No picture may be smaller: the largest window has to fit.
const LEAST_SIDE: i64 = 32;

impl Distortion {
    /// All of them, in the order of the atlas.
    pub const ALL: [Distortion; 9] = [
        Distortion::Blur,
        Distortion::Jpeg,
        Distortion::Noise,
        Distortion::Checkerboard,
        Distortion::Shift,
        Distortion::Rotation,
        Distortion::Contrast,
        Distortion::ColourCast,
        Distortion::MissingPatch,
    ];

    /// The name in pictures and texts, such as `Gaussian blur`.
    pub fn name(self) -> &'static str {
        match self {
            Distortion::Blur => "Gaussian blur",
            Distortion::Jpeg => "JPEG",
            Distortion::Noise => "noise",
            Distortion::Checkerboard => "checkerboard",
            Distortion::Shift => "shift",
            Distortion::Rotation => "rotation",
            Distortion::Contrast => "low contrast",
            Distortion::ColourCast => "colour cast",
            Distortion::MissingPatch => "missing patch",
        }
    }

    /// The strengths that the atlas measures, from faint to strong.
    pub fn strengths(self) -> [f64; 5] {
        match self {
            Distortion::Blur => [0.5, 1.0, 1.5, 2.5, 4.0],
            Distortion::Jpeg => [25.0, 50.0, 75.0, 90.0, 97.0],
            Distortion::Noise | Distortion::Checkerboard => [0.02, 0.05, 0.1, 0.2, 0.3],
            Distortion::Shift | Distortion::Rotation => [0.5, 1.0, 2.0, 4.0, 8.0],
            Distortion::Contrast => [0.1, 0.2, 0.4, 0.6, 0.9],
            Distortion::ColourCast => [0.02, 0.05, 0.1, 0.2, 0.3],
            Distortion::MissingPatch => [0.01, 0.03, 0.06, 0.12, 0.25],
        }
    }

    /// The largest strength that [`apply`](Self::apply) takes.
    pub fn most(self) -> f64 {
        match self {
            Distortion::Blur => 8.0,
            Distortion::Jpeg => 99.0,
            Distortion::Shift | Distortion::Rotation => 16.0,
            _ => 1.0,
        }
    }

    /// A strength in words, such as `σ 2 px` or `quality 50`.
    pub fn label(self, strength: f64) -> String {
        let percent = || number(100.0 * strength, 3);
        match self {
            Distortion::Blur => format!("σ {} px", number(strength, 3)),
            Distortion::Jpeg => format!("quality {}", 100 - strength.round() as i64),
            Distortion::Noise => format!("σ {}", number(strength, 3)),
            Distortion::Checkerboard | Distortion::ColourCast => format!("±{}", number(strength, 3)),
            Distortion::Shift => format!("{} px", number(strength, 3)),
            Distortion::Rotation => format!("{}°", number(strength, 3)),
            Distortion::Contrast => format!("-{} %", percent()),
            Distortion::MissingPatch => format!("{} % of the area", percent()),
        }
    }

    /// The picture with this fault.
    ///
    /// - **Shapes**: `[1, 3, H, W]`, red, green and blue, with sides of 32 pixels at least; the result has the same.
    /// - **Values**: from 0 to 1, before and after.
    /// - **Seed**: noise and the place of the patch depend on it and on nothing else.
    ///
    /// # Errors
    /// Other shapes and kinds; a strength below 0 or above [`most`](Self::most).
    pub fn apply(self, image: &Tensor, strength: f64, seed: u64) -> Result<Tensor> {
        check::image("image", image)?;
        let given = image.size();
        if given[0] != 1 || given[1] != 3 || given[2].min(given[3]) < LEAST_SIDE {
            let expected = format!("[1, 3, H, W] with H and W of {LEAST_SIDE} at least");
            return Err(Error::Shape { argument: "image", given, expected });
        }
        if !(0.0..=self.most()).contains(&strength) {
            let expected = format!("a number from 0 to {}", self.most());
            return Err(Error::Option { option: "strength", given: strength.to_string(), expected });
        }
        let image = image.f_detach()?;
        let distorted = match self {
            Distortion::Blur => blurred(&image, strength)?,
            Distortion::Jpeg => through_jpeg(&image, (100.0 - strength).round() as u8)?,
            Distortion::Noise => image.f_add(&noise(&image, seed)?.f_mul_scalar(strength)?)?,
            Distortion::Checkerboard => image.f_add(&board(&image)?.f_mul_scalar(strength)?)?,
            Distortion::Shift => {
                let width = given[3] as f64;
                sampled(&image, [[1.0, 0.0, -2.0 * strength / width], [0.0, 1.0, 0.0]])?
            }
            Distortion::Rotation => rotated(&image, strength)?,
            Distortion::Contrast => {
                let mean = luminance(&image)?.f_mean(Kind::Double)?.f_double_value(&[])?;
                image.f_mul_scalar(1.0 - strength)?.f_add_scalar(strength * mean)?
            }
            Distortion::ColourCast => {
                let change = [1.0, -RED_WITHOUT_BLUE / GREEN, -1.0].map(|part| part * strength);
                image.f_add(&of_channels(&image, &change)?)?
            }
            Distortion::MissingPatch => without_patch(&image, strength, seed)?,
        };
        Ok(distorted.f_clamp(0.0, 1.0)?)
    }

    /// The picture with this fault at the strength at which the root of the mean squared difference is `error`, and
    /// that strength; `None` where the fault changes this picture less at any strength.
    ///
    /// Some faults have steps, as JPEG has: the difference that remains above `error` is made smaller as a whole.
    pub(super) fn at_error(self, image: &Tensor, error: f64, seed: u64) -> Result<Option<(Tensor, f64)>> {
        let difference = |strength: f64| -> Result<(Tensor, f64)> {
            let difference = self.apply(image, strength, seed)?.f_sub(image)?;
            let square = difference.f_square()?.f_mean(Kind::Double)?.f_double_value(&[])?;
            Ok((difference, square.sqrt()))
        };
        let (mut low, mut high) = (0.0, self.most());
        let (mut found, mut found_error) = difference(high)?;
        if found_error < error {
            return Ok(None);
        }
        // A thousandth of the range is enough: the rest is made smaller.
        for _ in 0..10 {
            let middle = (low + high) / 2.0;
            let (tried, tried_error) = difference(middle)?;
            if tried_error < error {
                low = middle;
            } else {
                (high, found, found_error) = (middle, tried, tried_error);
            }
        }
        Ok(Some((found.f_mul_scalar(error / found_error)?.f_add(image)?, high)))
    }
}

/// A number for each channel, in the image's kind.
fn of_channels(image: &Tensor, numbers: &[f64; 3]) -> Result<Tensor> {
    let numbers = Tensor::f_from_slice(numbers)?.f_view([1, 3, 1, 1])?;
    Ok(numbers.f_to_kind(image.kind())?.f_to_device(image.device())?)
}

/// torchvision's grey.
fn luminance(image: &Tensor) -> Result<Tensor> {
    let weights = of_channels(image, &[0.2989, 0.587, 0.114])?;
    Ok(image.f_mul(&weights)?.f_sum_dim_intlist([1i64].as_slice(), true, image.kind())?)
}

fn blurred(image: &Tensor, deviation: f64) -> Result<Tensor> {
    if deviation == 0.0 {
        return Ok(image.shallow_clone());
    }
    let radius = (3.0 * deviation).ceil() as i64;
    let window = Window::gaussian(2 * radius + 1, deviation, image.kind());
    window.sums(&image.f_reflection_pad2d([radius; 4].as_slice())?)
}

fn through_jpeg(image: &Tensor, quality: u8) -> Result<Tensor> {
    let (height, width) = (image.size()[2], image.size()[3]);
    let bytes = image.f_mul_scalar(255.0)?.f_round()?.f_clamp(0.0, 255.0)?.f_to_kind(Kind::Uint8)?;
    let bytes = bytes.f_squeeze_dim(0)?.f_permute([1i64, 2, 0].as_slice())?.f_contiguous()?;
    let bytes: Vec<u8> = bytes.f_to_device(Device::Cpu)?.f_view([-1i64].as_slice())?.try_into()?;
    let too_large = |error: image::ImageError| Error::Shape {
        argument: "image",
        given: image.size(),
        expected: format!("what fits a JPEG file: {error}"),
    };
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(&bytes, width as u32, height as u32, ExtendedColorType::Rgb8)
        .map_err(too_large)?;
    let decoder = JpegDecoder::new(std::io::Cursor::new(file)).map_err(too_large)?;
    let mut decoded = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut decoded).map_err(too_large)?;
    let decoded = Tensor::f_from_slice(&decoded)?.f_view([1, height, width, 3])?;
    let decoded = decoded.f_permute([0i64, 3, 1, 2].as_slice())?.f_contiguous()?;
    Ok(decoded.f_to_kind(image.kind())?.f_div_scalar(255.0)?.f_to_device(image.device())?)
}

/// Normally distributed numbers, by the method of Box and Muller.
fn noise(image: &Tensor, seed: u64) -> Result<Tensor> {
    let mut random = fastrand::Rng::with_seed(seed);
    let count = image.numel();
    let mut numbers = Vec::with_capacity(count + 1);
    while numbers.len() < count {
        // 1 less a number below 1 has a logarithm.
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        let (sine, cosine) = (TAU * random.f64()).sin_cos();
        numbers.extend([radius * cosine, radius * sine]);
    }
    let numbers = Tensor::f_from_slice(&numbers[..count])?.f_view(image.size().as_slice())?;
    Ok(numbers.f_to_kind(image.kind())?.f_to_device(image.device())?)
}

/// 1 and -1 in turn, from 1 at the upper left.
fn board(image: &Tensor) -> Result<Tensor> {
    let options = (Kind::Int64, image.device());
    let row = |length| Tensor::f_arange(length, options);
    let places = row(image.size()[2])?.f_unsqueeze(1)?.f_add(&row(image.size()[3])?)?;
    Ok(places.f_remainder(2)?.f_mul_scalar(-2)?.f_add_scalar(1)?.f_to_kind(image.kind())?)
}

/// The picture seen through an affine map of coordinates from -1 to 1, linearly between pixels, its edge repeated.
fn sampled(image: &Tensor, [first, second]: [[f64; 3]; 2]) -> Result<Tensor> {
    const BILINEAR: i64 = 0;
    const EDGE: i64 = 1;
    let map = Tensor::f_from_slice(&[first, second].concat())?.f_view([1, 2, 3])?;
    let map = map.f_to_kind(image.kind())?.f_to_device(image.device())?;
    let grid = Tensor::f_affine_grid_generator(&map, image.size().as_slice(), false)?;
    Ok(image.f_grid_sampler_2d(&grid, BILINEAR, EDGE, false)?)
}

fn rotated(image: &Tensor, degrees: f64) -> Result<Tensor> {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let ratio = image.size()[2] as f64 / image.size()[3] as f64;
    sampled(image, [[cosine, -sine * ratio, 0.0], [sine / ratio, cosine, 0.0]])
}

fn without_patch(image: &Tensor, area: f64, seed: u64) -> Result<Tensor> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut side = |length: i64| {
        let covered = (area.sqrt() * length as f64).round() as i64;
        ((random.f64() * (length - covered) as f64).round() as i64, covered)
    };
    let (top, height) = side(image.size()[2]);
    let (left, width) = side(image.size()[3]);
    let picture = image.f_detach_copy()?;
    let _ = picture.f_narrow(2, top, height)?.f_narrow(3, left, width)?.f_fill_(0.5)?;
    Ok(picture)
}
