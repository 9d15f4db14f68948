//! Two sets of images, and batches of them.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Result};
use tch::Tensor;

use crate::shared::chance::chance;
use crate::shared::crops::crop;
use crate::shared::folder::Entries;
use crate::shared::pictures::{decode, resize, size};
use crate::shared::training::Training;

/// The end of every message about a folder that is laid out otherwise.
const ACCEPTED: &str = "\
Accepted are PNG and JPEG files in the folders
  DIR/trainA, DIR/trainB    the images to learn from, in any number each
  DIR/testA, DIR/testB      those that the samples are of, or neither of the two";

/// A set of images.
#[derive(Debug)]
struct Images(Vec<PathBuf>);

impl Images {
    /// All images of a folder. Looks at the beginning of each.
    fn open(folder: &Path) -> Result<Images> {
        let entries = Entries::of(folder)?;
        ensure!(
            !entries.images.is_empty(),
            "{} has no PNG or JPEG files; it {}\n{ACCEPTED}",
            folder.display(),
            entries.found()
        );
        entries.images.iter().try_for_each(|path| size(path).map(drop))?;
        Ok(Images(entries.images))
    }

    /// So many images in the order of an epoch, each of them as often as the others, or once more.
    fn order(&self, seed: u64, purpose: &str, epoch: u64, count: usize) -> Vec<usize> {
        let mut chance = chance(seed, purpose, epoch);
        let mut order = Vec::new();
        while order.len() < count {
            let mut all: Vec<usize> = (0..self.0.len()).collect();
            chance.shuffle(&mut all);
            order.extend(all);
        }
        order.truncate(count);
        order
    }
}

/// The sets A and B.
#[derive(Debug)]
pub struct Sets([Images; 2]);

impl Sets {
    /// Those to learn from, and those that samples are of.
    pub fn open(folder: &Path) -> Result<(Sets, Option<Sets>)> {
        let name = folder.display();
        let [train, test] =
            [["trainA", "trainB"], ["testA", "testB"]].map(|names| names.map(|name| folder.join(name)));
        for path in &train {
            ensure!(
                path.is_dir(),
                "{name} lacks the folder {}; it {}\n{ACCEPTED}",
                path.file_name().unwrap_or_default().display(),
                Entries::of(folder)?.found()
            );
        }
        let open = |[a, b]: &[PathBuf; 2]| -> Result<Sets> { Ok(Sets([Images::open(a)?, Images::open(b)?])) };
        Ok((
            open(&train)?,
            match test.each_ref().map(|path| path.is_dir()) {
                [true, true] => Some(open(&test)?),
                [false, false] => None,
                [a, _] => {
                    let (there, missing) = if a { ("testA", "testB") } else { ("testB", "testA") };
                    bail!("{name} has the folder {there}, but no folder {missing}\n{ACCEPTED}")
                }
            },
        ))
    }

    /// How many images each set has.
    pub fn sizes(&self) -> [usize; 2] {
        self.0.each_ref().map(|images| images.0.len())
    }

    /// An epoch shows each image of the larger set once.
    fn epoch(&self) -> usize {
        let [a, b] = self.sizes();
        a.max(b)
    }

    pub fn steps_per_epoch(&self, training: &Training) -> u64 {
        (self.epoch() as u64).div_ceil(training.batch_size)
    }

    /// Images of A and of B, as many, in the step counted from 0: a function of the seed and the step alone, so that a
    /// run can be resumed.
    pub fn training_batch(&self, training: &Training, step: u64) -> Result<[Tensor; 2]> {
        let (seed, steps) = (training.seed.into(), self.steps_per_epoch(training));
        let batch = |images: &Images, name: &str| -> Result<Tensor> {
            let order = images.order(seed, &format!("order {name}"), step / steps, self.epoch());
            let mut chunks = order.chunks(training.batch_size as usize);
            let chunk = chunks.nth((step % steps) as usize).expect("one for each step");
            let mut chance = chance(seed, &format!("crops {name}"), step);
            let crops = chunk.iter().map(|index| {
                let [image] = crop(training, [decode(&images.0[*index])?], &mut chance);
                Ok(image)
            });
            Ok(Tensor::stack(&crops.collect::<Result<Vec<Tensor>>>()?, 0))
        };
        let Sets([a, b]) = self;
        Ok([batch(a, "A")?, batch(b, "B")?])
    }

    /// So many images of each set at most, from all over it, without chance.
    pub fn samples(&self, most: usize, size: i64) -> Result<[Tensor; 2]> {
        let [a, b] = self.sizes();
        let rows = most.min(a).min(b);
        let Sets([a, b]) = self;
        let some = |images: &Images| -> Result<Tensor> {
            let places = (0..rows).map(|row| row * images.0.len() / rows);
            let images = places.map(|index| Ok(resize(&decode(&images.0[index])?, size)));
            Ok(Tensor::stack(&images.collect::<Result<Vec<Tensor>>>()?, 0))
        };
        Ok([some(a)?, some(b)?])
    }
}
