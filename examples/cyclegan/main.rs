//! CycleGAN: learns from two sets of images, without pairs, to turn those of each into the other.
//!
//! `cargo run --release --example cyclegan --features image -- --demo` shows it in some five minutes; `--help`
//! tells the rest.

#[path = "../shared/mod.rs"]
mod shared;

mod data;
mod demo;
mod objective;
mod options;
mod pool;
mod train;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use options::Options;
use shared::course::Ended;
use shared::program;
use shared::run::Run;

fn main() -> ExitCode {
    program::end("cyclegan", start(&Options::parse()))
}

fn start(options: &Options) -> Result<Ended> {
    let run = match &options.resume {
        Some(folder) => Run::open(folder)?,
        None => options.run()?,
    };
    train::train(&run)
}
