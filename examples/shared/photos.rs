//! The photos that the project ships, as data of the demos.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tch::Tensor;

use super::pictures::{decode, resize};

pub const PHOTOS: [&str; 3] = ["astronaut", "chelsea", "coffee"];

/// The photos in the order of [`PHOTOS`], `[3, H, W]`, -1 to 1.
pub fn load() -> Result<Vec<Tensor>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/photos");
    PHOTOS.iter().map(|name| decode(&folder.join(name).with_extension("jpg"))).collect()
}

/// A square of a photo, with `size` pixels a side.
pub fn square(photo: &Tensor, [top, left, side]: [i64; 3], size: i64) -> Tensor {
    resize(&photo.narrow(1, top, side).narrow(2, left, side), size)
}

/// An image of the same form without its colours.
pub fn grey(colour: &Tensor) -> Tensor {
    colour.mean_dim(0, true, None).expand_as(colour)
}

/// Lets `fill` fill the folders `names` in `folder`, which appears when they are whole. It does nothing if `folder` is
/// there.
pub fn make<const N: usize>(
    folder: &Path,
    names: [&str; N],
    fill: impl FnOnce([&Path; N]) -> Result<()>,
) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let partial = folder.with_extension("partial");
    let folders = names.map(|name| partial.join(name));
    for folder in &folders {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    fill(folders.each_ref().map(|folder| folder.as_path()))?;
    fs::rename(&partial, folder).with_context(|| format!("cannot make {}", folder.display()))
}
