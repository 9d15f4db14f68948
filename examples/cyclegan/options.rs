//! The command line.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use tch_losses::manager::{cyclegan, Objective};

use crate::demo;
use crate::shared::options::TrainingOptions;
use crate::shared::run::Run;
use crate::shared::training::Training;

/// CycleGAN: learns from two sets of images, without pairs, to turn those of each into the other.
///
/// Two U-Nets paint what changes, G_A from A to B and G_B from B to A. Two PatchGANs judge, D_A the images of B and D_B
/// those of A. tch-losses' loss manager weighs the losses. Everything goes to the folder of the run: objective, loss
/// log, checkpoints, samples, curves. Ctrl-C saves a checkpoint and stops. A run that was interrupted, even by kill -9,
/// goes on with --resume as if nothing had happened.
#[derive(Debug, Parser)]
#[command(name = "cyclegan", max_term_width = 100, after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["data", "demo", "resume"])))]
pub struct Options {
    /// The images: PNG or JPEG files in the folders DIR/trainA and DIR/trainB. The samples are of those in
    /// DIR/testA and DIR/testB, if these are there
    #[arg(long, value_name = "DIR", help_heading = "What to do (one of them)")]
    data: Option<PathBuf>,

    /// Learn to colour grey photos, and to take the colours away, from parts of three photos that come with the
    /// project: some five minutes on two CPU cores
    #[arg(long, help_heading = "What to do (one of them)")]
    demo: bool,

    /// Go on with the run in this folder, with the options that it was started with
    #[arg(long, value_name = "RUN", exclusive = true, help_heading = "What to do (one of them)")]
    pub resume: Option<PathBuf>,

    /// An objective of your own, as a TOML or JSON file
    ///
    /// It has a GanLoss or RelativisticLoss for each network. Losses of images have the tag `cycle` or `identity`, which
    /// says what they compare. The names of all end in _A or _B. See examples/cyclegan/objective.toml, which is the
    /// default.
    #[arg(long, value_name = "FILE", help_heading = "Objective")]
    objective: Option<PathBuf>,

    #[command(flatten)]
    training: TrainingOptions,
}

const EXAMPLES: &str = "\
Examples:
  cyclegan --demo
  cyclegan --data horse2zebra
  cyclegan --resume runs/horse2zebra";

impl Options {
    /// The run that was asked for, with the defaults for the rest.
    pub fn run(&self) -> Result<Run<Training>> {
        let defaults = if self.demo { demo::training() } else { Training::default() };
        let training = self.training.training(self.data.as_deref(), defaults)?;
        let objective = match &self.objective {
            Some(path) => Objective::from_file(path)?,
            None => cyclegan(),
        };
        Run::new(self.training.runs.join(&training.name), training, objective)
    }
}
