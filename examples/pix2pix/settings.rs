//! What a run is started with.

use std::path::PathBuf;

use anyhow::{ensure, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::{Cuda, Device};
use tch_losses::manager::{Ramp, Schedule};

use crate::data::{Augmentation, Direction};
use crate::layout::Strip;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Cpu,
    /// The first CUDA device
    Cuda,
}

/// What a run was started with, as its folder keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the run.
    pub name: String,
    /// Where the pairs are; none for the demo, which makes its own.
    pub data: Option<PathBuf>,
    /// How strips are divided, if that was said.
    pub strip: Option<Strip>,
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

impl Default for Settings {
    /// Those of the paper.
    fn default() -> Self {
        Settings {
            name: "demo".into(),
            data: None,
            strip: None,
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
    /// Those of the demo: what two CPU cores can do in five minutes.
    pub fn demo() -> Settings {
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

    pub fn check(&self) -> Result<()> {
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
