//! Pairs of images from a folder, and batches of them.

use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{sync_channel, Receiver};
use std::thread::Scope;

use anyhow::{ensure, Result};
use clap::ValueEnum;
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::layout::{self, PairFiles, Strip};
use crate::pictures::{decode, resize};

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

/// How training batches are made.
#[derive(Clone, Debug)]
pub struct Augmentation {
    pub batch_size: usize,
    /// Images are resized to this ...
    pub load_size: i64,
    /// ... and cropped to this, at random.
    pub crop_size: i64,
    /// Whether half of the pairs are mirrored.
    pub flip: bool,
    pub seed: u64,
}

impl Augmentation {
    pub fn steps_per_epoch(&self, pairs: &Pairs) -> u64 {
        pairs.len().div_ceil(self.batch_size) as u64
    }

    /// The batch of a step, counted from 0: a function of the seed and the step alone, so that a run can be
    /// resumed.
    pub fn batch(&self, pairs: &Pairs, step: u64) -> Result<[Tensor; 2]> {
        let steps = self.steps_per_epoch(pairs);
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        chance(self.seed, "order", step / steps).shuffle(&mut order);
        let chunk = order.chunks(self.batch_size).nth((step % steps) as usize).expect("one for each step");
        let mut chance = chance(self.seed, "crops", step);
        stack(chunk.iter().map(|index| Ok(self.augmented(pairs.load(*index)?, &mut chance))))
    }

    /// The same resizing, crop and mirroring for both images.
    fn augmented(&self, pair: [Tensor; 2], chance: &mut Rng) -> [Tensor; 2] {
        let [top, left] = [(); 2].map(|()| chance.i64(0..=self.load_size - self.crop_size));
        let flip = self.flip && chance.bool();
        pair.map(|image| {
            let image = resize(&image, self.load_size);
            let crop = image.narrow(1, top, self.crop_size).narrow(2, left, self.crop_size);
            if flip {
                crop.flip([2])
            } else {
                crop
            }
        })
    }

    /// The batches of `steps`, made in a thread of their own a few steps ahead.
    pub fn batches<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        pairs: &'scope Pairs,
        mut steps: Range<u64>,
    ) -> Receiver<Result<[Tensor; 2]>> {
        let (sender, receiver) = sync_channel(4);
        scope.spawn(move || {
            // Of this thread: the cores are for the training.
            tch::set_num_threads(1);
            // Nobody listens any more when the training has ended early.
            steps.all(|step| sender.send(self.batch(pairs, step)).is_ok())
        });
        receiver
    }
}

/// A source of chance for one purpose in one step.
pub fn chance(seed: u64, purpose: &str, step: u64) -> Rng {
    let purpose = purpose.bytes().fold(seed, |hash, byte| Rng::with_seed(hash ^ u64::from(byte)).u64(..));
    Rng::with_seed(purpose.wrapping_add(Rng::with_seed(step).u64(..)))
}
