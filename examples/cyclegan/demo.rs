//! A task of its own for `--demo`: colours for grey photos, and grey for coloured ones, without pairs.

use std::path::Path;

use anyhow::Result;
use tch::Tensor;
use tch_losses::visual::save_png;

use crate::shared::chance::chance;
use crate::shared::photos::{self, grey, square, PHOTOS};
use crate::shared::pictures::to_picture;
use crate::shared::training::Training;

/// The left part of each photo is for training; the rest is never seen there.
const TRAINING: f64 = 0.7;

/// So many images each of A and of B.
const IMAGES: usize = 240;

/// Those of the demo: what two CPU cores can do in five minutes.
pub fn training() -> Training {
    Training {
        load_size: 72,
        crop_size: 64,
        width: 24,
        depth: 4,
        epochs: 12,
        decay_epochs: 12,
        batch_size: 4,
        learning_rate: 5e-4,
        save_every: 2,
        ..Training::default()
    }
}

/// Writes grey images to `folder/trainA` and `folder/testA`, coloured ones to `folder/trainB` and `folder/testB`, if
/// they are not there.
pub fn make(folder: &Path, size: i64, seed: u64) -> Result<()> {
    photos::make(folder, ["trainA", "trainB", "testA", "testB"], |[train_a, train_b, test_a, test_b]| {
        let photos = photos::load()?;
        let mut chance = chance(seed, "demo", 0);
        for number in 0..IMAGES {
            let photo = &photos[number % PHOTOS.len()];
            let [height, width] = [photo.size()[1] / 2, (photo.size()[2] as f64 * TRAINING) as i64 / 2];
            // A and B have no pixel in common: of the four quarters each has two, which meet in a corner.
            let row = (number / PHOTOS.len()) as i64 % 2;
            for (folder, column) in [(train_a, row), (train_b, 1 - row)] {
                let side = chance.i64(96..=height.min(width));
                let top = row * height + chance.i64(0..=height - side);
                let left = column * width + chance.i64(0..=width - side);
                let colour = square(photo, [top, left, side], size);
                let image = if folder == train_a { grey(&colour) } else { colour };
                write(&image, &folder.join(format!("{number:03}.png")))?;
            }
        }
        // Squares as wide as the rest, one above the other: the images of B are the truth for those of A.
        for (name, photo) in PHOTOS.iter().zip(&photos) {
            let [height, width] = [photo.size()[1], photo.size()[2]];
            let left = (width as f64 * TRAINING) as i64;
            let side = width - left;
            let rows = height / side;
            for row in 0..rows {
                let colour = square(photo, [(height - side) * row / (rows - 1).max(1), left, side], size);
                let name = format!("{name}_{row}.png");
                write(&grey(&colour), &test_a.join(&name))?;
                write(&colour, &test_b.join(&name))?;
            }
        }
        Ok(())
    })
}

fn write(image: &Tensor, path: &Path) -> Result<()> {
    Ok(save_png(&to_picture(image), path)?)
}
