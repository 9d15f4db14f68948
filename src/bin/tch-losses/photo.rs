//! Photos as small squares, and pages as files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use tch::Tensor;
use tch_losses::visual::image::codecs::jpeg::JpegEncoder;
use tch_losses::visual::image::RgbImage;
use tch_losses::visual::save_png;

use crate::picture::{self, Limit};

/// The largest photo that is read, in pixels.
const MOST_PIXELS: u64 = 1 << 27;
const LEAST_SIDE: i64 = 32;

/// The middle square of the photo that `option` names as `[1, 3, H, W]` from 0 to 1, no larger than `size`; and the
/// width and height of the photo.
pub fn photo(option: &str, path: &Path, size: i64) -> Result<(Tensor, (i64, i64))> {
    let picture = picture::load(path, (0.0, 1.0), Limit::Fixed(MOST_PIXELS)).context(option.to_owned())?;
    let (width, height) = picture.size();
    if width.min(height) < LEAST_SIDE {
        bail!(
            "{option}: {} has {width} x {height} pixels: give one with {LEAST_SIDE} on each side at least",
            path.display()
        );
    }
    Ok((picture.square(size)?, (width, height)))
}

/// An error where one of the files that `option` is for would replace one of the pictures that are read.
pub fn refuse_to_replace<'a>(
    option: &str,
    outputs: impl IntoIterator<Item = PathBuf>,
    inputs: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<()> {
    let place = |path: &Path| std::fs::canonicalize(path).ok();
    let read: HashSet<PathBuf> = inputs.into_iter().filter_map(|input| place(input)).collect();
    for output in outputs {
        if place(&output).is_some_and(|written| read.contains(&written)) {
            bail!("{option}: {} is one of the pictures that are read", output.display());
        }
    }
    Ok(())
}

/// Writes a page as PNG or JPEG, as its name ends. Where photos are on it, PNG is four times as large.
pub fn save(page: &RgbImage, path: &Path) -> Result<()> {
    const QUALITY: u8 = 85;
    let extension = path.extension().unwrap_or_default();
    if extension.eq_ignore_ascii_case("png") {
        return Ok(save_png(page, path)?);
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let mut file = Vec::new();
    page.write_with_encoder(JpegEncoder::new_with_quality(&mut file, QUALITY))?;
    std::fs::write(path, file).with_context(|| format!("cannot write {}", path.display()))
}

/// An error for a name of a page that [`save`] does not know, to be found before anything is computed.
pub fn check_name(option: &str, path: &Path) -> Result<()> {
    let extension = path.extension().unwrap_or_default();
    if ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    bail!("{option} {}: its name has to end in .png or .jpg", path.display())
}
