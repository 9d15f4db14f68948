//! A task of its own for `--demo`: colours for the grey photos that the project ships.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tch::Tensor;
use tch_losses::visual::save_png;

use crate::data::chance;
use crate::pictures::{decode, resize, to_picture};

const PHOTOS: [&str; 3] = ["astronaut.jpg", "chelsea.jpg", "coffee.jpg"];

/// The left part of each photo is for training; the rest is never seen there.
const TRAINING: f64 = 0.6;

const TRAINING_PAIRS: u64 = 240;

/// Writes strips of grey | colour to `folder/train` and `folder/val`, if they are not there.
pub fn make(folder: &Path, size: i64, seed: u64) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let partial = folder.with_extension("partial");
    let [train, val] = ["train", "val"].map(|name| partial.join(name));
    for folder in [&train, &val] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let photos = PHOTOS.map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/photos").join(name));
    let mut photos = photos.iter().map(|path| decode(path)).collect::<Result<Vec<_>>>()?;
    let mut chance = chance(seed, "demo", 0);
    for number in 0..TRAINING_PAIRS {
        let photo = &photos[number as usize % PHOTOS.len()];
        let [height, width] = [photo.size()[1], (photo.size()[2] as f64 * TRAINING) as i64];
        let side = chance.i64(120..=height.min(width).min(256));
        let (top, left) = (chance.i64(0..=height - side), chance.i64(0..=width - side));
        write(photo, [top, left, side], size, &train.join(format!("{number:03}.png")))?;
    }
    // Squares as wide as the rest, one above the other.
    for (name, photo) in PHOTOS.iter().zip(&mut photos) {
        let [height, width] = [photo.size()[1], photo.size()[2]];
        let left = (width as f64 * TRAINING) as i64;
        let side = width - left;
        let rows = (height as f64 / side as f64).ceil() as i64;
        for row in 0..rows {
            let top = (height - side) * row / (rows - 1).max(1);
            let name = name.replace(".jpg", &format!("_{row}.png"));
            write(photo, [top, left, side], size, &val.join(name))?;
        }
    }
    fs::rename(&partial, folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn write(photo: &Tensor, [top, left, side]: [i64; 3], size: i64, path: &Path) -> Result<()> {
    let colour = resize(&photo.narrow(1, top, side).narrow(2, left, side), size);
    let grey = colour.mean_dim(0, true, None).expand_as(&colour);
    Ok(save_png(&to_picture(&Tensor::cat(&[grey, colour], 2)), path)?)
}
