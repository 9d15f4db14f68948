//! The command line, and what it comes to.

use std::path::PathBuf;

use anyhow::{bail, ensure, Result};
use clap::builder::TypedValueParser;
use clap::{Parser, ValueEnum};
use tch_losses::manager::{pix2pix, Lambdas, Objective, Subspec};

use crate::data::Direction;
use crate::layout::Strip;
use crate::settings::{self, Settings};
use crate::shared::options::{positive, TrainingOptions};
use crate::shared::run::Run;
use crate::shared::training::Training;

/// pix2pix: learns from pairs of images to turn the one into the other.
///
/// A U-Net paints, a PatchGAN judges, and tch-losses' loss manager weighs the losses between them.
/// Everything goes to the folder of the run: objective, loss log, checkpoints, samples, heat maps, curves.
/// Ctrl-C saves a checkpoint and stops. A run that was interrupted, even by kill -9, goes on with --resume as
/// if nothing had happened.
#[derive(Debug, Parser)]
#[command(name = "pix2pix", max_term_width = 100, after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["data", "demo", "resume"])))]
pub struct Options {
    /// The pairs: strips (input and output side by side in one PNG or JPEG image), or folders A and B with
    /// images of the same names. They are in DIR itself, or those to learn from in DIR/train and those to
    /// validate on in DIR/val; without DIR/val every tenth pair is kept back for that
    #[arg(long, value_name = "DIR", help_heading = "What to do (one of them)")]
    data: Option<PathBuf>,

    /// Learn to colour grey photos, from parts of three photos that come with the project: some five
    /// minutes on two CPU cores
    #[arg(long, help_heading = "What to do (one of them)")]
    demo: bool,

    /// Go on with the run in this folder, with the options that it was started with
    #[arg(long, value_name = "RUN", exclusive = true, help_heading = "What to do (one of them)")]
    pub resume: Option<PathBuf>,

    /// Write heat maps of the image losses after so many steps [default: 1000]
    #[arg(long, value_name = "STEPS", value_parser = positive(), help_heading = "The run")]
    maps_every: Option<u64>,

    /// Which of the two is the input [default: AtoB, left to right]
    #[arg(long, value_enum, help_heading = "Images")]
    direction: Option<Direction>,

    /// How strips are divided: a letter for each image side by side, A, B, or _ for one to leave out. A_B takes
    /// the first and the last of three [default: AB, two squares]
    #[arg(long, value_name = "LETTERS", conflicts_with = "demo", help_heading = "Images")]
    strip: Option<Strip>,

    /// An objective of your own, as a TOML or JSON file
    ///
    /// Losses with the tag `image` compare the generator's image with the true one. A GanLoss or RelativisticLoss is of
    /// the discriminators' outputs, by its option `side`; instead of these there may be losses of outputs and labels
    /// with the names G_GAN, D_real and D_fake. A LeCamLoss is of the outputs, too, a FeatureMatchingLoss of the
    /// discriminators' features, an R1Penalty or GradientPenalty of their slope; with one of these two, they have
    /// instance norm in place of batch norm. See objective.toml and hinge.toml in examples/pix2pix.
    #[arg(long, value_name = "FILE", conflicts_with = "loss", help_heading = "Objective")]
    objective: Option<PathBuf>,

    /// Which losses [default: basic; of the demo: extended]
    #[arg(long, value_enum, help_heading = "Objective")]
    loss: Option<LossSet>,

    #[command(flatten)]
    lambdas: LambdaOptions,

    /// Discriminators, each of which sees images of half the size [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=8), help_heading = "Networks")]
    scales: Option<u64>,

    #[command(flatten)]
    training: TrainingOptions,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Objective", allow_negative_numbers = true)]
struct LambdaOptions {
    /// Weight of the GAN loss [default: 1]
    #[arg(long, value_name = "W", value_parser = weight(), conflicts_with = "objective")]
    lambda_gan: Option<f64>,
    /// Weight of L1 [default: 100]
    #[arg(long, value_name = "W", value_parser = weight(), conflicts_with = "objective")]
    lambda_l1: Option<f64>,
    /// Weight of L2, in extended [default: 10]
    #[arg(long, value_name = "W", value_parser = weight(), conflicts_with = "objective")]
    lambda_l2: Option<f64>,
    /// Weight of Sobel, in extended [default: 10]
    #[arg(long, value_name = "W", value_parser = weight(), conflicts_with = "objective")]
    lambda_sobel: Option<f64>,
    /// Weight of the Laplacian, in extended [default: 10]
    #[arg(long, value_name = "W", value_parser = weight(), conflicts_with = "objective")]
    lambda_lap: Option<f64>,
    /// Weight of VGG, in basic+vgg and extended+vgg [default: 10]
    #[arg(long, value_name = "W", value_parser = weight(), conflicts_with = "objective")]
    lambda_vgg: Option<f64>,
}

const EXAMPLES: &str = "\
Examples:
  pix2pix --demo
  pix2pix --data facades --direction BtoA --name facades
  pix2pix --data facades --direction BtoA --name facades-vgg --loss extended+vgg --lambda-vgg 5
  pix2pix --data samples --strip A_B
  pix2pix --resume runs/facades";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LossSet {
    /// GAN and L1, as in the paper
    Basic,
    /// Those of basic and VGG19 perceptual loss
    #[value(name = "basic+vgg")]
    BasicVgg,
    /// GAN, L1, L2, Sobel and Laplacian
    Extended,
    /// Those of extended and VGG19 perceptual loss
    #[value(name = "extended+vgg")]
    ExtendedVgg,
}

impl LossSet {
    fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().into()
    }

    fn objective(self, lambdas: &Lambdas) -> Objective {
        let subspec = match self {
            LossSet::Basic => Subspec::Basic,
            LossSet::BasicVgg => Subspec::BasicVgg,
            LossSet::Extended => Subspec::Extended,
            LossSet::ExtendedVgg => Subspec::ExtendedVgg,
        };
        pix2pix(subspec, lambdas)
    }
}

fn weight() -> impl TypedValueParser<Value = f64> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|weight| weight.is_finite() && *weight >= 0.0);
    move |text: &str| number(text).ok_or("a weight is a number, 0 or more")
}

impl Options {
    /// The run that was asked for, with the defaults for the rest.
    pub fn run(&self) -> Result<Run<Settings>> {
        let (defaults, maps_every) = match self.demo {
            true => (settings::demo(), 100),
            false => (Training::default(), 1000),
        };
        let training = self.training.training(self.data.as_deref(), defaults)?;
        let (scales, size) = (self.scales.unwrap_or(1), training.crop_size);
        ensure!(
            size >> (scales - 1) >= 32,
            "--scales {scales}, --crop-size {size}: the last discriminator would see fewer than 32 pixels a side"
        );
        let folder = self.training.runs.join(&training.name);
        let settings = Settings {
            strip: self.strip.clone(),
            direction: self.direction.unwrap_or(Direction::AtoB),
            scales,
            maps_every: self.maps_every.unwrap_or(maps_every),
            training,
        };
        Run::new(folder, settings, self.objective()?)
    }

    /// The objective, from its file or from the weights on the command line.
    fn objective(&self) -> Result<Objective> {
        if let Some(path) = &self.objective {
            return Ok(Objective::from_file(path)?);
        }
        let default = if self.demo { LossSet::Extended } else { LossSet::Basic };
        let losses = self.loss.unwrap_or(default);
        let given = &self.lambdas;
        let lambdas = Lambdas {
            gan: given.lambda_gan.unwrap_or(1.0),
            l1: given.lambda_l1.unwrap_or(100.0),
            l2: given.lambda_l2.unwrap_or(10.0),
            sobel: given.lambda_sobel.unwrap_or(10.0),
            laplacian: given.lambda_lap.unwrap_or(10.0),
            vgg: given.lambda_vgg.unwrap_or(10.0),
        };
        let objective = losses.objective(&lambdas);
        for (option, value, loss) in [
            ("--lambda-l2", given.lambda_l2, "G_L2"),
            ("--lambda-sobel", given.lambda_sobel, "G_SOBEL"),
            ("--lambda-lap", given.lambda_lap, "G_LAP"),
            ("--lambda-vgg", given.lambda_vgg, "G_VGG"),
        ] {
            let has_it = |objective: &Objective| objective.losses.contains_key(loss);
            if let Some(value) = value.filter(|_| !has_it(&objective)) {
                let others = LossSet::value_variants().iter().filter(|set| has_it(&set.objective(&lambdas)));
                let others: Vec<String> = others.map(|set| set.name()).collect();
                bail!(
                    "{option} {value} has no effect: {loss} is not among the losses of --loss {}; choose --loss {}",
                    losses.name(),
                    others.join(" or ")
                );
            }
        }
        Ok(objective)
    }
}
