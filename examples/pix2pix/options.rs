//! The command line, and what it comes to.

use std::fs;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use tch::{Cuda, Device};
use tch_losses::manager::{pix2pix, Lambdas, Objective, Ramp, Schedule, Subspec};

use crate::data::{Augmentation, Direction};

/// pix2pix: learns from pairs of images to turn the one into the other.
///
/// A U-Net paints, a PatchGAN judges, and tch-losses' loss manager weighs the losses between them.
/// Everything goes to the folder of the run: objective, loss log, checkpoints, samples, heat maps, curves. A
/// run that was interrupted, even by kill -9, goes on with --resume as if nothing had happened.
#[derive(Debug, Parser)]
#[command(name = "pix2pix", max_term_width = 100, after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["data", "demo", "resume"])))]
pub struct Options {
    /// The pairs: strips (input and output side by side in one image), or folders A and B with images of the
    /// same names. They are in DIR itself, or those to learn from in DIR/train and those to validate on in
    /// DIR/val; without DIR/val every tenth pair is kept back for that
    #[arg(long, value_name = "DIR", help_heading = "What to do (one of them)")]
    data: Option<PathBuf>,

    /// Learn to colour grey photos, from parts of three photos that come with the project: some five
    /// minutes on two CPU cores
    #[arg(long, help_heading = "What to do (one of them)")]
    demo: bool,

    /// Go on with the run in this folder, with the options that it was started with
    #[arg(long, value_name = "RUN", exclusive = true, help_heading = "What to do (one of them)")]
    pub resume: Option<PathBuf>,

    /// The name of the run: its folder is runs/NAME [default: the last part of DIR, or demo]
    #[arg(long, value_name = "NAME", help_heading = "The run")]
    name: Option<String>,

    /// Where the folders of the runs are
    #[arg(long, value_name = "DIR", default_value = "runs", help_heading = "The run")]
    pub runs: PathBuf,

    /// Validate, write a sample strip and a checkpoint after so many epochs [default: 5]
    #[arg(long, value_name = "EPOCHS", value_parser = positive(), help_heading = "The run")]
    save_every: Option<u64>,

    /// Write heat maps of the image losses after so many steps [default: 1000]
    #[arg(long, value_name = "STEPS", value_parser = positive(), help_heading = "The run")]
    maps_every: Option<u64>,

    /// Where to compute [default: cuda where there is a CUDA device, else cpu]
    #[arg(long, value_enum, help_heading = "The run")]
    device: Option<Place>,

    /// Where all chance comes from: the same seed gives the same run, bit by bit on a CPU [default: 0]
    #[arg(long, value_name = "N", help_heading = "The run")]
    seed: Option<u32>,

    /// Which of the two is the input [default: AtoB, left to right]
    #[arg(long, value_enum, help_heading = "Images")]
    direction: Option<Direction>,

    /// Both images of a pair are resized to a square of so many pixels ... [default: 286]
    #[arg(long, value_name = "PIXELS", value_parser = positive_size(), help_heading = "Images")]
    load_size: Option<i64>,

    /// ... and cropped to one of so many, at a random place; a multiple of 2^depth [default: 256]
    #[arg(long, value_name = "PIXELS", value_parser = positive_size(), help_heading = "Images")]
    crop_size: Option<i64>,

    /// Do not mirror half of the pairs
    #[arg(long, help_heading = "Images")]
    no_flip: bool,

    /// An objective of your own, as a TOML or JSON file
    ///
    /// It has the losses G_GAN, D_real and D_fake, and any number of others with the tag `image`, which
    /// compare the generator's image with the true one. See examples/pix2pix/objective.toml.
    #[arg(long, value_name = "FILE", conflicts_with = "loss", help_heading = "Objective")]
    objective: Option<PathBuf>,

    /// Which losses [default: basic]
    #[arg(long, value_enum, help_heading = "Objective")]
    loss: Option<LossSet>,

    #[command(flatten)]
    lambdas: LambdaOptions,

    /// Channels after the first layer of each network [default: 64]
    #[arg(long, value_name = "N", value_parser = positive_size(), help_heading = "Networks")]
    width: Option<i64>,

    /// How often the generator halves the image [default: as often as it can, but at most 8 times]
    #[arg(long, value_name = "N", value_parser = positive_size(), help_heading = "Networks")]
    depth: Option<i64>,

    /// Epochs with the full learning rate ... [default: 100]
    #[arg(long, value_name = "N", help_heading = "Training")]
    epochs: Option<u64>,

    /// ... and then epochs in which it falls to 0 [default: 100]
    #[arg(long, value_name = "N", help_heading = "Training")]
    decay_epochs: Option<u64>,

    /// Pairs in a step [default: 1]
    #[arg(long, value_name = "N", value_parser = positive(), help_heading = "Training")]
    batch_size: Option<u64>,

    /// Adam's learning rate, for both networks [default: 0.0002]
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    learning_rate: Option<f64>,
}

#[derive(Debug, clap::Args)]
struct LambdaOptions {
    /// Weight of the GAN loss [default: 1]
    #[arg(long, value_name = "W", conflicts_with = "objective", help_heading = "Objective")]
    lambda_gan: Option<f64>,
    /// Weight of L1 [default: 100]
    #[arg(long, value_name = "W", conflicts_with = "objective", help_heading = "Objective")]
    lambda_l1: Option<f64>,
    /// Weight of L2, in `extended` [default: 10]
    #[arg(long, value_name = "W", conflicts_with = "objective", help_heading = "Objective")]
    lambda_l2: Option<f64>,
    /// Weight of Sobel, in `extended` [default: 10]
    #[arg(long, value_name = "W", conflicts_with = "objective", help_heading = "Objective")]
    lambda_sobel: Option<f64>,
    /// Weight of the Laplacian, in `extended` [default: 10]
    #[arg(long, value_name = "W", conflicts_with = "objective", help_heading = "Objective")]
    lambda_lap: Option<f64>,
    /// Weight of VGG, in `+vgg` [default: 10]
    #[arg(long, value_name = "W", conflicts_with = "objective", help_heading = "Objective")]
    lambda_vgg: Option<f64>,
}

const EXAMPLES: &str = "\
Examples:
  pix2pix --demo
  pix2pix --data facades --direction BtoA --name facades
  pix2pix --data facades --direction BtoA --name facades-vgg --loss extended+vgg --lambda-vgg 5
  pix2pix --resume runs/facades";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LossSet {
    /// GAN and L1, as in the paper
    Basic,
    /// and VGG19 perceptual loss
    #[value(name = "basic+vgg")]
    BasicVgg,
    /// GAN, L1, L2, Sobel and Laplacian
    Extended,
    /// and VGG19 perceptual loss
    #[value(name = "extended+vgg")]
    ExtendedVgg,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Cpu,
    /// The first CUDA device
    Cuda,
}

fn positive() -> impl clap::builder::TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=1_000_000)
}

fn positive_size() -> impl clap::builder::TypedValueParser<Value = i64> {
    clap::value_parser!(i64).range(1..=65_536)
}

/// What a run was started with, as its folder keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the run.
    pub name: String,
    /// Where the pairs are; none for the demo, which makes its own.
    pub data: Option<PathBuf>,
    pub direction: Direction,
    pub load_size: i64,
    pub crop_size: i64,
    pub flip: bool,
    pub width: i64,
    pub depth: i64,
    pub epochs: u64,
    pub decay_epochs: u64,
    pub batch_size: u64,
    pub learning_rate: f64,
    pub save_every: u64,
    pub maps_every: u64,
    pub device: Place,
    pub seed: u32,
}

impl Options {
    /// What was asked for, and the defaults for the rest.
    pub fn settings(&self) -> Result<Settings> {
        let data = match &self.data {
            Some(data) => Some(
                fs::canonicalize(data)
                    .with_context(|| format!("cannot read the folder {}", data.display()))?,
            ),
            None => None,
        };
        let of_data = data.as_ref().and_then(|data| data.file_name());
        let name = of_data.map_or("demo".into(), |name| name.to_string_lossy().into_owned());
        let defaults = if self.demo { Settings::demo() } else { Settings::default() };
        let crop_size = self.crop_size.unwrap_or(defaults.crop_size);
        let settings = Settings {
            name: self.name.clone().unwrap_or(name),
            data,
            direction: self.direction.unwrap_or(defaults.direction),
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
            maps_every: self.maps_every.unwrap_or(defaults.maps_every),
            device: self.device.unwrap_or(defaults.device),
            seed: self.seed.unwrap_or(defaults.seed),
        };
        settings.check()?;
        Ok(settings)
    }

    /// The objective, from its file or from the weights on the command line.
    pub fn objective(&self) -> Result<Objective> {
        if let Some(path) = &self.objective {
            return Ok(Objective::from_file(path)?);
        }
        let subspec = match self.loss {
            None if self.demo => Subspec::Extended,
            None | Some(LossSet::Basic) => Subspec::Basic,
            Some(LossSet::BasicVgg) => Subspec::BasicVgg,
            Some(LossSet::Extended) => Subspec::Extended,
            Some(LossSet::ExtendedVgg) => Subspec::ExtendedVgg,
        };
        let given = &self.lambdas;
        let lambdas = Lambdas {
            gan: given.lambda_gan.unwrap_or(1.0),
            l1: given.lambda_l1.unwrap_or(100.0),
            l2: given.lambda_l2.unwrap_or(10.0),
            sobel: given.lambda_sobel.unwrap_or(10.0),
            laplacian: given.lambda_lap.unwrap_or(10.0),
            vgg: given.lambda_vgg.unwrap_or(10.0),
        };
        Ok(pix2pix(subspec, &lambdas))
    }
}

impl Default for Settings {
    /// Those of the paper.
    fn default() -> Self {
        Settings {
            name: "demo".into(),
            data: None,
            direction: Direction::AtoB,
            load_size: 286,
            crop_size: 256,
            flip: true,
            width: 64,
            depth: 8,
            epochs: 100,
            decay_epochs: 100,
            batch_size: 1,
            learning_rate: 2e-4,
            save_every: 5,
            maps_every: 1000,
            device: if Cuda::is_available() { Place::Cuda } else { Place::Cpu },
            seed: 0,
        }
    }
}

impl Settings {
    /// What two CPU cores can do in five minutes.
    fn demo() -> Settings {
        Settings {
            load_size: 144,
            crop_size: 128,
            width: 32,
            depth: 5,
            epochs: 8,
            decay_epochs: 8,
            batch_size: 8,
            learning_rate: 1e-3,
            save_every: 2,
            maps_every: 100,
            ..Settings::default()
        }
    }

    fn check(&self) -> Result<()> {
        let Settings { load_size, crop_size, depth, .. } = *self;
        ensure!(
            load_size >= crop_size,
            "--load-size {load_size}: an image of that size cannot be cropped to {crop_size} (--crop-size)"
        );
        ensure!(crop_size >= 32, "--crop-size {crop_size}: the discriminator needs 32 pixels or more");
        ensure!(
            (2..=16).contains(&depth) && crop_size % (1 << depth) == 0,
            "--crop-size {crop_size}, --depth {depth}: the size must be a multiple of 2^depth, the depth 2 to 16"
        );
        ensure!(self.epochs + self.decay_epochs > 0, "--epochs 0 --decay-epochs 0: there is nothing to do");
        ensure!(
            self.learning_rate > 0.0 && self.learning_rate.is_finite(),
            "--learning-rate {}: it must be a positive number",
            self.learning_rate
        );
        Ok(())
    }

    pub fn device(&self) -> Result<Device> {
        match self.device {
            Place::Cpu => Ok(Device::Cpu),
            Place::Cuda => {
                ensure!(Cuda::is_available(), "the run needs CUDA, and libtorch finds no CUDA device here");
                Ok(Device::Cuda(0))
            }
        }
    }

    pub fn augmentation(&self) -> Augmentation {
        Augmentation {
            batch_size: self.batch_size as usize,
            load_size: self.load_size,
            crop_size: self.crop_size,
            flip: self.flip,
            seed: self.seed.into(),
        }
    }

    /// Constant, then in equal steps towards 0, which would be reached in the epoch after the last.
    pub fn learning_rates(&self) -> Result<Schedule> {
        Ok(Schedule::linear(Ramp {
            start_epoch: self.epochs,
            end_epoch: self.epochs + self.decay_epochs + 1,
            initial_value: self.learning_rate,
            target_value: 0.0,
        })?)
    }
}
