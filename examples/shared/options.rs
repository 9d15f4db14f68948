//! The part of the command line that all trainers have.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{ensure, Context, Result};
use clap::builder::TypedValueParser;
use clap::Args;

use super::training::{Place, Training};

#[derive(Debug, Args)]
pub struct TrainingOptions {
    /// The name of the run, which its folder in --runs has [default: the last part of DIR, or demo]
    #[arg(long, value_name = "NAME", help_heading = "The run")]
    name: Option<String>,

    /// Where the folders of the runs are
    #[arg(long, value_name = "DIR", default_value = "runs", help_heading = "The run")]
    pub runs: PathBuf,

    /// Write a sample strip and a checkpoint after so many epochs [default: 5]
    #[arg(long, value_name = "EPOCHS", value_parser = positive(), help_heading = "The run")]
    save_every: Option<u64>,

    /// Where to compute [default: cuda where there is a CUDA device, else cpu]
    #[arg(long, value_enum, help_heading = "The run")]
    device: Option<Place>,

    /// Where all chance comes from: the same seed gives the same run, bit by bit on a CPU [default: 0]
    #[arg(long, value_name = "N", help_heading = "The run")]
    seed: Option<u32>,

    /// Images are resized to a square of so many pixels ... [default: 286]
    #[arg(long, value_name = "PIXELS", value_parser = positive_size(), help_heading = "Images")]
    load_size: Option<i64>,

    /// ... and cropped to one of so many, at a random place; a multiple of 2^depth [default: 256]
    #[arg(long, value_name = "PIXELS", value_parser = positive_size(), help_heading = "Images")]
    crop_size: Option<i64>,

    /// Do not mirror half of the images
    #[arg(long, help_heading = "Images")]
    no_flip: bool,

    /// Channels after the first layer of each network [default: 64]
    #[arg(long, value_name = "N", value_parser = positive_size(), help_heading = "Networks")]
    width: Option<i64>,

    /// How often a generator halves the image [default: as often as it can, but at most 8 times]
    #[arg(long, value_name = "N", value_parser = positive_size(), help_heading = "Networks")]
    depth: Option<i64>,

    /// Epochs with the full learning rate ... [default: 100]
    #[arg(long, value_name = "N", value_parser = epochs(), help_heading = "Training")]
    epochs: Option<u64>,

    /// ... and then epochs in which it falls to 0 [default: 100]
    #[arg(long, value_name = "N", value_parser = epochs(), help_heading = "Training")]
    decay_epochs: Option<u64>,

    /// Pairs of images in a step [default: 1]
    #[arg(long, value_name = "N", value_parser = positive(), help_heading = "Training")]
    batch_size: Option<u64>,

    /// Adam's learning rate, for all networks [default: 0.0002]
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    learning_rate: Option<f64>,
}

impl TrainingOptions {
    /// What was asked for, and `defaults` for the rest.
    pub fn training(&self, data: Option<&Path>, defaults: Training) -> Result<Training> {
        let read = |data: &Path| {
            fs::canonicalize(data).with_context(|| format!("cannot read the folder {}", data.display()))
        };
        let data = data.map(read).transpose()?;
        let name = match (&self.name, &data) {
            (Some(name), _) => name.clone(),
            (None, None) => "demo".into(),
            // Only the root of all folders has no name.
            (None, Some(data)) => {
                data.file_name().context("--data: such a run needs a --name")?.to_string_lossy().into_owned()
            }
        };
        ensure!(
            is_folder_name(&name),
            "--name {name:?}: a run has the name of its folder in {} (--runs), so it cannot be a path",
            self.runs.display()
        );
        let crop_size = self.crop_size.unwrap_or(defaults.crop_size);
        let training = Training {
            name,
            data,
            load_size: self.load_size.unwrap_or(defaults.load_size),
            crop_size,
            flip: !self.no_flip,
            width: self.width.unwrap_or(defaults.width),
            depth: self.depth.unwrap_or_else(|| i64::from(crop_size.trailing_zeros()).min(defaults.depth)),
            epochs: self.epochs.unwrap_or(defaults.epochs),
            decay_epochs: self.decay_epochs.unwrap_or(defaults.decay_epochs),
            batch_size: self.batch_size.unwrap_or(defaults.batch_size),
            learning_rate: self.learning_rate.unwrap_or(defaults.learning_rate),
            save_every: self.save_every.unwrap_or(defaults.save_every),
            device: self.device.unwrap_or(defaults.device),
            seed: self.seed.unwrap_or(defaults.seed),
        };
        training.check()?;
        Ok(training)
    }
}

fn epochs() -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(..=1_000_000)
}

pub fn positive() -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=1_000_000)
}

fn positive_size() -> impl TypedValueParser<Value = i64> {
    clap::value_parser!(i64).range(1..=65_536)
}

/// Whether a folder of that name lies in the folder in which it is made, whatever the system.
fn is_folder_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
        && !name.contains(|character: char| character.is_control() || ['/', '\\'].contains(&character))
}
