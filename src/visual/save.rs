//! Pictures as files.

use std::io::Write;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::RgbImage;

use crate::base::atomic;
use crate::{Error, Result};

/// Writes a PNG file, over the one that may be there. It is there as a whole or not at all.
///
/// # Errors
/// A file that cannot be written.
pub fn save_png(picture: &RgbImage, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    // Half the size of the crate's default, which is the fastest.
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    picture
        .write_with_encoder(encoder)
        .map_err(|error| Error::Write { path: path.into(), reason: std::io::Error::other(error) })?;
    atomic::write(path, |file| file.write_all(&bytes))
}
