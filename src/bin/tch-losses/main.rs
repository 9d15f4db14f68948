//! `tch-losses`: the losses of image files on the command line.

mod compare;
mod picture;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Losses for image-to-image and GAN training, with PyTorch's numbers.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Compare(compare::Args),
}

/// 0 where all went well, 1 with one line on stderr where it did not, 2 (from clap) for wrong usage.
fn main() -> ExitCode {
    let Command::Compare(args) = Cli::parse().command;
    match compare::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // libtorch's messages go on with a C++ backtrace.
            note(format!("{error:#}").lines().next().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// A line for people, on stderr. That nobody may be reading there is no error.
fn note(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "tch-losses: {line}");
}
