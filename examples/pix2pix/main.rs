//! pix2pix: learns from pairs of images to turn the one into the other.
//!
//! `cargo run --release --example pix2pix --features image -- --demo` shows it in some five minutes; `--help`
//! tells the rest.

mod adam;
mod checkpoint;
mod data;
mod demo;
mod networks;
mod options;
mod pictures;
mod run;
mod train;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use options::Options;
use run::Run;

fn main() -> ExitCode {
    match start(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pix2pix: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> Result<()> {
    let run = match &options.resume {
        Some(folder) => Run::open(folder)?,
        None => Run::new(options)?,
    };
    train::train(&run)
}
