//! What every training is started with.

use std::path::PathBuf;

use anyhow::{ensure, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::{Cuda, Device};
use tch_losses::manager::{Ramp, Schedule};

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Cpu,
    /// The first CUDA device
    Cuda,
}

/// The settings that all trainers have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The name of the run.
    pub name: String,
    /// Where the images are; none for the demo, which makes its own.
    pub data: Option<PathBuf>,
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
    pub device: Place,
    pub seed: u32,
}

impl Default for Training {
    /// Those of the papers.
    fn default() -> Self {
        Training {
            name: "demo".into(),
            data: None,
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
            device: if Cuda::is_available() { Place::Cuda } else { Place::Cpu },
            seed: 0,
        }
    }
}

impl Training {
    pub fn check(&self) -> Result<()> {
        let Training { load_size, crop_size, depth, .. } = *self;
        ensure!(
            load_size >= crop_size,
            "--load-size {load_size}: an image of that size cannot be cropped to {crop_size} (--crop-size)"
        );
        ensure!(crop_size >= 32, "--crop-size {crop_size}: the discriminator needs 32 pixels or more");
        ensure!(
            (2..=16).contains(&depth) && crop_size % (1 << depth) == 0,
            "--crop-size {crop_size}, --depth {depth}: the size must be a multiple of 2^depth, the depth 2 to 16"
        );
        ensure!(self.all_epochs() > 0, "--epochs 0 --decay-epochs 0: there is nothing to do");
        ensure!(
            self.learning_rate > 0.0 && self.learning_rate.is_finite(),
            "--learning-rate {}: it must be a positive number",
            self.learning_rate
        );
        Ok(())
    }

    pub fn all_epochs(&self) -> u64 {
        self.epochs + self.decay_epochs
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

    /// Constant, then in equal steps towards 0, which would be reached in the epoch after the last.
    pub fn learning_rates(&self) -> Result<Schedule> {
        Ok(Schedule::linear(Ramp {
            start_epoch: self.epochs,
            end_epoch: self.all_epochs() + 1,
            initial_value: self.learning_rate,
            target_value: 0.0,
        })?)
    }
}
