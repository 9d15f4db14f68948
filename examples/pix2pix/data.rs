//! Pairs of images from a folder, and batches of them.

use std::path::Path;

use anyhow::{ensure, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::layout::{self, PairFiles, Strip};
use crate::shared::chance::chance;
use crate::shared::crops::crop;
use crate::shared::pictures::{decode, resize};
use crate::shared::training::Training;

/// Which of a pair is the input.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize, Deserialize)]
pub enum Direction {
    /// A: the left one of a strip, or that in the folder A
    #[value(name = "AtoB")]
    AtoB,
    /// B: the right one of a strip, or that in the folder B
    #[value(name = "BtoA")]
    BtoA,
}

/// The pairs of a data set.
#[derive(Clone, Debug)]
pub struct Pairs {
    files: Vec<PairFiles>,
    strip: Strip,
    direction: Direction,
}

impl Pairs {
    /// All pairs in `folder`: those to learn from and those to validate on, which are every tenth if `folder`
    /// does not tell them apart.
    pub fn open(folder: &Path, strip: Option<&Strip>, direction: Direction) -> Result<[Pairs; 2]> {
        let (mut train, val) = layout::find(folder, strip)?;
        let val = match val {
            Some(val) => val,
            None => {
                ensure!(
                    train.len() > 1,
                    "{} has one pair, which leaves none to validate on: add some, or put it into DIR/train and \
                     others into DIR/val",
                    folder.display()
                );
                split_off_tenth(&mut train)
            }
        };
        let strip = strip.cloned().unwrap_or_default();
        Ok([train, val].map(|files| Pairs { files, strip: strip.clone(), direction }))
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Input and truth, `[3, H, W]`, -1 to 1.
    fn load(&self, index: usize) -> Result<[Tensor; 2]> {
        let [a, b] = match &self.files[index] {
            PairFiles::Two { a, b } => [decode(a)?, decode(b)?],
            PairFiles::Strip(path) => {
                let strip = decode(path)?;
                let width = strip.size()[2] / self.strip.columns() as i64;
                self.strip.pair().map(|column| strip.narrow(2, column as i64 * width, width))
            }
        };
        Ok(match self.direction {
            Direction::AtoB => [a, b],
            Direction::BtoA => [b, a],
        })
    }

    /// Inputs and truths, `[N, 3, size, size]`, without chance.
    pub fn batch(&self, indices: impl IntoIterator<Item = usize>, size: i64) -> Result<[Tensor; 2]> {
        stack(indices.into_iter().map(|index| Ok(self.load(index)?.map(|image| resize(&image, size)))))
    }

    pub fn steps_per_epoch(&self, training: &Training) -> u64 {
        (self.len() as u64).div_ceil(training.batch_size)
    }

    /// The batch of a step, counted from 0: a function of the seed and the step alone, so that a run can be
    /// resumed.
    pub fn training_batch(&self, training: &Training, step: u64) -> Result<[Tensor; 2]> {
        let (seed, steps) = (training.seed.into(), self.steps_per_epoch(training));
        let mut order: Vec<usize> = (0..self.len()).collect();
        chance(seed, "order", step / steps).shuffle(&mut order);
        let mut chunks = order.chunks(training.batch_size as usize);
        let chunk = chunks.nth((step % steps) as usize).expect("one for each step");
        let mut chance = chance(seed, "crops", step);
        stack(chunk.iter().map(|index| Ok(crop(training, self.load(*index)?, &mut chance))))
    }
}

/// Takes every tenth pair out, beginning with the first.
fn split_off_tenth(pairs: &mut Vec<PairFiles>) -> Vec<PairFiles> {
    let (kept, taken): (Vec<_>, Vec<_>) = pairs.drain(..).enumerate().partition(|(index, _)| index % 10 != 0);
    let files = |pairs: Vec<(usize, PairFiles)>| pairs.into_iter().map(|(_, files)| files).collect();
    *pairs = files(kept);
    files(taken)
}

fn stack(pairs: impl Iterator<Item = Result<[Tensor; 2]>>) -> Result<[Tensor; 2]> {
    let (mut inputs, mut truths) = (Vec::new(), Vec::new());
    for pair in pairs {
        let [input, truth] = pair?;
        inputs.push(input);
        truths.push(truth);
    }
    Ok([Tensor::stack(&inputs, 0), Tensor::stack(&truths, 0)])
}
