//! pix2pix: learns from pairs of images to turn the one into the other.
//!
//! `cargo run --release --example pix2pix --features image -- --demo` shows it in some five minutes; `--help`
//! tells the rest.

#[path = "../shared/mod.rs"]
mod shared;

mod data;
mod demo;
mod discriminator;
mod layout;
mod objective;
mod options;
mod settings;
mod state;
mod summary;
mod train;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use options::Options;
use shared::course::Ended;
use shared::program;
use shared::run::Run;

fn main() -> ExitCode {
    program::end("pix2pix", start(&Options::parse()))
}

fn start(options: &Options) -> Result<Ended> {
    let run = match &options.resume {
        Some(folder) => Run::open(folder)?,
        None => options.run()?,
    };
    train::train(&run)
}
