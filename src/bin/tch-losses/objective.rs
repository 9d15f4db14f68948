//! `tch-losses objective`: what an objective's file says.

use std::path::PathBuf;

use anyhow::Result;
use tch_losses::manager::Objective;

use crate::print;

/// Look into the file of an objective
#[derive(clap::Subcommand)]
pub enum Command {
    /// Print a summary of the file: losses, options that are not the defaults, weights, tags
    ///
    /// Exits with 1, and one line that says what is wrong and where, if it is no objective. Nothing is loaded or
    /// fetched: whether the weights of a network can be had is not looked at.
    Check {
        /// A .toml or .json file
        file: PathBuf,
    },
}

/// Runs the subcommand.
pub fn run(command: &Command) -> Result<()> {
    let Command::Check { file } = command;
    let objective = Objective::from_file(file)?;
    let count = match objective.losses.len() {
        0 => "no losses".into(),
        1 => "1 loss".into(),
        count => format!("{count} losses"),
    };
    print(&format!("{}: {count}\n\n{objective}", file.display()))
}
