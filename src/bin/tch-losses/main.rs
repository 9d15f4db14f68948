//! `tch-losses`: the losses of image files and of training runs on the command line.

mod atlas;
mod choice;
mod compare;
mod completions;
mod descend;
mod gallery;
mod inputs;
mod log;
mod losses;
mod maps;
mod objective;
mod pair;
mod photo;
mod picture;
mod plot;
mod progress;
mod report;
mod weights;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser, Subcommand};
use tch_losses::printable;

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
    Plot(plot::Args),
    Atlas(atlas::Args),
    Descend(descend::Args),
    Gallery(gallery::Args),
    #[command(subcommand)]
    Log(log::Command),
    #[command(subcommand)]
    Objective(objective::Command),
    #[command(subcommand)]
    Weights(weights::Command),
    Completions(completions::Args),
}

/// 0 where all went well, 1 with one line on stderr where it did not, 2 (from clap) for wrong usage.
fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Compare(args) => compare::run(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Atlas(args) => atlas::run(&args),
        Command::Descend(args) => descend::run(&args),
        Command::Gallery(args) => gallery::run(&args),
        Command::Log(command) => log::run(&command),
        Command::Objective(command) => objective::run(&command),
        Command::Weights(command) => weights::run(&command),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(in_a_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// The message of an error; some libraries' have more lines than one.
fn in_a_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().into()
}

/// A line for people, on stderr, with nothing in it that a terminal would obey. That nobody may be reading there is
/// no error.
fn note(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "tch-losses: {}", printable(&line.to_string()));
}

/// Prints to stdout; a reader that has gone, as in `| head -1`, is no error.
fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot print"),
        _ => Ok(()),
    }
}
