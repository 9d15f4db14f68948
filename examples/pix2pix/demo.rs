//! A task of its own for `--demo`: colours for the grey photos that the project ships.

use std::path::Path;

use anyhow::Result;
use tch::Tensor;
use tch_losses::visual::save_png;

use crate::shared::chance::chance;
use crate::shared::photos::{self, grey, square, PHOTOS};
use crate::shared::pictures::to_picture;

/// The left part of each photo is for training; the rest is never seen there.
const TRAINING: f64 = 0.6;

const TRAINING_PAIRS: u64 = 240;

/// Writes strips of grey | colour to `folder/train` and `folder/val`, if they are not there.
pub fn make(folder: &Path, size: i64, seed: u64) -> Result<()> {
    photos::make(folder, ["train", "val"], |[train, val]| {
        let photos = photos::load()?;
        let mut chance = chance(seed, "demo", 0);
        for number in 0..TRAINING_PAIRS {
            let photo = &photos[number as usize % PHOTOS.len()];
            let [height, width] = [photo.size()[1], (photo.size()[2] as f64 * TRAINING) as i64];
            let side = chance.i64(120..=height.min(width).min(256));
            let (top, left) = (chance.i64(0..=height - side), chance.i64(0..=width - side));
            write(photo, [top, left, side], size, &train.join(format!("{number:03}.png")))?;
        }
        // Squares as wide as the rest, one above the other.
        for (name, photo) in PHOTOS.iter().zip(&photos) {
            let [height, width] = [photo.size()[1], photo.size()[2]];
            let left = (width as f64 * TRAINING) as i64;
            let side = width - left;
            let rows = (height as f64 / side as f64).ceil() as i64;
            for row in 0..rows {
                let top = (height - side) * row / (rows - 1).max(1);
                write(photo, [top, left, side], size, &val.join(format!("{name}_{row}.png")))?;
            }
        }
        Ok(())
    })
}

fn write(photo: &Tensor, place: [i64; 3], size: i64, path: &Path) -> Result<()> {
    let colour = square(photo, place, size);
    Ok(save_png(&to_picture(&Tensor::cat(&[grey(&colour), colour], 2)), path)?)
}
