//! Image files as tensors.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{bail, Context, Result};
use tch::Tensor;
use tch_losses::visual::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::note;

/// More pixels than this are refused before they are decoded: in f32 the losses of such a pair take some
/// gigabytes.
const MOST_PIXELS: u64 = 1 << 25;

/// The PNG or JPEG file at `path`, told by its content, as `[1, 3, H, W]` in f32 on the CPU, 0 to 1.
///
/// Samples of 8 and 16 bits are divided by 255 and 65535, grey becomes three equal channels, alpha is dropped
/// with a note on stderr. Colour profiles, gamma and EXIF orientation are left alone, as NumPy users' loaders
/// do.
pub fn load(path: &Path) -> Result<Tensor> {
    let name = path.display();
    let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
    match reader.format() {
        Some(ImageFormat::Png) => {}
        Some(ImageFormat::Jpeg) => check_complete_jpeg(&bytes).with_context(|| undecodable(path))?,
        Some(other) => bail!("{name} is a {other:?} file: convert it to PNG or JPEG"),
        None => bail!("{name} is not an image: neither PNG nor JPEG by its content"),
    }
    let decoder = reader.into_decoder().with_context(|| undecodable(path))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        bail!(
            "{name} has {width} x {height} pixels, more than the {MOST_PIXELS} accepted: crop or reduce it"
        );
    }
    let colour = decoder.color_type();
    if colour.has_alpha() {
        note(format_args!("{name}: alpha channel dropped"));
    }
    let deep = colour.bits_per_pixel() > 8 * u16::from(colour.channel_count());
    let image = DynamicImage::from_decoder(decoder).with_context(|| undecodable(path))?;
    let samples: Vec<f32> = if deep {
        image.into_rgb16().iter().map(|sample| f32::from(*sample) / 65535.0).collect()
    } else {
        image.into_rgb8().iter().map(|sample| f32::from(*sample) / 255.0).collect()
    };
    let rows = Tensor::f_from_slice(&samples)?.f_view([1, i64::from(height), i64::from(width), 3])?;
    Ok(rows.f_permute([0i64, 3, 1, 2].as_slice())?.f_contiguous()?)
}

fn undecodable(path: &Path) -> String {
    format!("cannot decode {}, save or fetch it anew", path.display())
}

/// The decoder fills up what is missing with grey, so look for the end marker: from segment to segment, for
/// thumbnails in them have end markers of their own.
fn check_complete_jpeg(bytes: &[u8]) -> Result<()> {
    // Within a scan's data 0xff is followed by zero or, between restart intervals, by 0xd0 to 0xd7.
    let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
    let mut rest = &bytes[2..];
    while let Some(start) = rest.windows(2).position(is_marker) {
        match rest[start..] {
            [_, 0xd9, ..] => return Ok(()),
            [_, _, high, low, ..] => {
                let end = start + 2 + usize::from(u16::from_be_bytes([high, low]));
                rest = rest.get(end..).unwrap_or_default();
            }
            _ => break,
        }
    }
    bail!("its end is missing")
}
