//! Pairs of images from a folder, and batches of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{sync_channel, Receiver};
use std::thread;

use anyhow::{bail, ensure, Context, Result};
use clap::ValueEnum;
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use tch_losses::visual::image::ImageReader;

/// Which half of a strip is the input.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize, Deserialize)]
pub enum Direction {
    /// The left half, or the folder A
    #[value(name = "AtoB")]
    AtoB,
    /// The right half, or the folder B
    #[value(name = "BtoA")]
    BtoA,
}

/// Where the pairs of a data set are.
#[derive(Clone, Debug)]
pub struct Pairs {
    files: Vec<PairFiles>,
    direction: Direction,
}

#[derive(Clone, Debug)]
enum PairFiles {
    /// A beside B in one image.
    Strip(PathBuf),
    Two {
        a: PathBuf,
        b: PathBuf,
    },
}

impl Pairs {
    /// All pairs in `folder`: its images are strips, or it has folders `A` and `B` with images of the same
    /// names. Looks at the sizes of all of them.
    pub fn open(folder: &Path, direction: Direction) -> Result<Pairs> {
        let (a, b) = (folder.join("A"), folder.join("B"));
        let files = if a.is_dir() && b.is_dir() { matched(&a, &b)? } else { strips(folder)? };
        Ok(Pairs { files, direction })
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Takes every tenth pair out, beginning with the first.
    pub fn split_off_tenth(&mut self) -> Pairs {
        let (kept, taken): (Vec<_>, Vec<_>) =
            self.files.drain(..).enumerate().partition(|(index, _)| index % 10 != 0);
        let files = |pairs: Vec<(usize, PairFiles)>| pairs.into_iter().map(|(_, files)| files).collect();
        self.files = files(kept);
        Pairs { files: files(taken), direction: self.direction }
    }

    /// Input and truth, `[3, H, W]`, -1 to 1.
    fn load(&self, index: usize) -> Result<[Tensor; 2]> {
        let [a, b] = match &self.files[index] {
            PairFiles::Two { a, b } => [decode(a)?, decode(b)?],
            PairFiles::Strip(path) => {
                let strip = decode(path)?;
                let width = strip.size()[2] / 2;
                [strip.narrow(2, 0, width), strip.narrow(2, width, width)]
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

fn strips(folder: &Path) -> Result<Vec<PairFiles>> {
    let strips = images(folder)?;
    for path in &strips {
        let (width, height) = size(path)?;
        ensure!(
            width % 2 == 0,
            "{} is {width} x {height} pixels: input and output side by side have an even width",
            path.display()
        );
    }
    Ok(strips.into_iter().map(PairFiles::Strip).collect())
}

fn matched(folder_a: &Path, folder_b: &Path) -> Result<Vec<PairFiles>> {
    let [mut by_name_a, mut by_name_b] = [BTreeMap::new(), BTreeMap::new()];
    for (folder, by_name) in [(folder_a, &mut by_name_a), (folder_b, &mut by_name_b)] {
        for path in images(folder)? {
            let stem = path.file_stem().unwrap_or_default().to_os_string();
            if let Some(other) = by_name.insert(stem, path.clone()) {
                bail!("{} and {} have the same name", other.display(), path.display());
            }
        }
    }
    for (mine, theirs, folder) in [(&by_name_a, &by_name_b, folder_b), (&by_name_b, &by_name_a, folder_a)] {
        if let Some((_, path)) = mine.iter().find(|(stem, _)| !theirs.contains_key(*stem)) {
            bail!("{} has no counterpart in {}", path.display(), folder.display());
        }
    }
    let pairs = by_name_a.into_values().zip(by_name_b.into_values());
    pairs
        .map(|(a, b)| {
            let ((aw, ah), (bw, bh)) = (size(&a)?, size(&b)?);
            ensure!(
                (aw, ah) == (bw, bh),
                "{} and {} differ in size: {aw} x {ah} and {bw} x {bh} pixels",
                a.display(),
                b.display()
            );
            Ok(PairFiles::Two { a, b })
        })
        .collect()
}

/// The PNG and JPEG files in a folder, by name.
fn images(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        if ["png", "jpg", "jpeg"].iter().any(|known| extension == *known) {
            paths.push(path);
        }
    }
    ensure!(!paths.is_empty(), "{} has no PNG or JPEG files", folder.display());
    paths.sort();
    Ok(paths)
}

fn size(path: &Path) -> Result<(u32, u32)> {
    let reader = ImageReader::open(path).and_then(|reader| reader.with_guessed_format());
    let size = reader.map_err(anyhow::Error::from).and_then(|reader| Ok(reader.into_dimensions()?));
    size.with_context(|| format!("cannot read {}", path.display()))
}

/// `[3, H, W]`, -1 to 1.
pub fn decode(path: &Path) -> Result<Tensor> {
    let reader = ImageReader::open(path).and_then(|reader| reader.with_guessed_format());
    let image = reader.map_err(anyhow::Error::from).and_then(|reader| Ok(reader.decode()?.into_rgb8()));
    let image = image.with_context(|| format!("cannot read {}", path.display()))?;
    let (width, height) = image.dimensions();
    let rows = Tensor::from_slice(image.as_raw()).view([i64::from(height), i64::from(width), 3]);
    Ok(rows.permute([2, 0, 1]).to_kind(Kind::Float) / 127.5 - 1.0)
}

/// `[3, H, W]` to a square, as Pillow's bicubic filter does it.
pub fn resize(image: &Tensor, size: i64) -> Tensor {
    if image.size()[1..] == [size, size] {
        return image.shallow_clone();
    }
    let resized = image.unsqueeze(0).internal_upsample_bicubic2d_aa([size, size], false, None, None);
    resized.squeeze_dim(0).clamp(-1.0, 1.0)
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
    fn batch(&self, pairs: &Pairs, step: u64) -> Result<[Tensor; 2]> {
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
    pub fn batches(&self, pairs: &Pairs, steps: std::ops::Range<u64>) -> Receiver<Result<[Tensor; 2]>> {
        let (sender, receiver) = sync_channel(4);
        let (augmentation, pairs) = (self.clone(), pairs.clone());
        thread::spawn(move || {
            // Of this thread: the cores are for the training.
            tch::set_num_threads(1);
            for step in steps {
                // Nobody listens any more when the training has ended with an error.
                if sender.send(augmentation.batch(&pairs, step)).is_err() {
                    break;
                }
            }
        });
        receiver
    }
}

/// A source of chance for one purpose in one step.
pub fn chance(seed: u64, purpose: &str, step: u64) -> Rng {
    let purpose = purpose.bytes().fold(seed, |hash, byte| Rng::with_seed(hash ^ u64::from(byte)).u64(..));
    Rng::with_seed(purpose.wrapping_add(Rng::with_seed(step).u64(..)))
}
