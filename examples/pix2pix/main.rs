//! pix2pix: learns from pairs of images to turn the one into the other.
//!
//! `cargo run --release --example pix2pix --features image -- --demo` shows it in some five minutes; `--help`
//! tells the rest.

mod adam;
mod checkpoint;
mod data;
mod demo;
mod interrupt;
mod layout;
mod networks;
mod options;
mod pictures;
mod progress;
mod run;
mod settings;
mod summary;
mod train;

use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::Parser;
use tch_losses::printable;

use options::Options;
use progress::say;
use run::Run;
use train::Ended;

fn main() -> ExitCode {
    match start(&Options::parse()) {
        Ok(Ended::Finished) => ExitCode::SUCCESS,
        Ok(Ended::Interrupted(code)) => code.into(),
        Err(error) => {
            // Names of files and texts in them are in these lines.
            message(&error).lines().for_each(|line| say(printable(line)));
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> Result<Ended> {
    let run = match &options.resume {
        Some(folder) => Run::open(folder)?,
        None => Run::new(options)?,
    };
    train::train(&run)
}

/// What went wrong, and why. Where an error repeats its cause, as those of images do, the cause is said once.
fn message(error: &Error) -> String {
    let mut message = format!("pix2pix: {error}");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message += &format!(": {cause}");
        }
    }
    message
}
