//! Image files, decoded.

use std::fs;
use std::io::{Cursor, ErrorKind};
use std::path::Path;

use anyhow::{anyhow, bail, Context, Result};
use file_format::FileFormat;
use tch::{Kind, Tensor};
use tch_losses::printable;
use tch_losses::visual::image::imageops::crop_imm;
use tch_losses::visual::image::metadata::Orientation;
use tch_losses::visual::image::{
    DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Rgb, RgbImage,
};
use tch_losses::visual::ImageRows;

use crate::note;

/// The values that black and white have for the losses.
pub type Ends = (f64, f64);

/// A picture that was read from a file.
///
/// As 8 or 16 bits, as in the file, it takes a quarter or half of the memory that its `[1, 3, H, W]` in f32 would.
#[derive(Debug)]
pub struct Picture {
    samples: Samples,
    ends: Ends,
}

#[derive(Debug)]
enum Samples {
    Eight(RgbImage),
    Sixteen(ImageBuffer<Rgb<u16>, Vec<u16>>),
}

impl Picture {
    /// Width and height.
    pub fn size(&self) -> (i64, i64) {
        let (width, height) = match &self.samples {
            Samples::Eight(image) => image.dimensions(),
            Samples::Sixteen(image) => image.dimensions(),
        };
        (width.into(), height.into())
    }

    pub fn size_in_words(&self) -> String {
        let (width, height) = self.size();
        format!("{width} x {height}")
    }

    /// One of `count` equal parts side by side; the first one is at the left.
    pub fn part(&self, number: i64, count: i64) -> Picture {
        let (width, height) = self.size();
        let width = width / count;
        let (left, width, height) = ((number * width) as u32, width as u32, height as u32);
        let samples = match &self.samples {
            Samples::Eight(image) => Samples::Eight(crop_imm(image, left, 0, width, height).to_image()),
            Samples::Sixteen(image) => Samples::Sixteen(crop_imm(image, left, 0, width, height).to_image()),
        };
        Picture { samples, ends: self.ends }
    }

    /// The middle square as `[1, 3, H, W]` in f32, made smaller if its side is more than `most`.
    pub fn square(&self, most: i64) -> Result<Tensor> {
        let (width, height) = self.size();
        let side = width.min(height);
        let square = self.rows((height - side) / 2, side)?.f_narrow(3, (width - side) / 2, side)?;
        if side <= most {
            return Ok(square.f_contiguous()?);
        }
        let (low, high) = self.ends;
        let smaller = square.f_internal_upsample_bicubic2d_aa([most, most], false, None, None)?;
        // Next to edges, the bicubic weights go beyond what was there.
        Ok(smaller.f_clamp(low, high)?)
    }
}

/// The samples in f32 on the CPU, from one of the ends to the other.
impl ImageRows for Picture {
    fn shape(&self, _argument: &'static str) -> tch_losses::Result<[i64; 4]> {
        let (width, height) = self.size();
        Ok([1, 3, height, width])
    }

    fn rows(&self, start: i64, count: i64) -> tch_losses::Result<Tensor> {
        let width = self.size().0;
        let samples = (3 * width * start) as usize..(3 * width * (start + count)) as usize;
        let (samples, white) = match &self.samples {
            Samples::Eight(image) => (Tensor::f_from_slice(&image.as_raw()[samples])?, 255.0),
            Samples::Sixteen(image) => {
                let samples: Vec<i32> = image.as_raw()[samples].iter().copied().map(i32::from).collect();
                (Tensor::f_from_slice(&samples)?, 65535.0)
            }
        };
        let rows =
            samples.f_view([1, count, width, 3])?.f_permute([0i64, 3, 1, 2].as_slice())?.f_contiguous()?;
        let (low, high) = self.ends;
        let mut values = rows.f_to_kind(Kind::Float)?;
        Ok(values.f_div_scalar_(white)?.f_mul_scalar_(high - low)?.f_add_scalar_(low)?)
    }
}

/// The most pixels of a picture that is read.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// What `--max-pixels` says.
    Option(u64),
    /// Of commands without that option.
    Fixed(u64),
}

/// Reads the picture at `path`, whose format its content tells.
///
/// Samples of 8 and 16 bits are divided by 255 and 65535, grey becomes three equal channels, alpha is dropped, and
/// the picture is turned as its EXIF orientation says; of the last two, notes on stderr tell. Colour profiles and
/// gamma are left alone, as PyTorch users' loaders do.
pub fn load(path: &Path, ends: Ends, limit: Limit) -> Result<Picture> {
    let (max_pixels, limit, advice) = match limit {
        Limit::Option(pixels) => (pixels, "of --max-pixels", "crop or reduce it, or raise the limit"),
        Limit::Fixed(pixels) => (pixels, "that can be read here", "crop or reduce it"),
    };
    let name = path.display().to_string();
    let name = printable(&name).to_string();
    let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let mut reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
    match reader.format() {
        Some(ImageFormat::Png | ImageFormat::WebP | ImageFormat::Tiff | ImageFormat::Bmp) => {}
        Some(ImageFormat::Jpeg) if is_complete_jpeg(&bytes) => {}
        Some(ImageFormat::Jpeg) => return Err(incomplete(&name)),
        _ => return Err(unread(&name, &bytes)),
    }
    // The size is known, and refused, before anything of it is allocated; 16 bytes are a pixel and room to decode it.
    let mut limits = Limits::default();
    limits.max_alloc = limits.max_alloc.max(Some(max_pixels.saturating_mul(16)));
    reader.limits(limits);
    let undecodable = |error| undecodable(&name, error);
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > max_pixels {
        bail!("{name} has {width} x {height} pixels, more than the {max_pixels} {limit}: {advice}");
    }
    if width == 0 || height == 0 {
        bail!("{name} has no pixels");
    }
    let colour = decoder.color_type();
    let sample_bytes = colour.bytes_per_pixel() / colour.channel_count();
    if sample_bytes > 2 {
        bail!("{name} has floating-point samples: convert it to 8 or 16 bits");
    }
    if colour.has_alpha() {
        note(format_args!("{name}: alpha channel dropped"));
    }
    let orientation = decoder.orientation().map_err(undecodable)?;
    if orientation != Orientation::NoTransforms {
        note(format_args!("{name}: turned as its EXIF orientation says"));
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    drop(bytes);
    image.apply_orientation(orientation);
    let samples = match sample_bytes {
        1 => Samples::Eight(image.into_rgb8()),
        _ => Samples::Sixteen(image.into_rgb16()),
    };
    Ok(Picture { samples, ends })
}

/// What is wrong with the file `name`, and what helps.
fn undecodable(name: &str, error: ImageError) -> anyhow::Error {
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => incomplete(name),
        // The message of an error has that of its source in it: as a chain of errors it would be printed twice.
        ImageError::Unsupported(_) => anyhow!("cannot decode {name}, convert it to PNG: {error}"),
        _ => anyhow!("cannot decode {name}, save or fetch it anew: {error}"),
    }
}

fn incomplete(name: &str) -> anyhow::Error {
    anyhow!("{name} is not whole, its end is missing: save or fetch it anew")
}

/// What is wrong with a file that is in none of the formats that are read.
fn unread(name: &str, bytes: &[u8]) -> anyhow::Error {
    const READ: &str = "PNG, JPEG, WebP, TIFF and BMP are read";
    if bytes.is_empty() {
        return anyhow!("{name} is an empty file");
    }
    let format = FileFormat::from_bytes(bytes);
    match format.kind() {
        // The usual TGA file, which has no signature, begins as a cursor does that has no picture.
        _ if bytes.starts_with(&[0, 0, 2, 0, 0, 0]) => {
            anyhow!("{name} is a picture in TGA format, convert it: {READ}")
        }
        _ if bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+") => {
            anyhow!("{name} is a BigTIFF picture, save it as an ordinary TIFF: {READ}")
        }
        file_format::Kind::Image => {
            let format = format.short_name().unwrap_or(format.name());
            anyhow!("{name} is a picture in {format} format, convert it: {READ}")
        }
        _ if format == FileFormat::default() => anyhow!("{name} is not an image: {READ}"),
        _ => anyhow!("{name} is not an image, it looks like {}: {READ}", format.name()),
    }
}

/// The decoder fills up what is missing with grey, so look for the end marker: from segment to segment, for
/// thumbnails in them have end markers of their own.
fn is_complete_jpeg(bytes: &[u8]) -> bool {
    // Within a scan's data 0xff is followed by zero or, between restart intervals, by 0xd0 to 0xd7.
    let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
    let mut rest = &bytes[2..];
    while let Some(start) = rest.windows(2).position(is_marker) {
        match rest[start..] {
            [_, 0xd9, ..] => return true,
            [_, _, high, low, ..] => {
                let end = start + 2 + usize::from(u16::from_be_bytes([high, low]));
                rest = rest.get(end..).unwrap_or_default();
            }
            _ => break,
        }
    }
    false
}
