//! `tch-losses plot`: the losses of a run as curves.

use std::path::PathBuf;

use anyhow::{bail, Context, Result};
use tch_losses::visual::LossCurves;

use crate::log::Choice;
use crate::note;

/// Draw the loss curves of a training run from its log, also while it is running
///
/// Drawn are the weighted losses, as the training saw them.
#[derive(clap::Args)]
pub struct Args {
    /// The log that LossLog has written
    log: PathBuf,

    /// The picture to write, PNG or SVG as its name ends
    #[arg(short, long, value_name = "FILE", default_value = "curves.png")]
    output: PathBuf,

    /// A panel for each tag, with the losses that have it
    #[arg(long)]
    split_by_tag: bool,

    /// A logarithmic scale; zero and negative losses are left out, and counted in a note
    #[arg(long)]
    log_scale: bool,

    /// The span of the exponential moving average (a = 2 / (N + 1)) in records, 1 for none [default: a
    /// fiftieth of the longest loss's records]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    smooth: Option<u64>,

    /// One more panel, with the weights that were applied
    #[arg(long)]
    weights: bool,

    #[command(flatten)]
    choice: Choice,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<()> {
    let output = &args.output;
    let extension = output.extension().unwrap_or_default();
    if !["png", "svg"].iter().any(|known| extension.eq_ignore_ascii_case(known)) {
        bail!("--output {}: its name has to end in .png or .svg", output.display());
    }
    let run = args.choice.read(&args.log)?;
    if run.losses.values().all(|loss| loss.steps.is_empty()) {
        bail!("{} has no records yet: there is nothing to draw", args.log.display());
    }
    let curves = LossCurves {
        run: &run,
        split_by_tag: args.split_by_tag,
        log_scale: args.log_scale,
        smooth: args.smooth,
        weights: args.weights,
    };
    curves.save(output).context("--output")?;
    note(format_args!("wrote {}", output.display()));
    Ok(())
}
